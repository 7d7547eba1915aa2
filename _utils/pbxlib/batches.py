"""
What leaves the outbox: numbered batches, one of them under way at a time.

A batch takes effect once, since Odoo keeps the number of the last one that it applied. So a number
stands for its items from the commit before it is first sent until it is answered: the same items,
or fewer from its front, never others.
"""

from __future__ import annotations

import collections
import json
import uuid

from pbxlib.plain import Encoded, dumps, text
from pbxlib.store import AT_ONCE, Store

_WAITING = (
    "SELECT * FROM items WHERE number IS NULL AND NOT failed AND due <= ?"
    " AND (expires IS NULL OR expires >= ?) ORDER BY seq LIMIT ?"
)
_STALE = "SELECT seq FROM items WHERE expires < ? AND number IS NULL AND NOT failed LIMIT ?"


class Batch:
    """An open batch: ``outbox`` (id), ``number``, ``ids`` of its items, in order, and ``body``:
    the items as a JSON list, as Odoo takes them. ``full``: more items may wait than it holds.
    """

    __slots__ = ("body", "full", "ids", "number", "outbox")

    def __init__(self, outbox, number, chosen):
        self.outbox = outbox
        self.number = number
        self.ids = chosen.ids
        self.body = chosen.body
        self.full = chosen.full

    @property
    def items(self):
        """The items as dicts."""
        return json.loads(self.body)


class Chosen:
    """Rows that are to be sent together, and what Odoo gets of them."""

    __slots__ = ("body", "full", "ids", "places")

    def __init__(self, rows, full, now):
        self.places = [row["seq"] for row in rows]
        self.ids = [row["id"] for row in rows]
        self.body = Encoded(f"[{','.join([_encoded(row, now) for row in rows])}]")
        self.full = full


def _encoded(row, now):
    """A row as a JSON mapping. Its data is JSON already."""
    item = {"id": row["id"], "kind": row["kind"], "name": row["name"]}
    if row["kind"] == "event":
        item.update(model=row["model"], method=row["method"], batch=bool(row["batch"]))
    if row["expires"] is not None and row["expires"] < now:
        item["stale"] = True
    return f'{dumps(item)[:-1]},"data":{row["data"]}}}'


