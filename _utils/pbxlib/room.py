"""
Room in the outbox: its limits in rows and bytes, and what goes first when one is reached.

What is least worth keeping goes first: what expires soonest, then the oldest of what is kept for
ever. An open batch stays, since its number stands for its items.
"""

from __future__ import annotations

import collections
import logging

from pbxlib.reserve import Reserve
from pbxlib.store import AT_ONCE

log = logging.getLogger(__name__)

# How many items are written between two looks at the limits.
_LIMIT_EVERY = 1000
# Seconds between two warnings of a full outbox.
_TELL_EVERY = 60
# Two queries, as both follow an index and read only what they find.
_LEAST_WORTH = (
    "SELECT seq, name FROM items WHERE number IS NULL AND expires IS NOT NULL"
    " ORDER BY expires, seq LIMIT ?",
    "SELECT seq, name FROM items WHERE number IS NULL AND expires IS NULL ORDER BY seq LIMIT ?",
)


class Room:
    """The limits of the outbox at ``path``: ``max_rows``, ``max_bytes``, ``None`` for none.

    ``reserve`` bytes are set aside for a full disk; once they are used, the file grows by a
    quarter of them and no more until the disk has room again.
    """

    def __init__(self, path, clock):
        self._path = path
        self._clock = clock
        self._dropped = collections.Counter()
        self._limit = None  # in bytes, when something was last dropped
        self._told = float("-inf")
        self.limit(None, None, 0)

    def limit(self, max_rows, max_bytes, reserve):
        """Other limits, looked at with the next item."""
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._reserve = Reserve(self._path + ".reserve", reserve)
        self._unchecked = _LIMIT_EVERY

    @property
    def is_short(self):
        """Whether :meth:`make` is to look at the limits, however little was added."""
        return self._unchecked >= _LIMIT_EVERY

    def give_up_reserve(self):
        """The disk is full: give the reserve to who writes next. Whether there was some."""
        if not self._reserve.give_up():
            return False
        log.warning("The disk of %s is full: its reserve is used now", self._path)
        self._unchecked = _LIMIT_EVERY
        return True

    def make(self, db, added):
        """Drop what is least worth keeping while the file is over a limit: how many items.

        ``db``: the file's connection, within a transaction that has ``added`` so many items. One
        transaction drops a part of what a limit that was lowered asks for: see :attr:`is_short`.
        """
        self._tell_dropped()
        self._unchecked += added
        if not self.is_short:
            return 0
        self._unchecked = 0
        if self._max_rows is None or self._max_bytes is None:
            return 0
        rows = _one(db, "SELECT value FROM meta WHERE key = 'rows'")
        pages = _one(db, "PRAGMA page_count") - _one(db, "PRAGMA freelist_count")
        used = pages * _one(db, "PRAGMA page_size")
        limit = self._limit_in_bytes(db, used)
        excess = max(rows - self._max_rows, 0)
        if used > limit and rows:
            excess = max(excess, int(rows * (used - limit) / used) + 1)
        dropped = self._drop(db, min(excess, AT_ONCE))
        if dropped:
            self._limit = limit
            self._tell_dropped()
            if dropped < excess:
                self._unchecked = _LIMIT_EVERY
        return dropped

    def _drop(self, db, excess):
        dropped = 0
        for query in _LEAST_WORTH:
            if dropped < excess:
                rows = db.execute(query, (excess - dropped,)).fetchall()
                self._dropped.update(name for _seq, name in rows)
                db.executemany("DELETE FROM items WHERE seq = ?", [(seq,) for seq, _name in rows])
                dropped += len(rows)
        return dropped

    def _limit_in_bytes(self, db, used):
        """What the file may grow to: less than its own limit on a disk that is full."""
        if not self._reserve.size:
            return self._max_bytes
        if self._reserve.make():
            db.execute("DELETE FROM meta WHERE key = 'room'")
            return self._max_bytes
        room = used + self._reserve.size // 4
        db.execute("INSERT OR IGNORE INTO meta VALUES ('room', ?)", (room,))
        return min(self._max_bytes, _one(db, "SELECT value FROM meta WHERE key = 'room'"))

    def _tell_dropped(self):
        """Say what was dropped since it was last said: not for each put of a minute."""
        if not self._dropped or self._clock() - self._told < _TELL_EVERY:
            return
        log.warning(
            "The outbox is full (%s): the %s items least worth keeping were dropped (%s)",
            f"asterisk:outbox:max_rows {self._max_rows}, max_bytes {self._max_bytes}"
            if self._limit == self._max_bytes
            else f"its disk is, and it keeps to {self._limit} bytes",
            sum(self._dropped.values()),
            ", ".join(f"{count} {name}" for name, count in self._dropped.most_common()),
        )
        self._dropped.clear()
        self._told = self._clock()


def _one(db, query):
    return db.execute(query).fetchone()[0]
