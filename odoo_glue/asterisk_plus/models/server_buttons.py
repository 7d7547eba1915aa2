from odoo import api, models
from odoo.exceptions import UserError

from .. import compat, salt_api
from ..access import AGENT, MANAGER, require

PATIENCE = 20
HOP_SECONDS = 10
# How many of the items that were set aside a notification shows.
SHOWN = 10


class Server(models.Model):
    """The buttons of a server's form: what they ask, and how the answer is shown."""

    _inherit = "asterisk_plus.server"

    def action_test_connection(self):
        """Try hop by hop, and name the one that fails. The last one answers by a notification."""
        require(self.env, MANAGER)
        self.ensure_one()
        try:
            salt_api.log_in(self._salt_api(), timeout=HOP_SECONDS)
        except salt_api.SaltApiError as error:
            raise self._broken(self.env._("Odoo to salt-api"), str(error)) from error
        for hop, fun in (
            (self.env._("salt-api to the minion"), "test.ping"),
            (self.env._("the minion to Asterisk"), "asterisk.ping"),
        ):
            try:
                answer = self._run_now(fun, [], {}, HOP_SECONDS)
            except UserError as error:
                raise self._broken(hop, str(error)) from error
            if answer is not True:
                raise self._broken(hop, str(answer))
        self.local_job(
            "test.ping",
            res_model=self._name,
            res_method="on_way_back",
            pass_back={"uid": self.env.uid},
            timeout=PATIENCE,
        )
        return self._toast(
            self.env._("salt-api, the minion and Asterisk answer. Waiting for the way back…")
        )

    def _broken(self, hop, fault):
        return UserError(
            self.env._("The connection breaks from %(hop)s: %(fault)s", hop=hop, fault=fault)
        )

    @api.model
    @compat.private
    def on_way_back(self, data, pass_back):
        """Callback of the test's last hop: a result that came, or none."""
        require(self.env, AGENT)
        if _is_error(data):
            message = self.env._(
                "The connection breaks from the PBX to Odoo: %s. See asterisk:odoo in its pillar, "
                "and salt-call asterisk.outbox there.",
                data[0]["Message"].rstrip("."),
            )
        else:
            message = self.env._("Every hop works, there and back.")
        self._show(message, pass_back["uid"], warning=_is_error(data))
        return True

    def action_ping_salt(self):
        """Have the minion answer, and show it when it comes."""
        self.local_job("test.ping", **self._told("salt"))
        return self._toast(self.env._("Asking the minion…"))

    def action_ping_asterisk(self):
        """Send AMI's ``Ping`` and show the answer when it comes."""
        self.ami_action({"Action": "Ping"}, **self._told("asterisk"))
        return self._toast(self.env._("Asking Asterisk…"))

    def action_reload(self):
        """Have Asterisk read its configuration again."""
        self.ami_action({"Action": "Reload"}, **self._told("reload"))
        return self._toast(self.env._("Asterisk was told to reload."))

    def action_push_map(self):
        """Have the PBX fetch the event map now."""
        self.local_job("saltutil.refresh_pillar", **self._told("map"))
        return self._toast(self.env._("The PBX was told to fetch the event map."))

    def action_outbox_failed(self):
        """Have the PBX tell what was set aside, and why."""
        self.local_job(
            "asterisk.outbox_failed",
            SHOWN,
            **{**self._told("failed"), "res_method": "on_outbox_failed"},
        )
        return self._toast(self.env._("Asking the PBX what was set aside…"))

    def action_outbox_retry(self):
        """Have the PBX send what was set aside again."""
        self.local_job("asterisk.outbox_retry", **self._told("retry"))
        return self._toast(self.env._("The PBX was told to send it again."))

    def action_outbox_drop(self):
        """Have the PBX delete what was set aside."""
        self.local_job("asterisk.outbox_drop", "all", **self._told("drop"))
        return self._toast(self.env._("The PBX was told to delete it."))

    @api.model
    @compat.private
    def on_outbox_failed(self, data, pass_back):
        """Callback: the oldest of the items that were set aside, shown to who asked."""
        require(self.env, AGENT)
        if isinstance(data, str):
            # The returner's words for what is too long to be sent.
            self._show(data, pass_back["uid"], sticky=True, warning=True)
        elif not _is_error(data):
            lines = [
                f"{item['name']}, {item['model']}.{item['method']}: {item['error']}"
                for item in data or ()
            ]
            message = "\n".join(lines) or self.env._("Nothing is set aside.")
            self._show(message, pass_back["uid"], sticky=bool(lines))
        return True

    def _told(self, what):
        return {
            "res_model": self._name,
            "res_method": "on_told",
            "res_notify_uid": self.env.uid,
            "pass_back": {"uid": self.env.uid, "what": what},
            "timeout": PATIENCE,
        }

    @api.model
    @compat.private
    def on_told(self, data, pass_back):
        """Callback of the buttons: a success is shown to who pressed; errors are by themselves."""
        require(self.env, AGENT)
        if _is_error(data):
            return True
        texts = {
            "salt": self.env._("The Salt minion answers."),
            "asterisk": self.env._("Asterisk answers."),
            "reload": self.env._("Asterisk has reloaded."),
            "map": self.env._("The PBX has the event map."),
            "retry": self.env._("%s items are sent again.", data),
            "drop": self.env._("%s items were deleted.", data),
        }
        self._show(texts[pass_back["what"]], pass_back["uid"])
        return True

    def action_refresh(self):
        """Have the PBX tell its version, channels and outbox."""
        require(self.env, MANAGER)
        self._ask_status(self.env.uid)
        return self._toast(self.env._("Asking the PBX how it is…"))

    @api.model
    @compat.private
    def on_ami_state(self, event):
        """Handler of ``asterisk/ami/state``: the bridge has found Asterisk, or lost it."""
        require(self.env, AGENT)
        self._of_agent()._ask_status()
        return True

    def _ask_status(self, uid=None):
        for server in self.sudo().filtered("salt_api_url"):
            server.local_job(
                "asterisk.status",
                res_model=self._name,
                res_method="on_status",
                pass_back={"uid": uid},
                timeout=PATIENCE,
            )

    @api.model
    @compat.private
    def on_status(self, data, pass_back):
        """Callback of ``asterisk.status``: keep it for the form, and tell who asked."""
        require(self.env, AGENT)
        error = _is_error(data)
        # While AMI is down the function counts as failed, and says so in the same form.
        status = data[0].get("Return") if error else data
        if isinstance(status, dict):
            server = self._of_agent()
            self.env["asterisk_plus.status"].sudo()._told(server, status)
            server.invalidate_recordset()
            message = self.env._(
                "Asterisk %(version)s, %(channels)s channels, %(depth)s items in the outbox.",
                version=server.asterisk,
                channels=status.get("channels"),
                depth=status.get("outbox"),
            )
            if not status.get("asterisk"):
                message = self.env._("AMI: %s", status.get("ami"))
        else:
            message = data[0]["Message"] if error else str(status)
        if pass_back["uid"]:
            self._show(message, pass_back["uid"], warning=error)
        return True

    def _show(self, message, uid, warning=False, sticky=False):
        self.env.user.asterisk_plus_notify(
            message, title=self._of_agent().name, uid=uid, sticky=sticky, warning=warning
        )

    def _toast(self, message):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {"message": message, "type": "info"},
        }


def _is_error(data):
    return isinstance(data, list) and bool(data) and data[0].get("Response") == "Error"
