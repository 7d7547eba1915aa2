import json
from datetime import timedelta

from odoo import api, fields, models

from ..access import require

# An outbox that comes back from a backup, or on a cloned host, sends again what it sent in these
# days under another id: the ids of what took effect tell.
REMEMBER = timedelta(days=14)
FORGET_OUTBOX = timedelta(days=90)


class Outbox(models.Model):
    """How far one outbox of a PBX has come: the mark, and the answer that was given there."""

    _name = "asterisk_plus.outbox"
    _description = "PBX outbox"
    _rec_name = "uuid"

    server_id = fields.Many2one("asterisk_plus.server", required=True, ondelete="cascade")
    uuid = fields.Char(required=True)
    mark = fields.Integer(help="The number of the last batch that was applied.")
    answers = fields.Text(help="JSON: what that batch was answered.")

    def init(self):
        require(self.env)
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_outbox_uuid"
            " ON asterisk_plus_outbox (server_id, uuid)"
        )

    @api.model
    def _take(self, server, uuid):
        """``(id, mark, answers)`` of an outbox, its row locked until the transaction ends.

        Two first requests at once meet at the unique index: one of them waits, fails to
        serialize and is retried by Odoo.
        """
        self.env.cr.execute(
            "INSERT INTO asterisk_plus_outbox (server_id, uuid, mark, create_date, write_date)"
            " VALUES (%s, %s, 0, now() AT TIME ZONE 'utc', now() AT TIME ZONE 'utc')"
            " ON CONFLICT DO NOTHING",
            [server.id, uuid],
            log_exceptions=False,
        )
        self.env.cr.execute(
            "SELECT id, mark, answers FROM asterisk_plus_outbox"
            " WHERE server_id = %s AND uuid = %s FOR UPDATE",
            [server.id, uuid],
            log_exceptions=False,
        )
        row, mark, answers = self.env.cr.fetchone()
        return row, mark, json.loads(answers or "{}")

    @api.model
    def _store(self, row, mark, answers):
        self.env.cr.execute(
            "UPDATE asterisk_plus_outbox"
            " SET mark = %s, answers = %s, write_date = now() AT TIME ZONE 'utc' WHERE id = %s",
            [mark, json.dumps(answers), row],
        )
        self.invalidate_model()

    @api.autovacuum
    def _gc_outboxes(self):
        self.search([("write_date", "<", fields.Datetime.now() - FORGET_OUTBOX)]).unlink()


class Applied(models.Model):
    """The ids of the items that took effect, for ``REMEMBER``."""

    _name = "asterisk_plus.applied"
    _description = "PBX item that took effect"
    _rec_name = "item"
    _log_access = False

    server_id = fields.Many2one("asterisk_plus.server", required=True, ondelete="cascade")
    item = fields.Char(required=True)
    day = fields.Date(required=True)

    def init(self):
        require(self.env)
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_applied_item"
            " ON asterisk_plus_applied (server_id, item)"
        )

    @api.model
    def _known(self, server, ids):
        """Those of ``ids`` that took effect before."""
        self.env.cr.execute(
            "SELECT item FROM asterisk_plus_applied WHERE server_id = %s AND item = ANY(%s)",
            [server.id, list(ids)],
        )
        return {item for (item,) in self.env.cr.fetchall()}

    @api.model
    def _add(self, server, ids):
        self.env.cr.execute(
            "INSERT INTO asterisk_plus_applied (server_id, item, day)"
            " SELECT %s, unnest(%s::varchar[]), current_date ON CONFLICT DO NOTHING",
            [server.id, list(ids)],
        )

    @api.autovacuum
    def _gc_applied(self):
        self.env.cr.execute(
            "DELETE FROM asterisk_plus_applied WHERE day < %s",
            [fields.Date.today() - REMEMBER],
        )