class Batches(Store):
    """The sender's side of the outbox."""

    def __init__(self, path, clock):
        self._delivered = collections.deque()
        super().__init__(path, clock)

    def open_batch(self, most_items, most_bytes):
        """The batch to send now, as :class:`Batch`, or ``None`` when nothing is due.

        The number is committed before this returns. Items that have gone stale are dropped and
        counted; one that went stale in a batch already opened is marked, not taken out, so
        that the number keeps its meaning.
        """
        now = self._clock()
        self._drop_stale(now)
        with self._transaction() as db:
            number = self._get("number")
            # Not any number: SQLite would read the whole backlog to find it.
            rows = db.execute(
                "SELECT * FROM items WHERE number = ? ORDER BY seq", (number,)
            ).fetchall()
            if rows:
                return Batch(self._get("outbox"), number, Chosen(rows, False, now))
            chosen = self._choose(db, now, most_items, most_bytes)
            return self._open(chosen, now) if chosen else None

    def prepare(self, most_items, most_bytes):
        """What would follow the batch under way, for :meth:`settle` to open: ``None`` unless a
        whole batch waits, for otherwise more will have come by then. What has gone stale is
        dropped.
        """
        now = self._clock()
        self._drop_stale(now)
        with self._reading() as db:
            chosen = self._choose(db, now, most_items, most_bytes)
        return chosen if chosen and chosen.full else None

    def _choose(self, db, now, most_items, most_bytes):
        rows, size, full = [], 0, False
        for row in db.execute(_WAITING, (now, now, most_items)):
            size += len(row["data"].encode())
            if rows and size > most_bytes:
                full = True
                break
            rows.append(row)
        return Chosen(rows, full or len(rows) == most_items, now) if rows else None

    def _open(self, chosen, now):
        """The next number for ``chosen``; ``None`` when not all of it still waits."""
        number = self._get("number") + 1
        opened = self._db.executemany(
            "UPDATE items SET number = ? WHERE seq = ? AND number IS NULL AND NOT failed"
            " AND (expires IS NULL OR expires >= ?)",
            [(number, place, now) for place in chosen.places],
        ).rowcount
        if opened < len(chosen.places):
            self._db.execute("UPDATE items SET number = NULL WHERE number = ?", (number,))
            return None
        self._set("number", number)
        return Batch(self._get("outbox"), number, chosen)

    def _drop_stale(self, now):
        """Drop and count what went stale, in transactions of its own."""
        while stale := self._read(_STALE, now, AT_ONCE):
            with self._transaction() as db:
                gone = db.executemany(
                    "DELETE FROM items WHERE seq = ? AND number IS NULL AND NOT failed", stale
                ).rowcount
                self._count("stale", gone)

    def shrink(self, number, keep, error):
        """Leave the first ``keep`` items in open batch ``number`` and let the rest wait again.

        ``keep`` 0 sets its items aside with ``error``.
        """
        with self._transaction() as db:
            if keep:
                rows = db.execute(
                    "SELECT seq FROM items WHERE number = ? ORDER BY seq LIMIT 1 OFFSET ?",
                    (number, keep),
                ).fetchall()
                if rows:
                    self._put_back(number, first=rows[0]["seq"])
            else:
                db.execute(
                    "UPDATE items SET number = NULL, failed = 1, tries = tries + 1, error = ?"
                    " WHERE number = ?",
                    (error, number),
                )

    def settle(self, number, answers, tries, pause, following=None):
        """Take Odoo's answer to batch ``number``.

        ``answers``: item id → ``['done']``, ``['stale']`` (it came too late and was passed
        over), ``['failed', why]`` or ``['refused', why]``; it may name items of the batch that
        :meth:`shrink` put back. What is not named was not reached and goes into a later batch.
        ``tries``: how many failures set an item aside. ``pause(n)``: seconds until the try after
        the n-th failure.

        ``following``: what :meth:`prepare` found; it is opened by the same commit, unless other
        items come first by now, and returned as a :class:`Batch`.
        """
        now = self._clock()
        counts = {"done": 0, "stale": 0}
        gone = []
        with self._transaction() as db:
            rows = self._answered(number, answers)
            for item, row in rows.items():
                word, *why = answers[item]
                if word in counts:
                    counts[word] += 1
                    gone.append((row["seq"],))
                    continue
                failures = row["tries"] + 1
                aside = word == "refused" or failures >= tries
                db.execute(
                    "UPDATE items SET tries = ?, error = ?, failed = ?, due = ? WHERE seq = ?",
                    (
                        failures,
                        text(str(why[0] if why else word)),
                        int(aside),
                        now + pause(failures),
                        row["seq"],
                    ),
                )
            db.executemany("DELETE FROM items WHERE seq = ?", gone)
            self._put_back(number)
            self._count("delivered", counts["done"])
            self._count("stale", counts["stale"])
            self._set("note:answered", now)
            self._set("note:rate", self._rate(now, counts["done"]))
            if following is None or self._is_earlier(following, now):
                return None
            return self._open(following, now)

    def _is_earlier(self, chosen, now):
        """Whether an item waits that comes before ``chosen``: one that was put back, say."""
        query = f"SELECT 1 FROM ({_WAITING}) WHERE seq < ?"  # noqa: S608
        return self._db.execute(query, (now, now, 1, chosen.places[0])).fetchone() is not None

    def _rate(self, now, done):
        """Items a second that were delivered in the last minute, ``done`` of them now."""
        self._delivered.append((now, done))
        while self._delivered[0][0] <= now - 60:
            self._delivered.popleft()
        return round(sum(count for _, count in self._delivered) / 60, 2)

    def _answered(self, number, answers):
        """The rows that ``answers`` names, by id."""
        batch = self._db.execute("SELECT id, seq, tries FROM items WHERE number = ?", (number,))
        rows = {row["id"]: row for row in batch if row["id"] in answers}
        if len(rows) < len(answers):
            # A shrunk batch that Odoo had applied whole. The id has no index, for this is rare.
            rest = self._db.execute("SELECT id, seq, tries FROM items WHERE number IS NULL")
            rows.update({row["id"]: row for row in rest if row["id"] in answers})
        return rows

    def _put_back(self, number, first=0):
        """Let the items of the batch from ``first`` on wait again, but for superseded ones."""
        self._count(
            "superseded",
            self._db.execute(
                "DELETE FROM items WHERE number = ? AND seq >= ? AND NOT failed AND EXISTS"
                " (SELECT 1 FROM items AS newer WHERE newer.latest = items.latest"
                " AND newer.seq > items.seq AND NOT newer.failed)",
                (number, first),
            ).rowcount,
        )
        self._db.execute(
            "UPDATE items SET number = NULL WHERE number = ? AND seq >= ?", (number, first)
        )

    def renew(self):
        """Start a new outbox id, with numbers from 1: this file is a copy of another's."""
        with self._transaction() as db:
            self._set("outbox", uuid.uuid4().hex)
            self._set("number", 0)
            db.execute("UPDATE items SET number = NULL WHERE number IS NOT NULL")

    def next_due(self):
        """Seconds until the next item is due (0 when one is), or ``None`` when none waits."""
        due = self._read("SELECT min(due) AS due FROM items WHERE number IS NULL AND NOT failed")
        due = due[0]["due"]
        return None if due is None else max(0.0, due - self._clock())

    def note(self, **facts):
        """Keep what the sender wants a person to see (``error``, ``next_try``)."""
        with self._transaction():
            for key, value in facts.items():
                self._set(f"note:{key}", value)
