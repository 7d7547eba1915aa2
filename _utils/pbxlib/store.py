"""
The outbox's file: SQLite in WAL mode, shared by processes and by the threads of each.

``synchronous=FULL``: what was committed survives any crash, and a power cut as far as the disk
keeps its word.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import uuid

from pbxlib.errors import OutboxError

# How many rows one transaction changes, and how many bytes its log keeps afterwards: it holds each
# page that is changed, and with a million rows would fill the disk.
AT_ONCE = 1000
_LOG = 8 * 1024 * 1024
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
CREATE INDEX IF NOT EXISTS items_waiting ON items (seq) WHERE number IS NULL AND NOT failed;
CREATE INDEX IF NOT EXISTS items_failed ON items (seq) WHERE failed;
CREATE INDEX IF NOT EXISTS items_tried ON items (due) WHERE tries > 0 AND NOT failed;
CREATE INDEX IF NOT EXISTS items_latest ON items (latest) WHERE latest IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_expiry ON items (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS records (  -- call records that only one of event and file brought
    key TEXT PRIMARY KEY, source TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO meta SELECT 'rows', count(*) FROM items
    WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'rows');
-- Counted as they come and go: counting them when the file is full would read all of it.
CREATE TRIGGER IF NOT EXISTS items_come AFTER INSERT ON items
    BEGIN UPDATE meta SET value = value + 1 WHERE key = 'rows'; END;
CREATE TRIGGER IF NOT EXISTS items_go AFTER DELETE ON items
    BEGIN UPDATE meta SET value = value - 1 WHERE key = 'rows'; END;
"""


class Store:
    """One process's hold on the file at ``path``, opened after it forked. Its threads share it.

    Every method raises :class:`~pbxlib.errors.OutboxError` when the file cannot be opened, read
    or written. ``clock``: tells the time (epoch s).
    """

    def __init__(self, path, clock=time.time):
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
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
            self._db.execute(f"PRAGMA journal_size_limit={_LOG}")
            with self._transaction():
                for statement in _statements(_SCHEMA):
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
                # A full disk: the second is what SQLite says when its index cannot grow.
                full = "full" in str(error) or "disk I/O" in str(error)
                kind = self._disk_is_full() if full else OutboxError
                raise kind(f"the outbox {self.path} cannot be written: {error}") from error

    def _disk_is_full(self):
        """What is raised for it: an ``OutboxError`` class."""
        return OutboxError

    @contextlib.contextmanager
    def _reading(self):
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise OutboxError(f"the outbox {self.path} cannot be read: {error}") from error

    def _read(self, query, *values):
        with self._reading() as db:
            return db.execute(query, values).fetchall()

    def _get(self, key):
        return self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _set(self, key, value):
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _count(self, counter, number):
        if number:
            self._db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + ?",
                (counter, number, number),
            )


def _statements(script):
    """The statements of a script; one may hold semicolons of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
