"""
The wire format of Asterisk's manager interface (AMI), without I/O.

Bytes in, messages out, and any split of the bytes gives the same messages. A message is a
dict of str to str, in the order of its headers, except that

- a header that came more than once is a list of str;
- ``ChanVariable`` and its prefixed forms (``DestChanVariable``) are a dict of name to value.
  ``ChanVariable(CHANNEL)`` is one too, named ``ChanVariable``, as an event is nearly always
  about one channel; the variables of a further channel keep the full header as their name;
- ``content`` is a list of the lines that are no headers: the output of ``Command``. A reply
  without any has ``''``, an event none.

A frame is an event when ``Event`` comes before ``Response`` in it: ``OriginateResponse`` has
both. Of ``Event``, ``Response``, ``ActionID`` and ``EventList`` the first in a frame counts, as
user events carry headers of other people's making; a later one is kept in ``content``.

Text is UTF-8; bytes that are not become surrogate escapes, which :func:`serialize` turns
back. A bare LF is part of a value, as only CR LF ends a header.

:meth:`Parser.feed` raises :class:`~pbxlib.errors.NotAsterisk` when the first line is neither
Asterisk's greeting nor a header, and nothing else. :func:`serialize` raises
:class:`~pbxlib.errors.BadAction` and nothing else. Any other exception is a bug.

The protocol: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/
"""

from __future__ import annotations

import logging
from collections import Counter

from pbxlib.errors import BadAction, NotAsterisk

log = logging.getLogger(__name__)

GREETING = b"Asterisk Call Manager/"
MAX_GREETING = 1024
MAX_FRAME = 1 << 20
# More names than Asterisk has events; a peer that invents names shall not fill the memory.
MAX_NAMES = 2000
OTHER_NAMES = "(other)"
MAX_KEPT_LINES = 8192
MAX_KEPT_LINE = 200

# What Asterisk itself takes: a longer line or message is thrown away there, and the error
# that it sends need not say which action it was.
MAX_LINE = 1022
MAX_LINES = 128

_END = b"\r\n\r\n"
_FOLLOWS = b"Response: Follows"
_FOLLOWS_END = b"--END COMMAND--"
_FOLLOWS_HEADERS = ("Response: ", "Privilege: ", "ActionID: ", "Message: ")
_STARTS = (b"Event: ", b"Response: ")
# A frame's length is sure only when its end, and an empty line before it, are set aside.
_SLACK = len(_END) + 2
# What must stay of a frame that is dropped, to see how it ends.
_KEPT = len(_FOLLOWS_END) + len(_END) - 1
# So much of a dropped frame says what it was.
_NAMED = 50
_ONCE = frozenset(("Event", "Response", "ActionID", "EventList"))
_IN_REPLY = frozenset(("Event", "Output"))


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
        self._headers = _Lines().__getitem__
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
        return {_text(head[7:]): count for head, count in dict(self._skipped).items()}

    def feed(self, data):
        """The messages that ``data`` (bytes) completes, in order."""
        tail = self._tail
        # An end that straddles two reads begins in the last three bytes of the first.
        start = max(0, len(tail) - len(_END) + 1)
        tail += data
        if not self.begun:
            if not self._greet(tail):
                return []
            start = 0
        if tail.find(_END, start) < 0:
            self._cap(tail)
            return []
        frames = bytes(tail).split(_END)
        self._tail = tail = bytearray(frames.pop())
        if self._dropping:
            self._dropping = False
            rest = frames.pop(0)
            self._lost = self._lost and not rest.endswith(_FOLLOWS_END)
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
            messages.append(_parse(frame, headers))
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
                    self._lost = not frame.endswith(_FOLLOWS_END)
                    return
                self._lost = False
        if not frame:
            return
        follows = frame.startswith(_FOLLOWS)
        whole = not follows or frame.endswith(_FOLLOWS_END)
        if len(frame) > self._max_frame:
            self._drop(frame)
            self._lost = not whole
            return
        if follows:
            if whole:
                messages.append(_parse_follows(_text(frame)))
            else:
                self._follows = bytearray(frame)
            return
        message = _parse(frame, self._headers)
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
        follows += _END
        follows += piece
        if piece.endswith(_FOLLOWS_END):
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
        head = _text(bytes(frame[:_NAMED]).partition(b"\r\n")[0])
        name = head[7:] if head.startswith("Event: ") else head
        if name not in self.oversize and len(self.oversize) >= MAX_NAMES:
            name = OTHER_NAMES
        self.oversize[name] += 1
        log.warning("Dropped a frame of AMI, %r: longer than %d bytes", head, self._max_frame)


