"""
The outbox: what is on its way to Odoo, in one SQLite file in the minion's cache.

Several processes write (the bridge, the returner, the command line), one sends. Each opens its
own :class:`Outbox` after it forks. What :meth:`Outbox.put` returned from survives any crash.

Items leave in batches, and a batch takes effect once. The protocol, seen from this side:

* :meth:`Outbox.open_batch` gives a batch a rising number and commits that before it is sent.
  Until it is answered, the same call returns the same items under the same number.
* :meth:`Outbox.shrink` keeps the front of an open batch and puts the rest back.
* :meth:`Outbox.settle` takes the answer: each item is done, tried again later or set aside. The
  batch that follows can be read meanwhile, by :meth:`Outbox.prepare`, and opened by that commit.
* :meth:`Outbox.renew` starts a new outbox id, when Odoo's mark shows that this file is a copy.

An item's ``state`` is a word a person understands: waiting, sending, failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

from pbxlib.batches import Batches
from pbxlib.doorbell import wake
from pbxlib.errors import OutboxError, ReserveUsed
from pbxlib.plain import dumps, text
from pbxlib.room import Room
from pbxlib.store import AT_ONCE

_COUNTERS = ("delivered", "stale", "superseded", "dropped")
_REPLACED = "SELECT seq, due FROM items WHERE latest = ? AND number IS NULL AND NOT failed"
_NEXT_TRIED = (
    "SELECT error, due AS next_try FROM items WHERE tries > 0 AND NOT failed ORDER BY due LIMIT 1"
)


def sizes(settings):
    """``(max_rows, max_bytes, reserve)`` of resolved settings, as :class:`Outbox` takes them."""
    outbox = settings["outbox"]
    return outbox["max_rows"], outbox["max_bytes"], outbox["reserve"]


class Outbox(Batches):
    """One process's hold on the outbox file at ``path``. Its threads may share it.

    ``max_rows`` and ``max_bytes`` bound the file: past them the least worth keeping goes first.
    ``reserve`` bytes are set aside for a full disk: see :class:`~pbxlib.room.Room`. A writer
    without limits leaves that to the others. Every method raises
    :class:`~pbxlib.errors.OutboxError` when the file cannot be opened, read or written.
    """

    def __init__(self, path, max_rows=None, max_bytes=None, reserve=0, clock=time.time):
        self._lost = 0
        self._room = Room(path, clock)
        self.limit(max_rows, max_bytes, reserve)
        super().__init__(path, clock)

    def limit(self, max_rows, max_bytes, reserve=0):
        """Other limits, from the next :meth:`put` on."""
        self._room.limit(max_rows, max_bytes, reserve)

    def _disk_is_full(self):
        return ReserveUsed if self._room.give_up_reserve() else OutboxError

    @property
    def id(self):
        """The outbox id: 32 hex digits."""
        return self._read("SELECT value FROM meta WHERE key = 'outbox'")[0]["value"]

    # What writers do ---------------------------------------------------------------------

    def put(self, items, position=None):
        """Add ``items`` in order, with one commit, and wake the sender. Returns their number.

        An item is a dict: ``kind``, ``name``, ``data`` (a dict), and, where they apply,
        ``model``, ``method``, ``batch``, ``delay`` (s), ``keep`` (s, ``None`` for ever),
        ``latest`` (replaces a waiting item with the same key, and is due no later than that was,
        or a stream of them would put it off for ever), ``id`` (16 hex digits; random otherwise),
        ``record`` (the key of a call record, which events and Asterisk's file bring: what the
        other has brought is passed over).

        ``position``: the items come from that file, which was read so far (see :attr:`position`).
        """
        try:
            count = self._put(items, position)
        except ReserveUsed:
            count = self._put(items, position)
        with contextlib.suppress(OutboxError):  # these items are put, and the next go on with it
            while self._room.is_short:
                with self._transaction() as db:
                    self._count("dropped", self._room.make(db, 0))
        return count

    def lost(self, count):
        """Count ``count`` items as dropped that could not be put, with the next that can."""
        self._lost += count

    def _put(self, items, position):
        now = self._clock()
        source = "event" if position is None else "file"
        newest = {item["latest"]: item for item in items if item.get("latest")}
        superseded = len(items)
        items = [item for item in items if not item.get("latest") or newest[item["latest"]] is item]
        superseded -= len(items)
        encoded = [dumps(item["data"]) for item in items]
        # One draw for all: a call of the system for each would cost more than the rest of the row.
        ids = os.urandom(8 * len(items)).hex()
        rows = []
        with self._transaction() as db:
            if position is not None:
                self._set("position", json.dumps(position))
            brought = self._brought({item.get("record") for item in items}, source, now)
            for place, (item, data) in enumerate(zip(items, encoded)):
                if item.get("record") in brought:
                    continue
                due = now + item["delay"] if item.get("delay") else 0
                latest = text(item.get("latest"))
                if latest is not None:
                    replaced = db.execute(_REPLACED, (latest,)).fetchall()
                    for row in replaced:
                        db.execute("DELETE FROM items WHERE seq = ?", (row["seq"],))
                    due = min([due, *(row["due"] for row in replaced)])
                    superseded += len(replaced)
                rows.append(
                    (
                        item.get("id") or ids[16 * place : 16 * place + 16],
                        item["kind"],
                        text(item["name"]),
                        text(item.get("model")),
                        text(item.get("method")),
                        int(item.get("batch") or 0),
                        data,
                        now,
                        due,
                        None if item.get("keep") is None else now + item["keep"],
                        latest,
                    )
                )
            db.executemany(
                "INSERT INTO items (id, kind, name, model, method, batch, data, created, due,"
                " expires, latest) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                rows,
            )
            self._count("superseded", superseded)
            lost = self._lost
            self._count("dropped", lost)
            self._count("dropped", self._room.make(db, len(rows)))
        self._lost -= lost
        if rows:
            wake(self.path)
        return len(rows)

    def _brought(self, keys, source, now):
        """Which of the call records (a set of keys) the other source has brought before.

        Each source brings a record once, so that one that both have brought can be forgotten.
        """
        brought = set()
        for key in keys - {None}:
            inserted = self._db.execute(
                "INSERT OR IGNORE INTO records VALUES (?, ?, ?)", (key, source, now)
            ).rowcount
            if not inserted:
                brought.add(key)
                self._db.execute("DELETE FROM records WHERE key = ? AND source != ?", (key, source))
        return brought

    @property
    def position(self):
        """How far Asterisk's file of call records was read: a list, ``None`` at the first start."""
        rows = self._read("SELECT value FROM meta WHERE key = 'position'")
        return json.loads(rows[0]["value"]) if rows else None

    @position.setter
    def position(self, position):
        with self._transaction() as db:
            if position is None:
                db.execute("DELETE FROM meta WHERE key = 'position'")
            else:
                self._set("position", json.dumps(position))

    def forget_records(self, **before):
        """Forget the call records that one source (``event``, ``file``) alone brought before then
        (epoch s): the other one will not."""
        with self._transaction() as db:
            for source, created in before.items():
                db.execute(
                    "DELETE FROM records WHERE source = ? AND created < ?", (source, created)
                )

    # What people do ----------------------------------------------------------------------

    def status(self):
        """A dict: ``depth``, ``failed``, ``oldest`` (s), counters, and the sender's notes:
        ``rate`` (items a second over a minute), ``answered`` (epoch s), ``error``, ``next_try``.
        While Odoo answers, the last two are those of an item that failed there and is tried again.
        """
        now = self._clock()
        (failed,) = self._read("SELECT count(*) AS count FROM items WHERE failed")
        # Not the least of all: that would read a backlog of a million whole.
        oldest = self._read("SELECT created FROM items WHERE NOT failed ORDER BY seq LIMIT 1")
        meta = dict(self._read("SELECT key, value FROM meta"))
        status = {
            "outbox": meta["outbox"],
            "depth": meta["rows"] - failed["count"],
            "failed": failed["count"],
            "oldest": round(now - oldest[0]["created"], 1) if oldest else None,
        }
        status.update({counter: meta.get(counter, 0) for counter in _COUNTERS})
        status.update(
            {key[5:]: value for key, value in sorted(meta.items()) if key.startswith("note:")}
        )
        tried = self._read(_NEXT_TRIED)
        if tried and not status.get("error"):
            status.update(dict(tried[0]))
        if status.get("answered", 0) <= now - 60:
            status["rate"] = 0
        return status

    def failed(self, limit=100):
        """The items that were set aside, oldest first: a list of dicts. No job's token is told."""
        rows = self._read(
            "SELECT id, kind, name, model, method, created, tries, error, data FROM items"
            " WHERE failed ORDER BY seq LIMIT ?",
            limit,
        )
        items = [dict(row, data=json.loads(row["data"])) for row in rows]
        for item in items:
            if item["kind"] == "result":
                item["data"].pop("token", None)
        return items

    def retry(self, ids=None):
        """Put items that were set aside (all, or those of ``ids``) back. Returns how many."""
        count = self._each_failed("UPDATE items SET failed = 0, tries = 0, due = 0", ids)
        wake(self.path)
        return count

    def drop(self, ids=None):
        """Delete items that were set aside (all, or those of ``ids``). Returns how many."""
        return self._each_failed("DELETE FROM items", ids, "dropped")

    def _each_failed(self, statement, ids, counter=None):
        """Do ``statement`` to each; how many they are, which ``counter`` counts."""
        count = last = 0
        while True:
            with self._transaction() as db:
                if ids is None:
                    query = "SELECT seq FROM items WHERE failed AND seq > ? ORDER BY seq LIMIT ?"
                    found = db.execute(query, (last, AT_ONCE)).fetchall()
                else:
                    query = "SELECT seq FROM items WHERE failed AND id = ?"
                    found = [row for item in set(ids) for row in db.execute(query, (item,))]
                db.executemany(f"{statement} WHERE seq = ?", found)
                if counter:
                    self._count(counter, len(found))
            count += len(found)
            if ids is not None or len(found) < AT_ONCE:
                return count
            last = found[-1]["seq"]
