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

import contextlib
import errno
import json
import os
import random
import select
import sqlite3
import time
import uuid

from pbxlib.errors import OutboxError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,           -- 16 hex digits, random: also unlike those of a cloned host
    kind TEXT NOT NULL,         -- event or result
    name TEXT NOT NULL,         -- AMI event name, bus tag glob, or the job's function
    model TEXT, method TEXT, batch INTEGER NOT NULL,
    data TEXT NOT NULL,         -- JSON
    created REAL NOT NULL, due REAL NOT NULL, expires REAL,
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
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
_COUNTERS = ("delivered", "stale", "superseded", "dropped")
# How many items are written between two looks at the limits.
_LIMIT_EVERY = 1000


class Outbox:
    """One process's hold on the outbox file at ``path``.

    ``max_rows`` and ``max_bytes`` bound it: past them the least worth keeping goes first.
    Raises :class:`~pbxlib.errors.OutboxError` when the file cannot be opened or written.
    """

    def __init__(self, path, max_rows=2_000_000, max_bytes=2 * 1024**3, clock=time.time):
        self.path = path
        self._clock = clock
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._unchecked = _LIMIT_EVERY
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
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
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self):
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutboxError(f"the outbox {self.path} cannot be written: {error}") from error

    # What writers do ---------------------------------------------------------------------

    def put(self, items):
        """Add ``items`` in order, with one commit, and wake the sender. Returns their number.

        An item is a dict: ``kind``, ``name``, ``data`` (a dict), and, where they apply,
        ``model``, ``method``, ``batch``, ``delay`` (s), ``keep`` (s, ``None`` for ever),
        ``latest`` (replaces a waiting item with the same key).
        """
        now = self._clock()
        newest = {item["latest"]: item for item in items if item.get("latest")}
        rows = [
            (
                os.urandom(8).hex(),
                item["kind"],
                item["name"],
                item.get("model"),
                item.get("method"),
                int(item.get("batch") or 0),
                dumps(item["data"]),
                now,
                now + (item.get("delay") or 0),
                None if item.get("keep") is None else now + item["keep"],
                item.get("latest"),
            )
            for item in items
            if not item.get("latest") or newest[item["latest"]] is item
        ]
        with self._transaction() as db:
            superseded = len(items) - len(rows)
            for key in newest:
                superseded += db.execute(
                    "DELETE FROM items WHERE latest = ? AND number IS NULL AND NOT failed", (key,)
                ).rowcount
            db.executemany(
                "INSERT INTO items (id, kind, name, model, method, batch, data, created, due,"
                " expires, latest) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                rows,
            )
            if superseded:
                self._count("superseded", superseded)
            self._unchecked += len(rows)
            if self._unchecked >= _LIMIT_EVERY:
                self._unchecked = 0
                self._make_room()
        wake(self.path)
        return len(rows)

    def _make_room(self):
        """Drop what is least worth keeping while the file is over a limit."""
        rows = self._db.execute("SELECT count(*) FROM items").fetchone()[0]
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        size = self._db.execute("PRAGMA page_size").fetchone()[0]
        used = (pages - free) * size
        excess = max(rows - self._max_rows, 0)
        if used > self._max_bytes and rows:
            excess = max(excess, int(rows * (used - self._max_bytes) / used) + 1)
        if excess:
            dropped = self._db.execute(
                "DELETE FROM items WHERE seq IN (SELECT seq FROM items WHERE number IS NULL"
                " ORDER BY expires IS NULL, expires, seq LIMIT ?)",
                (excess,),
            ).rowcount
            self._count("dropped", dropped)

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
                    size += len(row["data"])
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
                db.execute(
                    "UPDATE items SET number = NULL WHERE number = ? AND seq >= ?",
                    (number, rows[keep]["seq"]),
                )
            else:
                db.execute(
                    "UPDATE items SET number = NULL, failed = 1, tries = tries + 1, error = ?"
                    " WHERE number = ?",
                    (error, number),
                )
            return keep

    def settle(self, number, answers, tries, pause):
        """Take Odoo's answer to batch ``number``.

        ``answers``: item id → ``['done']``, ``['failed', why]`` or ``['refused', why]``; it may
        name items of the batch that :meth:`shrink` put back. What is not named was not reached
        and goes into a later batch. ``tries``: how many failures set an item aside.
        ``pause(n)``: seconds until the try after the n-th failure. Returns ``(done, failed)``.
        """
        now = self._clock()
        done, bad = [], []
        for item, (word, *why) in answers.items():
            if word == "done":
                done.append((item,))
            else:
                bad.append((item, word == "refused", str(why[0] if why else word)))
        with self._transaction() as db:
            gone = db.executemany("DELETE FROM items WHERE id = ?", done).rowcount if done else 0
            for item, final, why in bad:
                row = db.execute("SELECT seq, tries FROM items WHERE id = ?", (item,)).fetchone()
                if row is None:
                    continue
                count = row["tries"] + 1
                db.execute(
                    "UPDATE items SET number = NULL, tries = ?, error = ?, failed = ?, due = ?"
                    " WHERE seq = ?",
                    (count, why, int(final or count >= tries), now + pause(count), row["seq"]),
                )
            db.execute("UPDATE items SET number = NULL WHERE number = ?", (number,))
            if gone:
                self._count("delivered", gone)
            self._set("note:answered", now)
        return gone, len(bad)

    def renew(self):
        """Start a new outbox id, with numbers from 1: this file is a copy of another's."""
        with self._transaction() as db:
            self._set("outbox", uuid.uuid4().hex)
            self._set("number", 0)
            db.execute("UPDATE items SET number = NULL WHERE number IS NOT NULL")

    def next_due(self):
        """Seconds until the next item is due (0 when one is), or ``None`` when none waits."""
        row = self._db.execute(
            "SELECT min(due) AS due FROM items WHERE number IS NULL AND NOT failed"
        ).fetchone()
        return None if row["due"] is None else max(0.0, row["due"] - self._clock())

    def note(self, **facts):
        """Keep what the sender wants a person to see (``error``, ``next_try``)."""
        with self._transaction():
            for key, value in facts.items():
                self._set(f"note:{key}", value)

    # What people do ----------------------------------------------------------------------

    def status(self):
        """A dict: ``depth``, ``failed``, ``oldest`` (s), counters, and the sender's notes."""
        now = self._clock()
        row = self._db.execute(
            "SELECT count(*) AS rows, total(failed) AS failed,"
            " min(CASE WHEN failed THEN NULL ELSE created END) AS oldest FROM items"
        ).fetchone()
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
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
        return status

    def failed(self, limit=100):
        """The items that were set aside, oldest first: a list of dicts."""
        rows = self._db.execute(
            "SELECT id, kind, name, model, method, created, tries, error, data FROM items"
            " WHERE failed ORDER BY seq LIMIT ?",
            (limit,),
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


def dumps(data):
    """``data`` as JSON that PostgreSQL takes: no NUL, and no half of a surrogate pair.

    What AMI sent outside UTF-8 is kept by the wire as lone surrogates; they become U+FFFD.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    if "\\u0000" in text:
        text = text.replace("\\u0000", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def pause(first, cap):
    """A function of the number of failures: seconds to wait, doubling, jittered, capped."""

    def seconds(failures):
        return min(cap, first * 2 ** (failures - 1)) * random.uniform(0.75, 1.25)  # noqa: S311

    return seconds


# The signal from writers to the sender: a byte in a named pipe beside the outbox. A pipe, since
# writers are other processes, and a waiting reader costs nothing.


def wake(path):
    """Tell the sender of the outbox at ``path`` that something changed. Never blocks."""
    try:
        descriptor = os.open(path + ".wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return  # no sender is running: it looks at the outbox when it starts
        raise OutboxError(f"the sender cannot be woken: {error}") from error
    try:
        os.write(descriptor, b"\0")
    except BlockingIOError:
        pass  # the pipe is full of wake-ups already
    finally:
        os.close(descriptor)


class Doorbell:
    """The sender's end of :func:`wake`."""

    def __init__(self, path):
        pipe = path + ".wake"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        # Opened for both, so that the pipe never reports its end when a writer leaves.
        self._descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout=None):
        """Return when the bell was rung, or after ``timeout`` seconds: whether it was rung."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        if not ready:
            return False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._descriptor, 4096):
                pass
        return True

    def close(self):
        os.close(self._descriptor)
