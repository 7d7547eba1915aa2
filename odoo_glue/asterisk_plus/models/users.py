from odoo import api, fields, models

from .. import compat
from ..access import AGENT, MANAGER, USER, require


class Users(models.Model):
    _inherit = "res.users"

    asterisk_plus_exten = fields.Char("Extension", compute="_compute_asterisk_plus_phone")
    asterisk_plus_channel = fields.Char("Phone channel", compute="_compute_asterisk_plus_phone")

    @api.depends_context("uid")
    def _compute_asterisk_plus_phone(self):
        # A phone's own table is the phone users' to read; here everybody sees his.
        everyone = self.env.su or self.env.user.has_group(USER)
        shown = self if everyone else self & self.env.user
        phones = self.env["asterisk_plus.user"].sudo().search([("user_id", "in", shown.ids)])
        by_user = {phone.user_id.id: phone for phone in phones}
        for user in self:
            phone = by_user.get(user.id, phones.browse())
            user.asterisk_plus_exten = phone.exten
            user.asterisk_plus_channel = phone.channel

    # Shown, not changed, in the preferences: whose calls are whose is the phone manager's to say.
    if compat.SELF_FIELDS_ARE_PROPERTIES:

        @property
        def SELF_READABLE_FIELDS(self):
            mine = ["asterisk_plus_exten", "asterisk_plus_channel"]
            return [*super().SELF_READABLE_FIELDS, *mine]

    def asterisk_plus_notify(self, message, title=None, uid=None, sticky=False, warning=False):
        """Show ``message`` in the browser of the user ``uid``, or of this user when left out.

        A person may notify himself; telling others takes the manager's or the agent's group.
        """
        user = self.browse(uid) if uid else self
        user.ensure_one()
        if user.id != self.env.uid:
            require(self.env, MANAGER, AGENT)
        compat.show_notification(
            user,
            {
                "title": title or "PBX",
                "message": message,
                "sticky": sticky,
                "type": "warning" if warning else "info",
            },
        )
        return True
