from odoo import api, fields, models


class Call(models.Model):
    """A call as the handler below writes it: every field is a header of AMI's Cdr."""

    _name = "asterisk_calls.call"
    _description = "Call"
    _rec_name = "uniqueid"
    _order = "started desc, id desc"

    accountcode = fields.Char()
    src = fields.Char("Source")
    dst = fields.Char("Destination")
    dcontext = fields.Char("Context")
    clid = fields.Char("Caller ID")
    channel = fields.Char()
    started = fields.Datetime()
    answered = fields.Datetime()
    ended = fields.Datetime()
    duration = fields.Integer(help="Seconds")
    billsec = fields.Integer(help="Seconds")
    disposition = fields.Char()
    uniqueid = fields.Char()
    linkedid = fields.Char()
    userfield = fields.Char()

    # No group is checked here: the access list of this model, which lets agents create and
    # nobody else, is all that this handler needs.
    @api.model
    def create_cdr(self, event):
        get = event.get
        self.create(
            {
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
                "uniqueid": get("UniqueID") or get("Uniqueid"),
                "linkedid": get("LinkedID") or get("linkedid"),
                "userfield": get("UserField"),
            }
        )
        return True
