"""
The outbox: what is on its way to Odoo, in one SQLite file in the minion's cache.

Several processes write (the bridge, the returner, the command line), one sends. Each opens its
own :class:`Outbox` after it forks. The file is in WAL mode with ``synchronous=FULL``: what
:meth:`Outbox.put` returned from survives any crash.

Items leave in batches, and a batch takes effect once. The protocol, seen from this side:

* :meth:`Outbox.open_batch` gives a batch a rising number and commits that before it is sent.
  Until it is answered, the same call returns the same items under the same number.
* :meth:`Outbox.shrink` keeps the front of an open batch and puts the rest back.
* :meth:`Outbox.settle` takes the answer: each item is done, tried again later or set aside.
* :meth:`Outbox.renew` starts a new outbox id, when Odoo's mark shows that this file is a copy.

An item's ``state`` is a word a person understands: waiting, sending, failed.
"""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
import uuid

from pbxlib.doorbell import wake
from pbxlib.errors import OutboxError, ReserveUsed
from pbxlib.plain import dumps, text
from pbxlib.reserve import Reserve

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,           -- 16 hex digits, as unlike those of a cloned host
    kind TEXT NOT NULL,         -- event or result
    name TEXT NOT NULL,         -- AMI event name, bus tag glob, or the job's function
    model TEXT, method TEXT, batch INTEGER NOT NULL,
    data TEXT NOT NULL,         -- JSON
    created REAL NOT NULL,
    due REAL NOT NULL,          -- not to be sent before; 0, whatever the clock says, for at once
    expires REAL,
    latest TEXT,                -- while it waits, a newer item with this key replaces it
    tries INTEGER NOT NULL DEFAULT 0,
    number INTEGER,             -- the open batch it is in
    failed INTEGER NOT NULL DEFAULT 0,
    error TEXT
);
CREATE INDEX IF NOT EXISTS items_open ON items (number) WHERE number IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_failed ON items (seq) WHERE failed;
CREATE INDEX IF NOT EXISTS items_latest ON items (latest) WHERE latest IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_expiry ON items (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS records (  -- call records that only one of event and file brought
    key TEXT PRIMARY KEY, source TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
_COUNTERS = ("delivered", "stale", "superseded", "dropped")
_REPLACED = "SELECT seq, due FROM items WHERE latest = ? AND number IS NULL AND NOT failed"
# How many items are written between two looks at the limits.
_LIMIT_EVERY = 1000
# Seconds between two warnings of a full outbox.
_TELL_EVERY = 60
_LEAST_WORTH = (
    "SELECT seq FROM items WHERE number IS NULL ORDER BY expires IS NULL, expires, seq LIMIT ?"
)


def sizes(settings):
    """``(max_rows, max_bytes, reserve)`` of resolved settings, as :class:`Outbox` takes them."""
    outbox = settings["outbox"]
    return outbox["max_rows"], outbox["max_bytes"], outbox["reserve"]


class Outbox:
    """One process's hold on the outbox file at ``path``. Its threads may share it.

    ``max_rows`` and ``max_bytes`` bound the file: past them the least worth keeping goes first.
    ``reserve`` bytes are set aside for a full disk; once they are used, the file grows by a
    quarter of them and no more until the disk has room again. A writer without limits leaves
    that to the others. Every method raises :class:`~pbxlib.errors.OutboxError` when the file
    cannot be opened, read or written.
    """

    def __init__(self, path, max_rows=None, max_bytes=None, reserve=0, clock=time.time):
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._unchecked = 0
        self._lost = 0
        self._dropped = collections.Counter()
        self._delivered = collections.deque()
        self._told = float("-inf")
        self.limit(max_rows, max_bytes, reserve)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            # The file holds call records: nobody but the minion's user reads it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(
                    "INSERT OR IGNORE INTO meta VALUES ('outbox', ?), ('number', 0)",
                    (uuid.uuid4().hex,),
                )
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(f"the outbox {path} cannot be opened: {error}") from error

    def close(self):
        with self._lock:  # SQLite crashes when another thread is in the middle of something
            self._db.close()

    def limit(self, max_rows, max_bytes, reserve=0):
        """Other limits, from the next :meth:`put` on."""
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._reserve = Reserve(self.path + ".reserve", reserve)
        self._unchecked = _LIMIT_EVERY

    @contextlib.contextmanager
    def _transaction(self):
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                # A full disk ends some transactions by itself and leaves others open.
                with contextlib.suppress(sqlite3.ProgrammingError):  # it was closed
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                if not isinstance(error, sqlite3.Error):
                    raise
                kind = OutboxError
                # A full disk: the second is what SQLite says when its index cannot grow.
                if ("full" in str(error) or "disk I/O" in str(error)) and self._reserve.give_up():
                    log.warning("The disk of %s is full: its reserve is used now", self.path)
                    self._unchecked = _LIMIT_EVERY
                    kind = ReserveUsed
                raise kind(f"the outbox {self.path} cannot be written: {error}") from error

    def _read(self, query, *values):
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise OutboxError(f"the outbox {self.path} cannot be read: {error}") from error

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
            return self._put(items, position)
        except ReserveUsed:
            return self._put(items, position)

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
            self._unchecked += len(rows)
            if self._unchecked >= _LIMIT_EVERY:
                self._unchecked = 0
                self._make_room()
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

    def _make_room(self):
        """Drop what is least worth keeping while the file is over a limit."""
        if self._max_rows is None or self._max_bytes is None:
            return
        # Rows between the first and the last: counting them reads the whole file, and so would
        # both ends in one SELECT.
        rows = self._one(
            "SELECT coalesce((SELECT max(seq) FROM items) - (SELECT min(seq) FROM items) + 1, 0)"
        )
        if rows > self._max_rows:
            rows = self._one("SELECT count(*) FROM items")
        pages = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        used = pages * self._one("PRAGMA page_size")
        limit = self._limit_in_bytes(used)
        excess = max(rows - self._max_rows, 0)
        if used > limit and rows:
            excess = max(excess, int(rows * (used - limit) / used) + 1)
        if not excess:
            return
        names = self._db.execute(
            f"SELECT name, count(*) FROM items WHERE seq IN ({_LEAST_WORTH}) GROUP BY name",  # noqa: S608
            (excess,),
        )
        self._dropped.update(dict(names.fetchall()))
        dropped = self._db.execute(
            f"DELETE FROM items WHERE seq IN ({_LEAST_WORTH})",  # noqa: S608
            (excess,),
        ).rowcount
        self._count("dropped", dropped)
        self._tell_dropped(limit)

    def _limit_in_bytes(self, used):
        """What the file may grow to: less than its own limit on a disk that is full."""
        if not self._reserve.size:
            return self._max_bytes
        if self._reserve.make():
            self._db.execute("DELETE FROM meta WHERE key = 'room'")
            return self._max_bytes
        room = used + self._reserve.size // 4
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('room', ?)", (room,))
        return min(self._max_bytes, self._get("room"))

    def _tell_dropped(self, limit):
        if self._clock() - self._told < _TELL_EVERY:
            return
        log.warning(
            "The outbox is full (%s): the %s items least worth keeping were dropped (%s)",
            f"asterisk:outbox:max_rows {self._max_rows}, max_bytes {self._max_bytes}"
            if limit == self._max_bytes
            else f"its disk is, and it keeps to {limit} bytes",
            sum(self._dropped.values()),
            ", ".join(f"{count} {name}" for name, count in self._dropped.most_common()),
        )
        self._dropped.clear()
        self._told = self._clock()

    def _one(self, query):
        return self._db.execute(query).fetchone()[0]

    def _count(self, counter, number):
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + ?",
            (counter, number, number),
        )

    # What the sender does ----------------------------------------------------------------

    def open_batch(self, most_items, most_bytes):
        """The batch to send now, as :class:`Batch`, or ``None`` when nothing is due.

        The number is committed before this returns. Items that have gone stale are dropped and
        counted; one that went stale in a batch already opened is marked, not taken out, so
        that the number keeps its meaning.
        """
        now = self._clock()
        with self._transaction() as db:
            number = self._get("number")
            rows = db.execute(
                "SELECT * FROM items WHERE number IS NOT NULL ORDER BY seq"
            ).fetchall()
            if not rows:
                stale = db.execute(
                    "DELETE FROM items WHERE expires < ? AND NOT failed", (now,)
                ).rowcount
                if stale:
                    self._count("stale", stale)
                rows, size = [], 0
                for row in db.execute(
                    "SELECT * FROM items WHERE number IS NULL AND NOT failed AND due <= ?"
                    " ORDER BY seq LIMIT ?",
                    (now, most_items),
                ):
                    size += len(row["data"].encode())
                    if rows and size > most_bytes:
                        break
                    rows.append(row)
                if not rows:
                    return None
                number += 1
                self._set("number", number)
                db.executemany(
                    "UPDATE items SET number = ? WHERE seq = ?",
                    [(number, row["seq"]) for row in rows],
                )
            return Batch(self._get("outbox"), number, [self._wire(row, now) for row in rows])

    @staticmethod
    def _wire(row, now):
        item = {
            "id": row["id"],
            "kind": row["kind"],
            "name": row["name"],
            "data": json.loads(row["data"]),
        }
        if row["kind"] == "event":
            item.update(model=row["model"], method=row["method"], batch=bool(row["batch"]))
        if row["expires"] is not None and row["expires"] < now:
            item["stale"] = True
        return item

    def shrink(self, number, error):
        """Keep the front half of open batch ``number``; one lone item is set aside.

        Returns how many items stay in the batch.
        """
        with self._transaction() as db:
            rows = db.execute(
                "SELECT seq FROM items WHERE number = ? ORDER BY seq", (number,)
            ).fetchall()
            keep = len(rows) // 2
            if keep:
                self._put_back(number, first=rows[keep]["seq"])
            else:
                db.execute(
                    "UPDATE items SET number = NULL, failed = 1, tries = tries + 1, error = ?"
                    " WHERE number = ?",
                    (error, number),
                )
            return keep

    def settle(self, number, answers, tries, pause):
        """Take Odoo's answer to batch ``number``.

        ``answers``: item id → ``['done']``, ``['stale']`` (it came too late and was passed
        over), ``['failed', why]`` or ``['refused', why]``; it may name items of the batch that
        :meth:`shrink` put back. What is not named was not reached and goes into a later batch.
        ``tries``: how many failures set an item aside. ``pause(n)``: seconds until the try after
        the n-th failure. Returns ``(done, failed)``.
        """
        now = self._clock()
        counts = {"done": 0, "stale": 0, "failed": 0}
        with self._transaction() as db:
            rows = self._answered(number, answers)
            for item, row in rows.items():
                word, *why = answers[item]
                if word in ("done", "stale"):
                    counts[word] += 1
                    db.execute("DELETE FROM items WHERE seq = ?", (row["seq"],))
                    continue
                counts["failed"] += 1
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
            self._put_back(number)
            self._count("delivered", counts["done"])
            self._count("stale", counts["stale"])
            self._set("note:answered", now)
            self._set("note:rate", self._rate(now, counts["done"]))
        return counts["done"], counts["failed"]

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

    # What people do ----------------------------------------------------------------------

    def status(self):
        """A dict: ``depth``, ``failed``, ``oldest`` (s), counters, and the sender's notes:
        ``rate`` (items a second over a minute), ``answered`` (epoch s), ``error``, ``next_try``.
        """
        now = self._clock()
        (row,) = self._read(
            "SELECT count(*) AS rows, total(failed) AS failed,"
            " min(CASE WHEN failed THEN NULL ELSE created END) AS oldest FROM items"
        )
        meta = dict(self._read("SELECT key, value FROM meta"))
        status = {
            "outbox": meta["outbox"],
            "depth": row["rows"] - int(row["failed"]),
            "failed": int(row["failed"]),
            "oldest": None if row["oldest"] is None else round(now - row["oldest"], 1),
        }
        status.update({counter: meta.get(counter, 0) for counter in _COUNTERS})
        status.update(
            {key[5:]: value for key, value in sorted(meta.items()) if key.startswith("note:")}
        )
        if status.get("answered", 0) <= now - 60:
            status["rate"] = 0
        return status

    def failed(self, limit=100):
        """The items that were set aside, oldest first: a list of dicts."""
        rows = self._read(
            "SELECT id, kind, name, model, method, created, tries, error, data FROM items"
            " WHERE failed ORDER BY seq LIMIT ?",
            limit,
        )
        return [dict(row, data=json.loads(row["data"])) for row in rows]

    def retry(self, ids=None):
        """Put items that were set aside (all, or those of ``ids``) back. Returns how many."""
        with self._transaction():
            count = self._each_failed(
                "UPDATE items SET failed = 0, tries = 0, due = 0 WHERE failed", ids
            )
        wake(self.path)
        return count

    def drop(self, ids=None):
        """Delete items that were set aside (all, or those of ``ids``). Returns how many."""
        with self._transaction():
            count = self._each_failed("DELETE FROM items WHERE failed", ids)
            self._count("dropped", count)
        return count

    def _each_failed(self, statement, ids):
        if ids is None:
            return self._db.execute(statement).rowcount
        cursor = self._db.executemany(f"{statement} AND id = ?", [(item,) for item in ids])
        return max(cursor.rowcount, 0)

    def _get(self, key):
        return self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _set(self, key, value):
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


class Batch:
    """An open batch: ``outbox`` (id), ``number`` and ``items`` (dicts as Odoo takes them)."""

    __slots__ = ("items", "number", "outbox")

    def __init__(self, outbox, number, items):
        self.outbox = outbox
        self.number = number
        self.items = items