class _Lines(dict):
    """Line (bytes) to its header (name, value). The value of ``ChanVariable`` is a pair of its
    own. None stands for what :func:`_parse_odd` must look at: other lines of variables, and
    what is no header.

    The headers of a call's events are mostly the same lines: keeping those of the last few
    hundred events saves decoding and splitting them again, and their names share one str.
    """

    def __missing__(self, line):
        name, colon, value = line.decode("utf-8", "surrogateescape").partition(": ")
        if colon and "ChanVariable" not in name:
            header = (name, value)
        elif name == "ChanVariable":
            header = (name, _variable(value))
        else:
            header = None
        if len(line) <= MAX_KEPT_LINE:
            if len(self) >= MAX_KEPT_LINES:
                self.clear()
            self[line] = header
        return header


def _header(line):
    text = _text(line)
    name, colon, value = text.partition(": ")
    return (name, colon, value) if colon else text.partition(":")


def _variable(value):
    variable, _, value = value.partition("=")
    return variable, value


def _parse(frame, headers):
    """The message of one frame. ``headers``: the ``__getitem__`` of a :class:`_Lines`."""
    lines = frame.split(b"\r\n")
    pairs = list(map(headers, lines))
    try:
        message = dict(pairs)
    except TypeError:
        return _parse_odd(lines, pairs)
    repeats = 0
    if "ChanVariable" in message:
        variables = [value for name, value in pairs if name == "ChanVariable"]
        message["ChanVariable"] = dict(variables)
        repeats = len(variables) - 1
    if len(message) + repeats != len(lines):
        return _parse_odd(lines, pairs)
    if not frame.startswith(b"Event: "):
        if "Event" in message or "Output" in message:
            return _parse_odd(lines, pairs)
        message.setdefault("content", "")
    return message


def _parse_odd(lines, pairs):
    """As :func:`_parse`, for repeated headers, all variables, output and what is no header."""
    message = {}
    content = []
    channel = None
    for line, pair in zip(lines, pairs):
        name, value = pair or (None, None)
        if name is None:
            name, colon, value = _header(line)
            if not colon:
                content.append(name)
                continue
            if name.startswith("ChanVariable("):
                channel = channel or name
                name = "ChanVariable" if name == channel else name
            if "ChanVariable" in name:
                value = _variable(value)
        if isinstance(value, tuple):
            message.setdefault(name, {})[value[0]] = value[1]
        elif name not in message:
            if name in _IN_REPLY and "Response" in message and "Event" not in message:
                content.append(value if name == "Output" else _text(line))
            else:
                message[name] = value
        elif name in _ONCE:
            content.append(_text(line))
        elif isinstance(message[name], list):
            message[name].append(value)
        else:
            message[name] = [message[name], value]
    if content:
        message["content"] = content
    elif "Event" not in message:
        message.setdefault("content", "")
    return message


def _parse_follows(text):
    """Command output as Asterisk 13 and older send it: raw lines after the headers."""
    message = {}
    rest = text[: -len(_FOLLOWS_END)]
    while rest.startswith(_FOLLOWS_HEADERS):
        line, end, after = rest.partition("\r\n")
        if not end or "\n" in line:
            break
        name, _, value = line.partition(": ")
        if name in message:
            break
        message[name] = value
        rest = after
    lines = rest.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    message["content"] = lines or ""
    return message


def serialize(action):
    """
    The bytes of an action.

    ``action``: dict of header to str, int, float, bool, or a list of them, nested as it may
    be, which makes a repeated header, or a dict of name to value, which makes a repeated header
    of ``name=value``.

    Raises :class:`~pbxlib.errors.BadAction` naming the header when a name or value cannot go
    on the wire, holds CR, LF or NUL, or is longer than Asterisk takes.
    """
    lines = []
    for name, value in action.items():
        if not isinstance(name, str) or not name or name != name.strip() or ":" in name:
            raise BadAction(f"{name!r} cannot be the name of an AMI header")
        for text in _values(name, value):
            line = f"{name}: {text}"
            if "\r" in line or "\n" in line or "\0" in line:
                raise BadAction(
                    f"Header {name!r} holds CR, LF or NUL: these would begin another header"
                )
            try:
                line = line.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raise BadAction(f"Header {name!r} holds text that is not Unicode") from None
            if len(line) > MAX_LINE:
                raise BadAction(
                    f"Header {name!r} makes a line of {len(line)} bytes: Asterisk takes {MAX_LINE}"
                )
            lines.append(line)
    if not lines:
        raise BadAction("The action is empty")
    if len(lines) > MAX_LINES:
        raise BadAction(f"The action has {len(lines)} headers: Asterisk takes {MAX_LINES}")
    return b"\r\n".join(lines) + _END


def _values(name, value):
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (str, int, float)):
        yield str(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            for text in _values(name, item):
                yield f"{key}={text}"
    else:
        kind = type(value).__name__
        raise BadAction(f"Header {name!r} is of type {kind}: write a string, number or list")


def _text(data):
    return data.decode("utf-8", "surrogateescape")
