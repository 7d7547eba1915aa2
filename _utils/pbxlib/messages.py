"""
What an Asterisk said on its console while it started, as faults of its configuration; no I/O.

A start without network and hardware complains of much that is nobody's fault. What counts has to
speak of configuration, and must not have been said of the configuration before.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pbxlib.confset import Place
from pbxlib.faults import Fault

# [date] ERROR[123]: config_options.c:798 aco_process_var: text
_SAID = re.compile(r"^\[[^\]]*\] (?:WARNING|ERROR)\[\d+\]\S*: (\S+?):\d+ \S+: (.*)$")
# The loader repeats what modules said before; no name can be looked up without a network.
_NOISY_SOURCES = {"loader.c", "netsock2.c", "dnsmgr.c", "res_resolver_unbound.c"}
_NOISE = re.compile(
    r"Unable to (?:lookup|resolve)|deprecated|may be removed|"
    # What Asterisk says of a stir_shaken.conf that asks for nothing.
    r"Stir/Shaken \w+ service disabled",
    re.IGNORECASE,
)
# What a network of one's own is the cause of, and all that comes of it.
_EXCUSE = re.compile(
    r"could not be started: (?:Cannot assign requested address|Permission denied)", re.IGNORECASE
)
_OF_CONFIGURATION = re.compile(
    r"\bline\b|\.conf\b|suitable for category|Error parsing|Could not create an object|parse error|"
    r"\b(?:unknown|invalid|illegal|unsupported|unrecogni[sz]ed|not valid|isn't a valid|"
    r"nonexistent|missing|not readable|bad|duplicate|malformed)\b|"
    r"does not exist|No such file|already in use|certificate|private key|cipher",
    re.IGNORECASE,
)
_AT_LINE = re.compile(r"\s*(?:at|for|on)? ?line '?(\d+)'? (?:of|in)(?: file)? ?'?([^\s']*)'?")
_NOT_CREATED = re.compile(
    r"object of type '(?P<type>.+)' with id '(?P<name>.+)' from configuration file '(?P<file>.+)'"
)
_NOT_PROCESSED = re.compile(r"In (?P<file>\S+): Processing options for (?P<name>.+) failed")
_OPTION = re.compile(r"for category '(.*)' named '(.*)'|Error parsing ([^=]+)=")
_PARSED = re.compile(r"(Error parsing )([^=]+)=(.*?)(?= at line|$)")
_SECRET = re.compile(r"pass|secret|md5|token|key$", re.IGNORECASE)


class Said(NamedTuple):
    """One warning or error: ``source``, Asterisk's own source file, and ``text``."""

    source: str
    text: str


def said(console, etc):
    """The warnings and errors of a console's text: a list of :class:`Said`.

    ``etc``: the folder that was read, which is left out of file names.
    """
    found = (_SAID.match(line.rstrip()) for line in console.splitlines())
    return [Said(one[1], one[2].replace(f"{etc}/", "")) for one in found if one]


def _grouped(messages):
    """Lists of :class:`Said`: an object that was not created together with the reasons."""
    groups, reasons = [], []
    for one in messages:
        if one.source in _NOISY_SOURCES or _NOISE.search(one.text):
            continue
        if _is_reason(one):
            reasons.append(one)
        else:
            groups.append([*reasons, one])
            reasons = []
    return groups + [[one] for one in reasons]


def _is_reason(one):
    """Whether a message is followed by one that tells which object, of which file, it is of."""
    if _object(one.text):
        return False
    at = _AT_LINE.search(one.text)
    if at:
        return not at[2]
    return one.source.startswith("res_pjsip") or one.source in ("format_cap.c", "acl.c")


def new(after, before):
    """Those groups of ``after`` that speak of configuration and that ``before`` does not have.

    Both are what :func:`said` returns. A list of lists, for :func:`faults`.
    """
    known = {_apart_from_lines(one) for one in before}
    return [
        group
        for group in _grouped(after)
        if any(
            _OF_CONFIGURATION.search(one.text) and _apart_from_lines(one) not in known
            for one in group
        )
        and not any(_EXCUSE.search(one.text) for one in group)
    ]


def _apart_from_lines(one):
    # A line that moved is not a new complaint.
    return one.source, re.sub(r"\bline '?\d+'?", "line", one.text)


def faults(groups, confset, changed):
    """A :class:`~pbxlib.faults.Fault` for each complaint; its place is ``None`` when it tells none.

    ``groups``: what :func:`new` returns. ``changed``: the names of the files that were changed.
    """
    found = []
    for group in groups:
        texts = [_PARSED.sub(_masked, one.text) for one in group]
        whole = _object(texts[-1])
        at = _AT_LINE.search(texts[-1])
        plain = [_AT_LINE.sub("", text) for text in texts]
        if whole:
            reasons, place = plain[:-1] or plain, _of_object(whole, texts[:-1], confset)
        elif at and at[2] in confset:
            reasons, place = plain, Place(at[2], int(at[1]))
        else:
            reasons, place = plain, _guessed("; ".join(plain), confset, changed)
        found.append(Fault(place, "; ".join(dict.fromkeys(reasons))))
    return found


def _masked(found):
    value = "…" if _SECRET.search(found[2]) else found[3]
    return f"{found[1]}{found[2]}={value}"


def _object(text):
    """What a message says of an object as a whole, ``None`` for any other message."""
    return _NOT_CREATED.search(text) or _NOT_PROCESSED.search(text)


def _of_object(said, reasons, confset):
    """The place of an object that was not created: of its faulty option, if a reason tells one."""
    name, kind = said["name"], said.groupdict().get("type")
    loaded = confset.load(said["file"])
    sections = [
        section
        for section in loaded.conf.effective()
        if section.name == name and kind in (None, section.get("type"))
    ]
    if not sections:
        return None
    for text in reasons:
        option, at = _OPTION.search(text), _AT_LINE.search(text)
        for setting in sections[0].settings if option and at else ():
            written = loaded.place(setting.line)
            if setting.key == (option[2] or option[3]) and written.line == int(at[1]):
                return written
    return loaded.place(sections[0].line)


def _guessed(text, confset, changed):
    """The place of a text that tells no line: the setting, or section, that it has words of."""
    words = set(re.findall(r"'([^']*)'", text)) | set(re.findall(r"[^\s'\",;:()]+", text))
    best, place = 0, None
    for file in sorted(changed):
        if place is None and file in words:
            place = Place(file, 0)
        conf = confset.alone(file)
        for section in conf.sections:
            named = section.name in words
            if named and best < 1:
                best, place = 1, Place(file, section.line)
            for setting in section.settings:
                value = setting.value in words
                score = 2 * value + (named or setting.key in words) if value else 0
                if score > best and len(setting.value) > 1:
                    best, place = score, Place(file, setting.line)
    return place
