"""
Asterisk's command line (``asterisk -rx``): its quoting, and what it prints, as data.

Its exit code is 0 whatever became of a command, so :func:`ask` looks at what it says, and who
changes something asks afterwards whether it is so.
"""

from __future__ import annotations

import re
import time

from pbxlib.errors import CliError

_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_PLAIN = re.compile(r"[A-Za-z0-9_./@:+-]+")
_MEMBER = re.compile(
    r"""(?P<name>.*?)
    (?:[ ]\((?P<interface>[^\s()]+)(?:[ ]from[ ](?P<state>[^()]+))?\))?
    (?:[ ]with[ ]penalty[ ](?P<penalty>\d+))?
    [ ]\(ringinuse[ ](?:en|dis)abled\)
    (?P<dynamic>[ ]\(dynamic\))?
    (?:[ ]\(realtime\))?
    (?:[ ]\(in[ ]call\))?
    (?P<paused>[ ]\(paused)?""",
    re.VERBOSE,
)
_CONTACT = re.compile(r"\s+Contact:\s+(?P<uri>[^\s<]\S*)\s+\S+\s+(?P<status>[A-Z]\w+)")


def command(*words):
    """One command out of its words, each quoted so that it stays one."""
    return " ".join(_word(str(word)) for word in words)


def _word(text):
    if "\0" in text:
        raise CliError(f"{text!r} has a NUL, which Asterisk's command line cannot take")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ask(run_all, words, timeout=None):
    """What Asterisk prints for a command: text without colours, its last line end taken off.

    ``run_all`` is Salt's ``cmd.run_all``, ``words`` a text that is a command, or a tuple for
    :func:`command`. After ``timeout`` seconds the asking ends; what was asked for goes on.
    Raises :class:`~pbxlib.errors.CliError`.
    """
    line = words if isinstance(words, str) else command(*words)
    options = {} if timeout is None else {"timeout": timeout}
    short = " ".join(line.split()[:3])
    try:
        done = run_all(
            ["asterisk", "-rx", line],
            python_shell=False,
            rstrip=False,
            output_encoding="utf-8",
            # What is in the AstDB may be secret.
            output_loglevel="quiet",
            **options,
        )
    except Exception as error:
        # Salt raises where there is no such program.
        raise CliError(f"Asterisk's console cannot be asked for {short!r}: {error}") from error
    text = _COLOUR.sub("", done["stdout"] or "")
    if done["retcode"] != 0 and timeout is None:
        why = (text or done["stderr"] or "").strip()
        raise CliError(f"Asterisk's console did not take {short!r}: {why}")
    if text.startswith(("No such command", "Usage:")):
        raise CliError(f"This Asterisk has no command {short!r}: is its module loaded?")
    return text[:-1] if text.endswith("\n") else text


def until(check, seconds, pause=1.0):
    """What ``check()`` returns once it is true, or when ``seconds`` have passed."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        left = end - time.monotonic()
        if found or left <= 0:
            return found
        time.sleep(min(pause, left))


def channels(run_all):
    """Number of channels that are up. Raises :class:`~pbxlib.errors.CliError`."""
    text = ask(run_all, "core show channels count")
    found = re.search(r"^(\d+) active channels?$", text, re.MULTILINE)
    if not found:
        raise CliError(f"Asterisk did not tell how many channels are active: {text}")
    return int(found.group(1))


def started(run_all):
    """When Asterisk started, in epoch seconds, up to a second too late; ``None`` if it is down."""
    try:
        text = ask(run_all, "core show uptime seconds")
    except CliError:
        return None
    found = re.search(r"uptime: (\d+)", text)
    return time.time() - int(found.group(1)) if found else None


def members(run_all, queue):
    """The members of a queue by interface: ``name``, ``state_interface``, ``penalty``, ``paused``,
    ``dynamic``. Raises :class:`~pbxlib.errors.CliError` when there is no such queue.
    """
    text = ask(run_all, ("queue", "show", queue))
    if text.startswith("No such queue"):
        raise CliError(f"Asterisk has no queue {queue}")
    found = {}
    for line in text.splitlines():
        member = _MEMBER.match(line.strip())
        if member:
            # A member without a name of its own is shown by its interface alone.
            interface = member["interface"] or member["name"]
            found[interface] = {
                "membername": member["name"],
                "state_interface": member["state"] or interface,
                "penalty": int(member["penalty"] or 0),
                "paused": bool(member["paused"]),
                "dynamic": bool(member["dynamic"]),
            }
    return found


def contacts(run_all, endpoint):
    """``(URI, status)`` of each contact of an endpoint; the status is Asterisk's word, such as
    ``Avail``. Raises :class:`~pbxlib.errors.CliError` when there is no such endpoint.
    """
    text = ask(run_all, ("pjsip", "show", "endpoint", endpoint))
    if "Unable to find object" in text:
        raise CliError(f"Asterisk has no PJSIP endpoint {endpoint}")
    return [(found["uri"], found["status"]) for found in _CONTACT.finditer(text)]
