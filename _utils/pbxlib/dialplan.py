"""
The dialplan of ``extensions.conf`` as Asterisk's pbx_config reads it: contexts, steps, jumps.

No I/O. Contexts that are not in that file are known by name as far as files tell: AEL, Lua, and
those that modules make by themselves.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_AEL = re.compile(r"^\s*(?:abstract\s+)?context\s+([\w.-]+)", re.MULTILINE)
_LUA = re.compile(
    r"""^\s*(?:extensions\.)?(?:\[["'])?([\w.-]+)(?:["']\])?\s*=\s*\{""", re.MULTILINE
)
_STEP = re.compile(r"(?P<priority>[^,(]*)(?:\((?P<label>[^)]*)\))?\s*(?:,(?P<app>.*))?$", re.DOTALL)
_JUMPS = ("goto", "gosub", "gotoif", "gosubif", "gotoiftime")
# A key of another file that makes a context, where a module was told to.
_MADE = {
    "res_parking.conf": ("context",),
    "pjsip.conf": ("regcontext",),
    "sip.conf": ("regcontext",),
    "iax.conf": ("regcontext",),
}


class Step(NamedTuple):
    """One priority of an extension; ``line`` is the line of the dialplan with its includes."""

    context: str
    exten: str
    priority: str
    application: str
    arguments: str
    line: int


class Dialplan:
    """``names`` of contexts; ``steps`` and ``repeated``, lists of :class:`Step`; ``includes``.

    ``repeated`` are those whose place an earlier one has; an include is ``(line, context)``.
    """

    def __init__(self, confset):
        self._loaded = confset.load("extensions.conf")
        self.names = {"parkedcalls"} if "res_parking.conf" in confset else set()
        self.steps, self.repeated, self.includes = [], [], []
        seen = set()
        for section in self._loaded.conf.effective():
            if section.template or section.name in ("general", "globals"):
                continue
            self.names.add(section.name)
            self._read(section, seen)
        self._name_others(confset)

    def _name_others(self, confset):
        self.names.update(_AEL.findall(confset.texts.get("extensions.ael", "")))
        self.names.update(_LUA.findall(confset.texts.get("extensions.lua", "")))
        for file, keys in _MADE.items():
            for section in confset.load(file).conf.effective():
                self.names.update(value for key in keys for value in section.values(key))
        tables = confset.load("extconfig.conf").conf.effective()
        # Without the file all of the dialplan is elsewhere, such as in programs that use ARI.
        self._open = "extensions.conf" not in confset or any(
            setting.key == "extensions" for table in tables for setting in table.settings
        )

    def place(self, line):
        """Where a line was written: a :class:`~pbxlib.confset.Place`."""
        return self._loaded.place(line)

    def lacks(self, context):
        """Whether there is no such context, as far as files can tell."""
        return not self._open and "${" not in context and context not in self.names

    def _read(self, section, seen):
        exten, last = None, None
        for setting in section.settings:
            key, value = setting.key.lower(), setting.value
            if key == "include":
                self.includes.append((setting.line, value.split(",")[0].strip()))
                continue
            if key == "exten":
                exten, _, value = value.partition(",")
                exten = exten.strip()
            elif key != "same" or exten is None:
                continue
            found = _STEP.match(value.strip())
            priority, last = _number(found["priority"].strip(), last)
            application, _, arguments = (found["app"] or "").strip().partition("(")
            arguments = arguments.strip()
            arguments = arguments[:-1] if arguments.endswith(")") else arguments
            step = Step(
                section.name, exten, str(priority), application.strip(), arguments, setting.line
            )
            if priority == "hint":
                continue
            self.steps.append(step)
            # By number: what is neither number nor n, Asterisk itself complains of.
            if isinstance(priority, int) and "${" not in exten:
                place = (section.name, exten.replace(" ", ""), priority)
                if place in seen:
                    self.repeated.append(step)
                seen.add(place)


def _number(priority, last):
    """``(priority as a number where it is one, the last number)``, by pbx_config's rules."""
    word, _, offset = priority.partition("+")
    step = int(offset) if offset.strip().isdigit() else 0
    if word in ("next", "n") and last is not None:
        last = last + 1 + step
    elif word in ("same", "s") and last is not None:
        last = last + step
    elif word.isdigit():
        last = int(word) + step
    else:
        return priority, last
    return last, last


def targets(step):
    """The contexts that a :class:`Step` jumps to, by literal name: a list of texts."""
    application = step.application.lower()
    if application not in _JUMPS:
        return []
    if application in ("goto", "gosub"):
        branches = [step.arguments]
    else:
        _, _, rest = _outside(step.arguments, "?")
        first, _, second = _outside(rest, ":")
        branches = [first, second]
    contexts = []
    for branch in branches:
        parts = _outside(branch, "(")[0].split(",")
        if len(parts) == 3 and "${" not in branch.partition(",")[0] and parts[0].strip():
            contexts.append(parts[0].strip())
    return contexts


def _outside(text, separator):
    """``text.partition(separator)`` at the first one outside of ``${…}``, ``$[…]`` and quotes."""
    depth, quoted = 0, False
    for at, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter == separator and depth == 0:
            return text[:at], letter, text[at + 1 :]
        elif letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
    return text, "", ""
