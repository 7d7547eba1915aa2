"""
Settings: the pillar key ``asterisk``, its defaults and its one validator.

:func:`resolve` takes the pillar as Salt compiled it and returns every setting, defaults filled
in. What is wrong is gathered, not stopped at: :class:`~pbxlib.errors.SettingsError` carries one
line for each fault, and each line names the key's path, what was found and what to write.

The last good settings are kept in a file (mode 0600) in the minion's cache, because engines
start before the master is reached: :func:`save` and :func:`load`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import tempfile
from urllib.parse import urlsplit

from pbxlib import shapes, sources
from pbxlib.errors import SettingsError

FOREVER = None
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def duration(value):
    """Seconds as a float for ``10``, ``0.5``, ``'10s'``, ``'5m'``, ``'2h'``, ``'7d'``, ``'1w'``.

    ``'forever'`` is ``None``. Raises ``ValueError`` with words for a person.
    """
    if value == "forever":
        return FOREVER
    number, unit = value, 1
    if isinstance(value, str) and value[-1:] in _UNITS:
        number, unit = value[:-1], _UNITS[value[-1]]
    try:
        if isinstance(value, bool):
            raise ValueError
        seconds = float(number) * unit
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a duration: write 30s, 5m, 2h, 7d or forever") from None
    if not 0 <= seconds < 1e10:
        raise ValueError(f"{value!r} is not a duration: it must be from 0 to 300 years")
    return seconds


def _seconds(low, high=86400):
    def check(value):
        seconds = duration(value)
        if seconds is FOREVER:
            raise ValueError("'forever' cannot stand here: write 30s, 5m or 2h")
        if not low <= seconds <= high:
            raise ValueError(f"{value!r} is not from {low} to {high} seconds")
        return seconds

    return check


def _text(value):
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text: put it in quotes")
    return value


def _line(value):
    # What goes into a header: a line end would begin another one.
    if not _text(value).isprintable():
        raise ValueError(f"{value!r} holds a line end or another control character")
    return value


def _ascii(value):
    if not (_line(value).isascii() and value == value.strip()):
        raise ValueError(f"{value!r} holds spaces around it or letters that are not ASCII")
    return value


def _whole(low, high):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return check


def _flag(value):
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _one_of(*names):
    def check(value):
        if value not in names:
            raise ValueError(f"{value!r} is unknown: write one of {', '.join(names)}")
        return value

    return check


def _texts(value):
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{value!r} is not a list of texts")
    return value


def _mapping(value):
    if not isinstance(value, dict):
        # Without the value: these hold passwords.
        raise ValueError(f"{shapes.is_a(value)}, not a mapping of names to values")
    return value


def _path(value):
    if not _text(value).startswith("/"):
        raise ValueError(f"{value!r} is not an absolute path")
    return value


def _url(value):
    parts = urlsplit(_ascii(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is not an address: write https://odoo.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it holds a login: write that in asterisk:odoo:login and api_key")
    if parts.port == 0 or parts.query or parts.fragment:
        raise ValueError(f"{value!r} is not an address: write https://odoo.example.com")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(
            f"{value!r} would send the key and the call records in clear text: write https://, "
            "or put a TLS proxy before Odoo"
        )
    return value.rstrip("/")


def is_loopback(host):
    """Whether ``host`` (a name or an address) stays inside this machine."""
    return host in _LOOPBACK


def _listen(value):
    try:
        if not is_loopback(_text(value)):
            ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address to listen at") from None
    return value


def _console_url(value):
    parts = urlsplit(_ascii(value))
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{value!r} is not an address: write wss://odoo.example.com/console")
    if parts.scheme == "ws" and not is_loopback(parts.hostname):
        raise ValueError(f"{value!r} would send the ticket in clear text: write wss://")
    return value


def _origins(value):
    for origin in _texts(value):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin:
            raise ValueError(
                f"{origin!r} is not an origin: write https://odoo.example.com, in lower case, with "
                "its port if it has one, without a path"
            )
        if not parts.hostname or "*" in origin or origin != origin.lower():
            raise ValueError(f"{origin!r} is not one origin in lower case: write each one out")
    return value


def _unprivileged(value):
    if _line(value) in ("root", "0", ""):
        raise ValueError(f"{value!r}: '!' in the console would give its shell; name another user")
    return value


# A leaf is (default, check); a dict is a section; None as default means "not set".
# What only the formula's SLS files read is checked for its type alone here: its defaults are
# theirs, and the keys of some are Asterisk's own.
SCHEMA = {
    "install": {
        "method": ("package", _one_of("package", "source", "none")),
        "packages": (None, _texts),
        "repository": (None, _mapping),
        "manager_file": (None, _text),
        "source": {
            "url": (None, _text),
            "checksum": (None, sources.checksum),
            "configure": ([], _texts),
            "menuselect": ([], sources.menuselect),
            "build_packages": (None, _texts),
            "externals": ([], sources.downloads),
            "sounds": ([], sources.downloads),
        },
    },
    "etc": (None, _path),
    "service": (None, _text),
    "user": (None, _text),
    "group": (None, _text),
    "restart": {
        "wait": (60, _seconds(0)),
        "then": ("pending", _one_of("pending", "now")),
    },
    "rotation": (None, _texts),
    "ami": {
        "host": ("127.0.0.1", _line),
        "port": (5038, _whole(1, 65535)),
        "username": ("salt", _line),
        "secret": (None, _line),
        "tls": (False, _flag),
        "ca_file": (None, _path),
        "connect_timeout": (10, _seconds(0.1)),
        "ping_interval": (30, _seconds(1)),
        "action_timeout": (5, _seconds(0.1)),
        "allow_actions": ([], _texts),
        "allow_applications": ([], _texts),
        "read": (None, _texts),
        "write": (None, _texts),
        "cdr_file": ("/var/log/asterisk/cdr-custom/asterisk-formula.csv", _path),
    },
    "odoo": {
        "url": (None, _url),
        "database": (None, _ascii),
        "login": (None, _line),
        "api_key": (None, _ascii),
        "api": ("auto", _one_of("auto", "json2", "jsonrpc")),
        "ca_file": (None, _path),
        "connect_timeout": (10, _seconds(0.1)),
        # Odoo's own retries of a conflicting transaction take up to 30 s.
        "read_timeout": (90, _seconds(1)),
        "heartbeat": (60, _seconds(1)),
    },
    "outbox": {
        "batch_items": (200, _whole(1, 10000)),
        "batch_bytes": (512 * 1024, _whole(1024, 64 * 1024 * 1024)),
        "batch_wait": (0.025, _seconds(0, 60)),
        "tries": (8, _whole(1, 1000)),
        "retry_first": (2, _seconds(0.1)),
        "retry_cap": (600, _seconds(1)),
        "keep": ("7d", duration),
        "max_rows": (2_000_000, _whole(1000, 100_000_000)),
        "max_bytes": (2 * 1024**3, _whole(1024 * 1024, 2**40)),
        "reserve": (16 * 1024**2, _whole(0, 2**40)),
    },
    "console": {
        "enabled": (False, _flag),
        "listen": ("127.0.0.1", _listen),
        "port": (8010, _whole(1, 65535)),
        "cert": (None, _path),
        "key": (None, _path),
        "url": (None, _console_url),
        "origins": ([], _origins),
        "user": ("asterisk", _unprivileged),
        "idle_timeout": ("15m", _seconds(10)),
        "max_sessions": (4, _whole(1, 100)),
    },
    "validate": {
        "references": (True, _flag),
        "asterisk": (True, _flag),
        "lint": (True, _flag),
    },
    "events": ({}, _mapping),
    "bus_events": ({}, _mapping),
    "events_serial": (None, _text),
    "config": ({}, _mapping),
    "endpoints": ({}, _mapping),
    "hub": {
        "listen": (None, _listen),
        "port": (None, _whole(1, 65535)),
        "account": (None, _ascii),
        "password": (None, _line),
        "token_expire": (None, _whole(60, 10**9)),
        "functions": (None, _texts),
        "job_returns": (None, _texts),
        "tls": {
            "cert": (None, _path),
            "key": (None, _path),
            "names": (None, _texts),
            "days": (None, _whole(1, 36500)),
        },
    },
}


def resolve(pillar):
    """All settings, with defaults, from the value of the pillar key ``asterisk``.

    Returns a nested dict that mirrors :data:`SCHEMA`, durations in seconds. ``events`` and
    ``bus_events`` are returned as written: :class:`pbxlib.events.EventMap` compiles them.

    Raises :class:`~pbxlib.errors.SettingsError`, whose ``problems`` is a list of lines.
    """
    problems = []
    settings = _section(SCHEMA, pillar if pillar is not None else {}, "asterisk", problems)
    if not problems:
        problems += sources.problems(settings["install"])
        problems += shapes.problems(settings)
        problems += _console_problems(settings["console"])
    if problems:
        raise SettingsError(problems)
    return settings


def _console_problems(console):
    if bool(console["cert"]) != bool(console["key"]):
        missing = "key" if console["cert"] else "cert"
        yield f"asterisk:console:{missing}: it is not set: cert and key go together"
    elif console["enabled"] and not is_loopback(console["listen"]) and not console["cert"]:
        yield (
            f"asterisk:console:listen: {console['listen']!r} can be reached from outside, and "
            "without TLS anyone on the way could type into the console: set cert and key, or "
            "listen at 127.0.0.1 behind a TLS proxy"
        )


def _section(schema, given, path, problems):
    if not isinstance(given, dict):
        # Without the value: a section that is indented wrongly may hold a secret.
        problems.append(f"{path}: {shapes.is_a(given)}, not a mapping of settings")
        return {}
    for key in given:
        if key not in schema:
            near = difflib.get_close_matches(str(key), schema, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(schema)}"
            problems.append(f"{path}:{key}: there is no such setting; {hint}")
    settings = {}
    for key, spec in schema.items():
        if isinstance(spec, dict):
            section = {} if given.get(key) is None else given[key]
            settings[key] = _section(spec, section, f"{path}:{key}", problems)
            continue
        default, check = spec
        value = given.get(key)
        if value is None:
            value = default
        if value is None:
            settings[key] = None
            continue
        try:
            settings[key] = check(value)
        except ValueError as error:
            problems.append(f"{path}:{key}: {_masked(key, error)}")
    return settings


def _masked(key, error):
    # A wrong secret must not reach the log by way of its own error.
    if key in ("secret", "api_key", "password"):
        return "it is not one line of text in quotes, without spaces around it"
    return str(error)


def load(path):
    """The settings that :func:`save` wrote, or ``None`` when there are none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def save(path, settings):
    """Write ``settings`` to ``path``, mode 0600, whole or not at all."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=".settings-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(settings, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
