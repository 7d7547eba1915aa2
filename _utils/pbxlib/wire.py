"""
The byte stream of Asterisk's manager interface (AMI), without I/O.

Bytes in, messages (:mod:`pbxlib.message`) out, and any split of the bytes gives the same messages.

:meth:`Parser.feed` raises :class:`~pbxlib.errors.NotAsterisk` when the first line is neither
Asterisk's greeting nor a header, and nothing else. Any other exception is a bug.

The protocol: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/
"""

from __future__ import annotations

import logging
from collections import Counter

from pbxlib.errors import NotAsterisk
from pbxlib.message import END, FOLLOWS_END, Lines, decoded, parse, parse_follows

log = logging.getLogger(__name__)

GREETING = b"Asterisk Call Manager/"
MAX_GREETING = 1024
MAX_FRAME = 1 << 20
# More names than Asterisk has events; a peer that invents names shall not fill the memory.
MAX_NAMES = 2000
OTHER_NAMES = "(other)"

_FOLLOWS = b"Response: Follows"
_STARTS = (b"Event: ", b"Response: ")
# A frame's length is sure only when its end, and an empty line before it, are set aside.
_SLACK = len(END) + 2
# What must stay of a frame that is dropped, to see how it ends.
_KEPT = len(FOLLOWS_END) + len(END) - 1
# So much of a dropped frame says what it was.
_NAMED = 50


