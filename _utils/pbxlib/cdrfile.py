"""
Asterisk's own file of call records, for those that no event brought.

AMI never sends again what it sent while nobody listened. The formula has Asterisk write each
record into a file, too (``cdr_custom``), and this reads on where it had been: after each connect,
after an outbox that could not be written, and now and then. The position is kept in the outbox,
in the same transaction as the items, and the outbox takes each record from whichever of file
and event brings it first: they come within milliseconds, in either order.

The first start begins at the file's end. A file that was rotated meanwhile, by a new name or by a
copy, is read to its end where it is now, as long as that is beside the old one, and so are those
between. They may be compressed by gzip.
"""

from __future__ import annotations

import csv
import glob
import gzip
import logging
import os
import re
import threading
import time
import zlib
from typing import NamedTuple

from pbxlib import cdr
from pbxlib.backoff import Backoff
from pbxlib.errors import OutboxError

log = logging.getLogger(__name__)

# A record whose event was not heard may be written this long after the look that connecting made.
GRACE = 1.0
MINUTE = 60.0
HOUR = 3600.0
# Records in one transaction.
_CHUNK = 500
# Events after which the file is looked at, so that the outbox may forget what both have brought.
_EVENTS = 500
# Bytes before the position that tell the file from another with the same inode.
_TAIL = 64
# Lines that one record can have: a quoted value may hold line ends.
_LINES = 50
# A line that is a record by itself, UniqueID in quotes. Inside quotes each quote would be two.
_VALUE = rb'(?:"(?:[^"]|"")*"|[^",]*)'
_BEFORE = cdr.COLUMNS.index("UniqueID")
_WHOLE = re.compile(
    rb'(?:%s,){%d}"[^"]+"(?:,%s){%d}\n' % (_VALUE, _BEFORE, _VALUE, len(cdr.COLUMNS) - _BEFORE - 1)
)
# What logrotate adds to a name; what somebody copied aside by hand has another.
_ROTATED = re.compile(r"[.-]\d[\d.-]*(\.gz)?")
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


class Position(NamedTuple):
    """How far the file was read; inode 0 is before any file. ``tail``: the bytes before, hex."""

    inode: int
    offset: int
    tail: str


