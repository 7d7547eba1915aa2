"""Keeps every ``Cdr`` that reaches it, so that one that came twice is there twice."""

import time

from odoo import api, fields, models


class Probe(models.Model):
    _name = "lab.probe"
    _description = "What a handler was given"

    server_id = fields.Many2one("asterisk_plus.server")
    uniqueid = fields.Char()
    sequence = fields.Integer()

    @api.model
    def on_cdr(self, event):
        """A handler of one event, which misbehaves as ``lab_probe.mode`` says."""
        mode = self.env["ir.config_parameter"].sudo().get_param("lab_probe.mode")
        if mode == "slow":
            time.sleep(0.02)
        self.create(
            {
                "server_id": self.env["asterisk_plus.server"]._of_agent().id,
                "uniqueid": event["UniqueID"],
                "sequence": int(event["Sequence"]),
            }
        )
        number = int(event["UniqueID"].rsplit(".", 1)[1])
        if mode == "raise" and number % 10 == 0:
            raise ValueError("every tenth fails")
        if mode == "commit" and number % 10 == 0:
            self.env.cr.commit()
        if mode == "hang" and event["Destination"] == "600" and event["Channel"].endswith(";2"):
            time.sleep(3600)

    @api.model
    def tally(self, minion):
        """How often each record of a PBX came: ``[uniqueid, sequence, times at the probe, times
        among the calls]``."""
        self.env.cr.execute(
            """
            SELECT uniqueid, sequence, sum(probe)::int, sum(call)::int FROM (
                SELECT server_id, uniqueid, sequence, 1 AS probe, 0 AS call FROM lab_probe
                UNION ALL
                SELECT server_id, uniqueid, sequence, 0, 1 FROM asterisk_plus_call
            ) AS came JOIN asterisk_plus_server AS server ON server.id = came.server_id
            WHERE server.minion_id = %s GROUP BY uniqueid, sequence
            """,
            [minion],
        )
        return self.env.cr.fetchall()