class Parser:
    """
    Turns the bytes of one connection into messages.

    ``max_frame`` (bytes): a longer frame is dropped, counted and logged, and the stream goes
    on. ``wanted``: names (str) of the events to parse; None parses all. Other events are only
    counted, unless they carry an ``ActionID`` of ``action_ids``.

    ``begun``: whether the first line was there. ``version``: of the manager interface, if that
    was a greeting; None before, and when the bytes began with a message.
    ``action_ids``: a set of bytes that the owner keeps, the ActionIDs in flight.
    ``parsed``, ``skipped``, ``oversize``: event names with how many frames.
    """

    def __init__(self, max_frame=MAX_FRAME, wanted=None):
        self.version = None
        self.action_ids = set()
        self.parsed = Counter()
        self.oversize = Counter()
        self._skipped = Counter()
        self._max_frame = max_frame
        self._tail = bytearray()
        self.begun = False
        self._dropping = False
        self._follows = None
        self._lost = False
        self._headers = Lines().__getitem__
        self.want(wanted)

    def want(self, names):
        """Parse only events of these names from the next :meth:`feed` on; None: all."""
        self.wanted = None if names is None else frozenset(names)
        self._wanted_heads = frozenset(
            b"Event: " + name.encode("utf-8", "surrogateescape") for name in names or ()
        )

    @property
    def skipped(self):
        """The events that nobody wants: a dict of name to how many were passed over."""
        return {decoded(head[7:]): count for head, count in dict(self._skipped).items()}

    def feed(self, data):
        """The messages that ``data`` (bytes) completes, in order."""
        tail = self._tail
        # An end that straddles two reads begins in the last three bytes of the first.
        start = max(0, len(tail) - len(END) + 1)
        tail += data
        if not self.begun:
            if not self._greet(tail):
                return []
            start = 0
        if tail.find(END, start) < 0:
            self._cap(tail)
            return []
        frames = bytes(tail).split(END)
        self._tail = tail = bytearray(frames.pop())
        if self._dropping:
            self._dropping = False
            rest = frames.pop(0)
            self._lost = self._lost and not rest.endswith(FOLLOWS_END)
        messages = []
        self._take(frames, messages)
        self._cap(tail)
        return messages

    def _greet(self, tail):
        end = tail.find(b"\r\n")
        line = bytes(tail[:MAX_GREETING] if end < 0 else tail[:end])
        greets = line.startswith(GREETING) or b":" in line or not line
        if len(tail if end < 0 else line) > MAX_GREETING + 1 or (end >= 0 and not greets):
            said = line[:60].decode("ascii", "backslashreplace")
            raise NotAsterisk(f"The peer is not Asterisk's manager interface: it says {said!r}")
        if end < 0:
            return False
        if line.startswith(GREETING):
            self.version = line[len(GREETING) :].decode("ascii", "replace").strip()
            del tail[: end + 2]
        self.begun = True
        return True

    def _take(self, frames, messages):
        everything = self.wanted is None
        wanted = self._wanted_heads
        skipped = self._skipped
        headers = self._headers
        limit = self._max_frame
        for frame in frames:
            if not frame.startswith(b"Event: ") or self._follows is not None or len(frame) > limit:
                self._other(frame, messages)
                continue
            self._lost = False
            if not everything:
                end = frame.find(b"\r\n")
                head = frame[:end] if end > 0 else frame
                if head not in wanted and not (self.action_ids and self._in_flight(frame)):
                    if head in skipped:
                        skipped[head] += 1
                    else:
                        self._skip(head)
                    continue
            messages.append(parse(frame, headers))
        self.parsed.update([message["Event"] for message in messages if "Event" in message])
        if len(self.parsed) > MAX_NAMES:
            self._forget_names()

    def _other(self, frame, messages):
        if self._follows is not None:
            frame = self._continue(frame)
            if frame is None:
                return
        else:
            if frame.startswith(b"\r\n"):
                frame = frame[2:]
            if self._lost:
                if not frame.startswith(_STARTS):
                    self._lost = not frame.endswith(FOLLOWS_END)
                    return
                self._lost = False
        if not frame:
            return
        follows = frame.startswith(_FOLLOWS)
        whole = not follows or frame.endswith(FOLLOWS_END)
        if len(frame) > self._max_frame:
            self._drop(frame)
            self._lost = not whole
            return
        if follows:
            if whole:
                messages.append(parse_follows(decoded(frame)))
            else:
                self._follows = bytearray(frame)
            return
        message = parse(frame, self._headers)
        name = message.get("Event")
        if name is None or self.wanted is None or name in self.wanted or self._in_flight(frame):
            messages.append(message)
        else:
            self._skip(b"Event: " + name.encode("utf-8", "surrogateescape"))

    def _in_flight(self, frame):
        if not self.action_ids:
            return False
        start = frame.find(b"\r\nActionID: ")
        if start < 0:
            return False
        start += 12
        end = frame.find(b"\r\n", start)
        return (frame[start:] if end < 0 else frame[start:end]) in self.action_ids

    def _skip(self, head):
        counts = self._skipped
        if head in counts or len(counts) < MAX_NAMES:
            counts[head] += 1
        else:
            counts[b"Event: " + OTHER_NAMES.encode()] += 1

    def _forget_names(self):
        for name in list(self.parsed)[MAX_NAMES:]:
            self.parsed[OTHER_NAMES] += self.parsed.pop(name)

    # Command output of Asterisk 13 and older may hold blank lines: a marker ends it.

    def _continue(self, piece):
        """Add to the command output that has begun; the whole frame once it is there."""
        follows = self._follows
        follows += END
        follows += piece
        if piece.endswith(FOLLOWS_END):
            self._follows = None
            return bytes(follows)
        if len(follows) > self._max_frame:
            self._drop(follows)
            self._lost = True
        return None

    # Frames that are too long

    def _cap(self, tail):
        """Let go of the beginning of a frame that is too long already."""
        if not self._dropping:
            held = len(tail) + len(self._follows or b"")
            if held <= self._max_frame + _SLACK:
                return
            self._dropping = True
            head = bytes(tail[: _NAMED + 2])
            head = head[2:] if head.startswith(b"\r\n") else head
            if self._follows is not None:
                self._drop(self._follows)
                self._lost = True
            elif not self._lost or head.startswith(_STARTS):
                self._drop(head)
                self._lost = head.startswith(_FOLLOWS)
        del tail[:-_KEPT]

    def _drop(self, frame):
        self._follows = None
        head = decoded(bytes(frame[:_NAMED]).partition(b"\r\n")[0])
        name = head[7:] if head.startswith("Event: ") else head
        if name not in self.oversize and len(self.oversize) >= MAX_NAMES:
            name = OTHER_NAMES
        self.oversize[name] += 1
        log.warning("Dropped a frame of AMI, %r: longer than %d bytes", head, self._max_frame)
