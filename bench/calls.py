"""
The recorded traffic, and as much more like it as a measure needs.

``traffic/calls.ami.gz`` is what Asterisk 22 said over AMI during a minute of calls: see
``bench/record``. Replayed as it is, a parser that remembers lines would meet the same calls again
and again. So each pass over it has other channels, unique ids and bridges, as later calls have.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

RECORDING = Path(__file__).resolve().parent / "traffic" / "calls.ami.gz"
END = b"\r\n\r\n"
# The last event of a replay, by which its reader knows that it has all.
LAST = "BenchEnd"
# A map that a call centre would have: records, calls, and its queues.
FIVE = ("Cdr", "DialEnd", "Hangup", "QueueCallerJoin", "AgentComplete")

_IDS = re.compile(
    rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a bridge
    rb"|\b[0-9]{10}\.[0-9]+\b"  # a unique id: the epoch and a counter
    rb"|-[0-9a-f]{8}\b)"  # the end of a channel's name
)
_STEP = 100  # seconds; the recording is shorter


def frames(only=None):
    """The recorded frames (bytes, with their end), or those of the event ``only``."""
    recorded = gzip.decompress(RECORDING.read_bytes())
    every = [frame + END for frame in recorded.split(END)[:-1]]
    begin = b"Event: " + (only or "").encode()
    return [frame for frame in every if frame.startswith(begin)]


class Traffic:
    """Passes over the recording, or over its events of one name.

    ``first``: the number of the first pass. Passes of different numbers share no id.
    """

    def __init__(self, only=None, first=0):
        recorded = frames(only)
        self._first = first
        self._size = len(recorded)
        # Every second part is an id.
        self._parts = _IDS.split(b"".join(recorded))
        self._ids = set(self._parts[1::2])

    def events(self, count):
        """Yield ``count`` events in large pieces of bytes, whole frames each."""
        whole, rest = divmod(count, self._size)
        for number in range(self._first, self._first + whole):
            yield self._pass(number)
        if rest:
            piece = self._pass(self._first + whole)
            yield b"".join(frame + END for frame in piece.split(END)[:rest])

    def _pass(self, number):
        later = {identity: _later(identity, number) for identity in self._ids}
        parts = self._parts.copy()
        parts[1::2] = [later[identity] for identity in parts[1::2]]
        return b"".join(parts)


def _later(identity, number):
    if identity[:1] == b"-":
        return b"-%08x" % ((int(identity[1:], 16) + 0x1000 * number) & 0xFFFFFFFF)
    if b"." in identity:
        epoch, _, counter = identity.partition(b".")
        return b"%d.%s" % (int(epoch) + _STEP * number, counter)
    return b"%08x%s" % ((int(identity[:8], 16) + number) & 0xFFFFFFFF, identity[8:])
