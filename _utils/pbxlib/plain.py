"""Text and JSON that SQLite and PostgreSQL take, whatever Asterisk sent."""

from __future__ import annotations

import json
import re

# A NUL in JSON, which no backslash before it turns into text.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def text(value):
    """``value`` (a ``str`` or ``None``) with halves of surrogate pairs as U+FFFD.

    The wire keeps what Asterisk sent outside UTF-8 as such halves, and no database takes them.
    """
    if value is None:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


class Encoded(str):
    """JSON text, as :func:`dumps` made it: :func:`assembled` takes it as it is."""

    __slots__ = ()


def assembled(data):
    """``data`` as :func:`dumps` has it, with the :class:`Encoded` in its mappings and lists."""
    if isinstance(data, Encoded):
        return data
    if isinstance(data, dict):
        pairs = [f"{dumps(key)}:{assembled(value)}" for key, value in data.items()]
        return "{" + ",".join(pairs) + "}"
    if isinstance(data, list):
        return "[" + ",".join(map(assembled, data)) + "]"
    return dumps(data)


def dumps(data):
    """``data`` as compact JSON without NUL, which PostgreSQL refuses: it becomes U+FFFD."""
    encoded = _JSON.encode(data)
    if "\\u0000" in encoded:
        encoded = _NUL.sub("\\1\ufffd", encoded)
    return text(encoded)
