import logging

from odoo import api, models
from odoo.addons.asterisk_plus.access import AGENT, MANAGER, require

_logger = logging.getLogger(__name__)


class Server(models.Model):
    _inherit = "asterisk_plus.server"

    def originate(self, number, trunk, exten, context):
        """Call ``number`` by way of ``trunk`` and connect it to ``exten`` when it answers."""
        require(self.env, MANAGER)
        action = {
            "Action": "Originate",
            "Context": context,
            "Priority": "1",
            "Timeout": 60000,
            "Channel": f"{trunk}/{number}",
            "Exten": exten,
            "Async": "true",
        }
        return self.local_job(
            "asterisk.manager_action",
            action,
            res_model="asterisk_plus.server",
            res_method="originate_call_response",
            pass_back={"uid": self.env.uid},
        )

    @api.model
    def originate_call_response(self, data, pass_back):
        require(self.env, AGENT)
        _logger.debug("Originate: %s", data)
        if data[0]["Response"] == "Error":
            self.env.user.asterisk_plus_notify(
                data[0]["Message"], uid=pass_back["uid"], warning=True
            )
        return True
