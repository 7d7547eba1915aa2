import contextlib
import re
from datetime import datetime

from odoo import api, fields, models

from .. import compat, numbers
from ..access import AGENT, require

# Asterisk counts from 0; without the formula's mapping the event has no sequence at all.
NO_SEQUENCE = -1
_TIMES = ("started", "answered", "ended")
# What Asterisk adds to a device's name for each channel of it.
_CHANNEL_NUMBER = re.compile(r"-[0-9a-f]+(;[12])?$")


class Call(models.Model):
    """A call detail record of Asterisk. One channel can have several, told by their sequence."""

    _name = "asterisk_plus.call"
    _description = "Call"
    _order = "started desc, id desc"
    _rec_name = "uniqueid"

    server_id = fields.Many2one("asterisk_plus.server", required=True, ondelete="restrict")
    uniqueid = fields.Char("Unique ID", required=True)
    sequence = fields.Integer(default=NO_SEQUENCE)
    linkedid = fields.Char("Linked ID", index=True)
    src = fields.Char("Source")
    dst = fields.Char("Destination")
    clid = fields.Char("Caller ID")
    dcontext = fields.Char("Context")
    channel = fields.Char()
    dstchannel = fields.Char("Destination channel")
    started = fields.Datetime(index=True)
    answered = fields.Datetime()
    ended = fields.Datetime()
    duration = fields.Integer(help="Seconds from start to end.")
    billsec = fields.Integer("Billed", help="Seconds from answer to end.")
    disposition = fields.Char()
    minutes = fields.Float(
        compute="_compute_minutes", store=True, readonly=False, help="Billed minutes."
    )
    direction = fields.Selection([("in", "In"), ("out", "Out"), ("internal", "Internal")])
    user_id = fields.Many2one("res.users", index=True, ondelete="set null")
    number = fields.Char(help="The other party's number, E.164 where it is one.", index=True)
    partner_id = fields.Many2one("res.partner", "Contact", index=True, ondelete="set null")
    accountcode = fields.Char("Account code")
    userfield = fields.Char("User field")

    def init(self):
        require(self.env)
        self.env.cr.execute(
            """
            CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_call_cdr
                ON asterisk_plus_call (server_id, uniqueid, sequence) WHERE sequence >= 0
            """
        )

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([_complete(vals) for vals in vals_list])

    @api.depends("billsec")
    def _compute_minutes(self):
        for call in self:
            call.minutes = call.billsec / 60

    @api.model
    @compat.private
    def create_cdrs(self, events):
        """Batch handler of AMI's ``Cdr``: one call each; a record that is there is left alone.

        Times are UTC. The caller is a PBX's agent, and the calls are that PBX's.
        """
        require(self.env, AGENT)
        server = self.env["asterisk_plus.server"]._of_agent()
        rows = {}
        for event in events:
            values = _call_values({name.lower(): value for name, value in event.items()})
            key = (values["uniqueid"], values["sequence"])
            if values["sequence"] == NO_SEQUENCE:
                key += (len(rows),)
            rows[key] = dict(values, server_id=server.id)
        self.env.cr.execute(
            "SELECT uniqueid, sequence FROM asterisk_plus_call"
            " WHERE server_id = %s AND sequence >= 0 AND uniqueid = ANY(%s)",
            [server.id, [key[0] for key in rows]],
        )
        for key in self.env.cr.fetchall():
            rows.pop(key, None)
        self.sudo()._add_people(server, list(rows.values()))
        self.create(list(rows.values()))
        return True

    def _add_people(self, server, rows):
        """Complete the values of calls with who spoke to whom: by phones, then by contacts."""
        by_exten, by_channel = self.env["asterisk_plus.user"]._by_server(server)
        # The company's own country is a copy of all of this address.
        country = self.env.company.partner_id.country_id.code
        for row in rows:
            caller = by_channel.get(_device(row["channel"])) or by_exten.get(row["src"])
            called = by_channel.get(_device(row["dstchannel"])) or by_exten.get(row["dst"])
            row["user_id"] = caller or called
            if caller and called:
                row["direction"] = "internal"
                row["partner_id"] = self.env["res.users"].browse(called).partner_id.id
            elif caller:
                row["direction"] = "out"
            elif called or numbers.e164(row["src"], country):
                row["direction"] = "in"
            other = row["dst"] if caller else row["src"]
            row["number"] = numbers.e164(other, country) or other
        outside = [row for row in rows if row.get("direction") in ("in", "out")]
        wanted = {row["number"] for row in outside if row["number"]}
        owners = self.env["res.partner"]._asterisk_plus_owners(wanted, server.user_id.company_id)
        for row in outside:
            row["partner_id"] = owners.get(row["number"])


def _complete(vals):
    """Values with what costs Odoo a third of the time of a record.

    It would make a draft of the record only to compute its minutes, and parse each time twice.
    """
    times = {name: _time(name, vals[name]) for name in _TIMES if isinstance(vals.get(name), str)}
    return {"minutes": int(vals.get("billsec") or 0) / 60, **vals, **times}


def _call_values(header):
    """Values of a call from a ``Cdr`` event whose header names are in lower case."""
    get = header.get
    if not get("uniqueid"):
        raise ValueError("a Cdr event without UniqueID")
    sequence = get("sequence")
    return {
        "uniqueid": get("uniqueid"),
        "sequence": NO_SEQUENCE if sequence in (None, "") else int(sequence),
        "linkedid": get("linkedid"),
        "src": get("source"),
        "dst": get("destination"),
        "clid": get("callerid"),
        "dcontext": get("destinationcontext"),
        "channel": get("channel"),
        "dstchannel": get("destinationchannel"),
        "started": _time("StartTime", get("starttime")),
        "answered": _time("AnswerTime", get("answertime")),
        "ended": _time("EndTime", get("endtime")),
        "duration": int(get("duration") or 0),
        "billsec": int(get("billableseconds") or 0),
        "disposition": get("disposition"),
        "accountcode": get("accountcode"),
        "userfield": get("userfield"),
    }


def _device(channel):
    """The device of a channel, in lower case: ``pjsip/101`` of ``PJSIP/101-0000002a``."""
    return _CHANNEL_NUMBER.sub("", channel or "").lower()


def _time(header, value):
    if not value:
        return False
    with contextlib.suppress(ValueError):
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            return time
    raise ValueError(f"{header}: {value!r} is not YYYY-mm-dd HH:MM:SS in UTC")
