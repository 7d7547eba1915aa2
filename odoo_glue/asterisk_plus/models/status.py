from datetime import datetime, timedelta, timezone

from odoo import fields, models

from ..access import require


class Status(models.Model):
    """What a PBX did last: a row of its own, since people edit the server's."""

    _name = "asterisk_plus.status"
    _description = "PBX status"
    _rec_name = "server_id"
    _log_access = False

    server_id = fields.Many2one("asterisk_plus.server", required=True, ondelete="cascade")
    last_seen = fields.Datetime()
    last_start = fields.Datetime()
    done_count = fields.Integer()
    failed_count = fields.Integer()
    refused_count = fields.Integer()

    # What the PBX last said of itself: asterisk.status.
    asked = fields.Datetime()
    asterisk = fields.Char()
    ami = fields.Char()
    channels = fields.Integer()
    outbox_depth = fields.Integer()
    outbox_since = fields.Datetime()
    outbox_rate = fields.Float()
    outbox_failed = fields.Integer()
    outbox_error = fields.Char()
    outbox_next_try = fields.Datetime()

    def init(self):
        require(self.env)
        self.env.cr.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_status_server"
            " ON asterisk_plus_status (server_id)"
        )

    def _started(self, server):
        self.env.cr.execute(
            """
            INSERT INTO asterisk_plus_status (server_id, last_start)
            VALUES (%s, now() AT TIME ZONE 'utc')
            ON CONFLICT (server_id) DO UPDATE SET last_start = excluded.last_start
            """,
            [server.id],
        )
        self.invalidate_model()

    def _told(self, server, status):
        """Keep what ``asterisk.status`` returned, a dict."""
        now = fields.Datetime.now()
        oldest, next_try = status.get("oldest"), status.get("next_try")
        values = {
            "asked": now,
            # Debian adds the versions of its patches and components after a plus sign.
            "asterisk": (status.get("asterisk") or "").partition("+")[0],
            "ami": status.get("ami"),
            "channels": status.get("channels") or 0,
            "outbox_depth": status.get("outbox") or 0,
            "outbox_since": oldest is not None and now - timedelta(seconds=round(oldest)),
            "outbox_rate": status.get("rate") or 0,
            "outbox_failed": status.get("failed") or 0,
            "outbox_error": status.get("error"),
            "outbox_next_try": next_try and _utc(next_try),
        }
        row = self.search([("server_id", "=", server.id)])
        if row:
            row.write(values)
        else:
            self.create({"server_id": server.id, **values})

    def _seen(self, server, done=0, failed=0, refused=0):
        """Note that the PBX called, and what came of its items.

        Locks the row until the transaction ends: so the outboxes of one PBX, a clone's for
        instance, come one after the other.
        """
        self.env.cr.execute(
            """
            INSERT INTO asterisk_plus_status AS status
                (server_id, last_seen, done_count, failed_count, refused_count)
            VALUES (%s, now() AT TIME ZONE 'utc', %s, %s, %s)
            ON CONFLICT (server_id) DO UPDATE SET
                last_seen = excluded.last_seen,
                done_count = coalesce(status.done_count, 0) + excluded.done_count,
                failed_count = coalesce(status.failed_count, 0) + excluded.failed_count,
                refused_count = coalesce(status.refused_count, 0) + excluded.refused_count
            """,
            [server.id, done, failed, refused],
            # A request that waited for another one fails to serialize, and Odoo repeats it.
            log_exceptions=False,
        )
        self.invalidate_model()


def _utc(epoch):
    return datetime.fromtimestamp(round(epoch), timezone.utc).replace(tzinfo=None)