class CdrFile:
    """Reads the file at ``path`` into ``outbox``.

    ``items(event)`` are the outbox items of a ``Cdr`` event, none when no route takes it.
    """

    def __init__(self, path, outbox, items, clock=time.time):
        self.path = path
        self._outbox = outbox
        self._items = items
        self._clock = clock
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cdr-file", daemon=True)
        self._forget = False
        self._events = 0
        self._known = True
        self.wanted = False  # whether some route leads call records to Odoo

    def start(self):
        """Read in the background, when it is asked for."""
        self._thread.start()

    def stop(self):
        """Read no more: when this returns, nothing uses the outbox any longer."""
        self._ended.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self):
        """Read what is new, soon. Returns at once; any thread may call it."""
        self._asked.set()

    def heard(self, count, known):
        """``count`` records came as events; ``known``: each with its ``Sequence``.

        Without one an event cannot be told from a line of the file, which is not read then.
        """
        if known != self._known:
            self._known = known
            self._forget = True
            self.look()
            if not known:
                log.warning(
                    "Asterisk's Cdr events have no Sequence, which cdr_manager.conf maps: call "
                    "records of the time without a bridge are not read from %s",
                    self.path,
                )
        self._events += count
        if self._events >= _EVENTS:
            self._events = 0
            self.look()

    def follow(self, path, wanted):
        """Other settings: without a route, and with another path, the position is forgotten, and
        a later one begins at the end."""
        self._forget = self._forget or not wanted or path != self.path
        self.path = path
        self.wanted = wanted
        self.look()

    def _run(self):
        backoff = Backoff(first=1.0, cap=10.0)
        pause = HOUR
        said = None
        while True:
            asked = self._asked.wait(pause)
            self._asked.clear()
            if self._ended.is_set():
                return
            try:
                self.read()
            except Exception as error:
                if said != str(error):
                    said = str(error)
                    known = isinstance(error, (OSError, OutboxError))
                    log.warning("%s cannot be read on: %s", self.path, error, exc_info=not known)
                self._ended.wait(backoff.next())  # who asks meanwhile does not shorten it
                self._asked.set()
                continue
            said = None
            backoff.reset()
            pause = GRACE if asked else HOUR

    def read(self):
        """Read to the end. Raises ``OSError`` and ``OutboxError``: nothing is skipped then."""
        if self._forget:
            self._outbox.position = None
            self._forget = False
        if not self.wanted or not self._known:
            return
        kept = self._outbox.position
        if kept is None:
            self._outbox.position = self._end()
            return
        healed = 0
        for path, position in self._files(Position(*kept)):
            healed += self._read_file(path, position)
        # The line is written within milliseconds; the event may wait in a buffer.
        self._outbox.forget_records(event=self._clock() - MINUTE, file=self._clock() - HOUR)
        if healed:
            log.warning(
                "%s items of call records that no event brought were read from %s",
                healed,
                self.path,
            )

    def _end(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(0, os.SEEK_END)
                return _position(file, file.tell())
        except FileNotFoundError:
            return Position(0, 0, "")

    def _files(self, kept):
        """The files to read, oldest first, each with the position to begin at."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            now = None
        if now and _is_at(self.path, kept):
            return [(self.path, kept)]
        newer = []
        if kept.inode:
            found, newer = self._rotated(kept)
            if now and not found:
                log.warning(
                    "%s is another file than before, and the one that was read up to byte %s is "
                    "not beside it any more: what that had beyond is not delivered",
                    self.path,
                    kept.offset,
                )
        if now:
            newer.append((self.path, Position(now.st_ino, 0, "")))
        return newer

    def _rotated(self, kept):
        """Whether the old file is found, and it and those between it and the present one."""
        beside = []
        for path in glob.glob(glob.escape(self.path) + "?*"):
            # Beside its source a compressed file is not whole yet.
            if not (path.endswith(".gz") and os.path.exists(path[:-3])):
                stat = os.stat(path)
                beside.append((stat.st_mtime_ns, path, stat.st_ino))
        beside.sort()
        renamed = [old for old in beside if old[2] == kept.inode and _is_at(old[1], kept)]
        places = renamed or [
            old for old in beside if self._is_rotated(old[1]) and _is_at(old[1], kept)
        ]
        if not places:
            return False, []
        between = [
            (path, Position(inode, 0, ""))
            for _, path, inode in beside[beside.index(places[-1]) + 1 :]
            if self._is_rotated(path)
        ]
        return True, [(places[-1][1], kept), *between]

    def _is_rotated(self, path):
        return _ROTATED.fullmatch(path[len(self.path) :]) is not None

    def _read_file(self, path, position):
        """Put what follows ``position`` into the outbox: how many records no event brought."""
        fresh = 0
        with _open(path) as file:
            if not _holds(file, position):
                raise OSError(f"{path} was rotated a moment ago")
            while True:
                items, count, broken = [], 0, None
                try:
                    for row in _records(file):
                        count += 1
                        items += self._items_of(row)
                        if count >= _CHUNK:
                            break
                    reached = _position(file, file.tell())
                except _BROKEN as error:
                    broken = error
                    reached = position
                if items or reached != position:
                    fresh += self._outbox.put(items, position=reached)
                if broken:
                    log.warning("%s is broken, and passed over from there: %s", path, broken)
                position = reached
                if broken or count < _CHUNK:
                    return fresh

    def _items_of(self, row):
        try:
            event = cdr.from_row(row)
        except ValueError as error:
            log.warning("A line of %s is no call record and is passed over: %s", self.path, error)
            return []
        items = self._items(event)
        age = max(0.0, self._clock() - float(row[cdr.COLUMNS.index("EndTime")] or 0))
        for item in items:
            if item["keep"] is not None:
                item["keep"] = max(0.0, item["keep"] - age)
        return items


def _open(path):
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def _position(file, offset):
    file.seek(max(0, offset - _TAIL))
    tail = file.read(min(_TAIL, offset))
    file.seek(offset)
    return Position(os.fstat(file.fileno()).st_ino, offset, tail.hex())


def _is_at(path, position):
    """Whether the file is the one that was read up to ``position``."""
    with _open(path) as file:
        try:
            return _holds(file, position)
        except _BROKEN:
            return False


def _holds(file, position):
    """Whether the open file was read up to ``position``, where it stands now.

    A copy, compressed or not, and a file that came back from a backup have another inode and the
    same text.
    """
    found = _position(file, position.offset)
    return found == position if not position.tail else found.tail == position.tail


def _records(file):
    """The records (lists of texts) from where ``file`` (binary) stands; whole ones only.

    ``file`` stands behind the record that was returned last.
    """
    while True:
        begin = file.tell()
        text = b""
        for number, line in enumerate(iter(file.readline, b""), 1):
            if text and (number > _LINES or _WHOLE.fullmatch(line)):
                # A quote that nobody closed: the line it is in is broken, not all that follow.
                text = text[: text.index(b"\n") + 1]
                break
            text += line
            # Inside quotes a line end belongs to the value.
            if line.endswith(b"\n") and text.count(b'"') % 2 == 0:
                break
        else:
            file.seek(begin)
            return
        file.seek(begin + len(text))
        decoded = text.decode("utf-8", "surrogateescape")
        try:
            yield next(csv.reader([decoded]), [])
        except csv.Error:  # a carriage return, a NUL before Python 3.11
            yield []
