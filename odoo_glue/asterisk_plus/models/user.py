import re
import secrets

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import compat, numbers
from ..access import AGENT, USER, require

# One device: no list (&), no options, and no Local/, which would be any number at all.
_CHANNEL = re.compile(r"(?!local/)[a-z0-9]+/[a-z0-9_.-]+", re.IGNORECASE)
_EXTEN = re.compile(r"[0-9*#]{1,20}")
_ACTION_ID = re.compile(r"odoo-([0-9]+)-[0-9a-f]+")


class PhoneUser(models.Model):
    """The phone of a user: what rings when he clicks a number, and whose calls are his."""

    _name = "asterisk_plus.user"
    _description = "Phone of a user"
    _rec_name = "exten"
    _order = "exten"

    user_id = fields.Many2one("res.users", required=True, ondelete="cascade")
    server_id = fields.Many2one("asterisk_plus.server", required=True, ondelete="cascade")
    exten = fields.Char("Extension", required=True, help="What others dial, for example 101.")
    channel = fields.Char(required=True, help="The phone in Asterisk, for example PJSIP/101.")

    _user_unique = models.Constraint("unique (user_id)", "This user has a phone already.")
    _exten_unique = models.Constraint(
        "unique (server_id, exten)", "This extension is another user's already."
    )
    _channel_unique = models.Constraint(
        "unique (server_id, channel)", "This channel is another user's already."
    )

    @api.constrains("channel", "exten")
    def _check_phone(self):
        for phone in self:
            if not _CHANNEL.fullmatch(phone.channel):
                raise ValidationError(
                    self.env._("%r is not a phone's channel: write PJSIP/101.", phone.channel)
                )
            if not _EXTEN.fullmatch(phone.exten):
                raise ValidationError(
                    self.env._("%r is not an extension: digits, * and # only.", phone.exten)
                )

    @api.model
    def dial(self, number):
        """Ring the current user's own phone and, once he picks up, call ``number``.

        Returns the text to show meanwhile; what goes wrong later comes as a notification.
        """
        require(self.env, USER)
        phone = self.sudo().search([("user_id", "=", self.env.uid)])
        if not phone:
            raise UserError(
                self.env._(
                    "You have no phone here yet: a phone manager sets it up under "
                    "Phone > Set-up > Users."
                )
            )
        try:
            exten = numbers.dialable(number, self.env.company.country_id.code)
        except ValueError as error:
            raise UserError(str(error)) from error
        name = re.sub(r'[^\w .,-]|["<>]', "", self.env.user.name)
        phone.server_id.ami_action(
            {
                "Action": "Originate",
                "ActionID": f"odoo-{self.env.uid}-{secrets.token_hex(8)}",
                "Channel": phone.channel,
                "Context": phone.server_id.dial_context,
                "Exten": exten,
                "Priority": "1",
                "Timeout": "30000",
                "CallerID": f'"{name}" <{phone.exten}>',
                "Async": "true",
            },
            res_notify_uid=self.env.uid,
        )
        return self.env._("Your phone rings: pick it up to call %s.", exten)

    @api.model
    @compat.private
    def on_originate_response(self, event):
        """Handler of AMI's ``OriginateResponse``: tell who clicked why there is no call."""
        require(self.env, AGENT)
        match = _ACTION_ID.fullmatch(event.get("ActionID") or "")
        if not match or event.get("Response") != "Failure":
            return True
        server = self.env["asterisk_plus.server"]._of_agent()
        # A PBX speaks to its own users only.
        phone = self.sudo().search([("user_id", "=", int(match[1])), ("server_id", "=", server.id)])
        if phone:
            phone.user_id.sudo().asterisk_plus_notify(
                self._reason(event.get("Reason")), title=server.name, warning=True
            )
        return True

    def _reason(self, code):
        """Asterisk's reason in words; the codes are its control frames'."""
        words = {
            "0": self.env._("Your phone cannot be reached: is it registered?"),
            "1": self.env._("Your phone did not answer."),
            "3": self.env._("Your phone did not answer."),
            "5": self.env._("Your phone is busy."),
            "8": self.env._("Your phone cannot be reached just now."),
        }
        return words.get(code) or self.env._("Asterisk could not call your phone: %s", code)

    @api.model
    def _by_server(self, server):
        """``(by extension, by channel)``: dicts of the server's phones' user ids."""
        phones = self.sudo().search([("server_id", "=", server.id)])
        return (
            {phone.exten: phone.user_id.id for phone in phones},
            {phone.channel.lower(): phone.user_id.id for phone in phones},
        )
