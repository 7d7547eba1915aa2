from odoo import models

from ..access import AGENT, MANAGER, require


class Users(models.Model):
    _inherit = "res.users"

    def asterisk_plus_notify(self, message, title=None, uid=None, sticky=False, warning=False):
        """Show ``message`` in the browser of the user ``uid``, or of this user when left out.

        A person may notify himself; telling others takes the manager's or the agent's group.
        """
        user = self.browse(uid) if uid else self
        user.ensure_one()
        if user.id != self.env.uid:
            require(self.env, MANAGER, AGENT)
        self.env["bus.bus"].sudo()._sendone(
            user.sudo().partner_id,
            "simple_notification",
            {
                "title": title or "PBX",
                "message": message,
                "sticky": sticky,
                "type": "warning" if warning else "info",
            },
        )
        return True
