from odoo import api, models
from odoo.addons.asterisk_plus.access import AGENT, require


class Call(models.Model):
    _inherit = "asterisk_plus.call"

    @api.model
    def create_cdr(self, event):
        """A record for one ``Cdr`` event, as the developer guide has it."""
        require(self.env, AGENT)
        get = event.get
        self.create(
            {
                "server_id": self.env["asterisk_plus.server"]._of_agent().id,
                "accountcode": get("AccountCode"),
                "src": get("Source"),
                "dst": get("Destination"),
                "dcontext": get("DestinationContext"),
                "clid": get("CallerID"),
                "channel": get("Channel"),
                "started": get("StartTime") or False,
                "answered": get("AnswerTime") or False,
                "ended": get("EndTime") or False,
                "duration": get("Duration"),
                "billsec": get("BillableSeconds"),
                "disposition": get("Disposition"),
                "uniqueid": get("UniqueID"),
                "sequence": get("Sequence"),
                "linkedid": get("LinkedID"),
                "userfield": get("UserField"),
            }
        )
        return True
