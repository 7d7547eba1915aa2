"""
One message of Asterisk's manager interface (AMI): a frame's bytes to a dict, and back.

A message is a dict of str to str, in the order of its headers, except that

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

:func:`serialize` raises :class:`~pbxlib.errors.BadAction` and nothing else.
"""

from __future__ import annotations

from pbxlib.errors import BadAction

MAX_KEPT_LINES = 8192
MAX_KEPT_LINE = 200

# What Asterisk itself takes: a longer line or message is thrown away there, and the error
# that it sends need not say which action it was.
MAX_LINE = 1022
MAX_LINES = 128

END = b"\r\n\r\n"
FOLLOWS_END = b"--END COMMAND--"
_FOLLOWS_HEADERS = ("Response: ", "Privilege: ", "ActionID: ", "Message: ")
_ONCE = frozenset(("Event", "Response", "ActionID", "EventList"))
_IN_REPLY = frozenset(("Event", "Output"))


class Lines(dict):
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
    text = decoded(line)
    name, colon, value = text.partition(": ")
    return (name, colon, value) if colon else text.partition(":")


def _variable(value):
    variable, _, value = value.partition("=")
    return variable, value


def parse(frame, headers):
    """The message of one frame. ``headers``: the ``__getitem__`` of a :class:`Lines`."""
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
    """As :func:`parse`, for repeated headers, all variables, output and what is no header."""
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
                content.append(value if name == "Output" else decoded(line))
            else:
                message[name] = value
        elif name in _ONCE:
            content.append(decoded(line))
        elif isinstance(message[name], list):
            message[name].append(value)
        else:
            message[name] = [message[name], value]
    if content:
        message["content"] = content
    elif "Event" not in message:
        message.setdefault("content", "")
    return message


def parse_follows(text):
    """Command output as Asterisk 13 and older send it: raw lines after the headers."""
    message = {}
    rest = text[: -len(FOLLOWS_END)]
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
    return b"\r\n".join(lines) + END


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


def decoded(data):
    return data.decode("utf-8", "surrogateescape")
