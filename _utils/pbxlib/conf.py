"""
Asterisk's .conf files as text, no I/O: what Asterisk reads in them, and edits that lose nothing.

The rules are those of Asterisk's ``main/config.c``, which no document has whole: ``\\;`` is a
semicolon, ``;-- --;`` nests and spans lines, blanks are all characters up to the space, ``+=``
appends to the value before, ``\\`` before a line makes it a setting whatever it begins with, and a
line without ``=`` is skipped with a warning.

:class:`Conf` never raises on what is wrong in a text: it lists :attr:`Conf.faults`.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Optional

from pbxlib.confline import BLANKS, Line, escape, parts_of, split
from pbxlib.errors import ConfError

# With its end, in bytes: a longer line is skipped.
LONGEST = 8190


@dataclasses.dataclass(frozen=True)
class Fault:
    """What Asterisk would not read. ``fatal``: it then takes nothing of the whole file."""

    line: int
    text: str
    fatal: bool = True


@dataclasses.dataclass(frozen=True)
class Setting:
    """``key = value``. ``separator`` is ``=``, ``=>`` or ``+=``; ``line`` counts from 1.

    What follows ``+=`` keeps the blanks that it begins with, since they are appended too.
    """

    key: str
    value: str
    separator: str
    line: int


@dataclasses.dataclass(frozen=True)
class Directive:
    """``#include``, ``#tryinclude`` or ``#exec`` (``word``, without ``#``) and its argument."""

    word: str
    argument: str
    line: int
    section: Optional[str]


@dataclasses.dataclass
class Section:
    """``[name](options)`` and what follows it.

    ``parents`` are the sections it inherits from, ``addition`` is the filter of ``(+filter)``
    (``""`` for ``(+)``, ``None`` for a section of its own).
    """

    name: str
    line: int
    options: str = ""
    template: bool = False
    parents: tuple = ()
    addition: Optional[str] = None
    settings: list = dataclasses.field(default_factory=list)

    def values(self, key):
        """The values of a key, in order: a list of texts, ``+=`` already joined."""
        values = []
        for setting in self.settings:
            if setting.key.lower() != key.lower():
                continue
            if setting.separator == "+=" and values:
                # Asterisk appends to the first that has the value of the last.
                at = [value.lower() for value in values].index(values[-1].lower())
                values[at] = (values[-1] + setting.value).strip(BLANKS)
            else:
                values.append(setting.value.strip(BLANKS))
        return values

    def get(self, key, default=None):
        """The last value of a key, as most of Asterisk's modules take it."""
        return (self.values(key) or [default])[-1]


class Conf:
    """A .conf file's text.

    ``sections`` are those of the text, in order, each with its own settings alone;
    :meth:`effective` has them as Asterisk does. ``directives`` are not followed.
    """

    def __init__(self, text=""):
        self._read(text)

    def __str__(self):
        return "".join(line.raw for line in self._lines)

    # Reading -----------------------------------------------------------------------------

    def _read(self, text):
        self.sections = []
        self.directives = []
        self.faults = []
        self._lines = []
        depth, opened = 0, 0
        for number, raw in enumerate(text.split("\n"), 1):
            raw += "\n"
            if len(raw.encode("utf-8", "surrogateescape")) > LONGEST:
                self._lines.append(Line(raw, starts_in=depth, ends_in=depth))
                self._fault(number, "the line is too long, so Asterisk skips it", fatal=False)
                continue
            line = split(raw, depth)
            if depth >= 0 > line.ends_in:
                self._fault(number, "--; ends a comment that no ;-- began: the rest is not read")
            elif depth == 0 < line.ends_in:
                opened = number
            depth = line.ends_in
            self._lines.append(line)
            if line.live:
                self._take(line.live, number)
        # The text after the last newline is no line when it is empty, and has no end otherwise.
        self._lines[-1].raw = self._lines[-1].raw[:-1]
        if depth > 0:
            self._fault(opened, "the comment that begins here with ;-- has no end", fatal=False)

    def _fault(self, line, text, fatal=True):
        self.faults.append(Fault(line, text, fatal))

    def _take(self, live, number):
        if live[0] == "[":
            self._header(live, number)
        elif live[0] == "#":
            self._directive(live, number)
        elif not self.sections:
            self._fault(number, "it stands before the first section")
        elif live[0] == "\\" and not "!" <= live[1:2] <= "~":
            # Asterisk compares a signed byte with the blank: no other letters either.
            self._fault(number, "it has no ASCII character after the \\ that it begins with")
        else:
            head, separator, value = parts_of(live)
            key = (head[1:] if head[:1] == "\\" else head).strip(BLANKS)
            if separator != "+=":
                value = value.strip(BLANKS)
            if not separator:
                self._fault(number, "it has no = sign, so Asterisk skips it", fatal=False)
            elif not key:
                self._fault(number, "it has nothing before the = sign", fatal=False)
            else:
                self.sections[-1].settings.append(Setting(key, value, separator, number))

    def _header(self, live, number):
        name, bracket, rest = live[1:].partition("]")
        if not bracket:
            self._fault(number, "the section has no closing ]")
            return
        section = Section(name, number)
        if rest.startswith("("):
            section.options, closed, _ = rest[1:].partition(")")
            if not closed:
                self._fault(number, f"the section {name} has no closing )")
                return
            for option in section.options.split(","):
                if option == "!":
                    section.template = True
                elif option.startswith("+"):
                    section.addition = option[1:]
                else:
                    section.parents += (option,)
        self.sections.append(section)

    def _directive(self, live, number):
        word, _, argument = live[1:].replace("\t", " ").partition(" ")
        word, argument = word.lower(), argument.strip(BLANKS)
        if word not in ("include", "tryinclude", "exec"):
            self._fault(number, f"Asterisk has no directive #{word}", fatal=False)
        elif not argument:
            self._fault(number, f"#{word} has no argument", fatal=False)
        else:
            if argument[0] + argument[-1] in ('""', "<>"):
                argument = argument[1:-1]
            section = self.sections[-1].name if self.sections else None
            self.directives.append(Directive(word, argument, number, section))

    def effective(self):
        """The sections as Asterisk has them: additions joined to theirs, inherited settings first.

        Returns new :class:`Section` objects, templates among them, in order. Settings keep the
        line that they were written in.
        """
        return [whole for whole, _ in self._wholes()]

    def unresolved(self):
        """A :class:`Fault` for each parent, or section to add to, that the text does not have.

        Not among :attr:`faults`, since an included file may have it.
        """
        found = []
        self._wholes(found)
        return found

    def _wholes(self, unresolved=None):
        """``(section as Asterisk has it, its parts in the text)``, in order."""
        wholes, names = [], {}
        for section in self.sections:
            settings = []
            for parent in section.parents:
                # The first of a name, with what it has by now.
                base = names.get(parent.lower())
                if base:
                    settings += base[0][0].settings
                elif unresolved is not None:
                    text = f"[{section.name}]: there is no section {parent} above to inherit from"
                    unresolved.append(Fault(section.line, text))
            settings += section.settings
            same = names.setdefault(section.name.lower(), [])
            if section.addition is not None:
                known = [pair for pair in same if _passes(pair[0], section.addition)]
                if known:
                    known[0][0].settings += settings
                    known[0][1].append(section)
                elif unresolved is not None:
                    text = f"[{section.name}](+): there is no such section above to add to"
                    unresolved.append(Fault(section.line, text))
                continue
            same.append((dataclasses.replace(section, settings=settings), [section]))
            wholes.append(same[-1])
        return wholes

    # Editing -----------------------------------------------------------------------------

    def _find_to_edit(self, name, type_):
        if self._lines[-1].ends_in < 0:
            raise ConfError("a --; ends a comment that no ;-- began: mend that by hand first")
        return self.find(name, type_)

    def find(self, name, type_=None):
        """The parts of one section in the text, a list of :class:`Section`: it and its additions.

        ``name`` may have options, ``name(options)``: then only such a header is meant. With
        ``type_`` only a section whose setting ``type``, inherited or its own, is that: in
        pjsip.conf an endpoint, its auth and its AOR often have one name.
        """
        title, bracket, options = name.partition("(")
        options = options.rstrip(")") if bracket else None
        for whole, parts in self._wholes():
            if (
                whole.name.lower() == title.lower()
                and options in (None, whole.options)
                and type_ in (None, whole.get("type"))
            ):
                return parts
        return []

    def add(self, name, type_=None):
        """Add a section at the end, ``name`` or ``name(options)``, with its ``type`` if given."""
        if not re.fullmatch(r"[^][();\r\n\0]+(\([^][();\r\n\0]*\))?", name):
            raise ConfError(f"{name!r} cannot name a section of a .conf file")
        title, bracket, options = name.partition("(")
        blank = [""] if str(self) else []
        body = [] if type_ is None else [f"type = {_checked('type', type_)}"]
        self._insert(len(self._lines), [*blank, f"[{title}]{bracket}{options}", *body])
        self._read(str(self))

    def set(self, name, key, values, type_=None):
        """Give ``key`` these values (a list of texts) in section ``name``; whether it changed.

        Lines that are there are changed in place and keep their comments; new ones come after
        the last of their key, or of the section. A section that is not there is added at the
        end. Raises :class:`~pbxlib.errors.ConfError` for what a .conf file cannot hold.
        """
        if not key.strip(BLANKS) or key[0] in "[#\\" or not set(key).isdisjoint("=\r\n\0"):
            raise ConfError(f"{key!r} cannot be a key of a .conf file")
        values = [_checked(key, value) for value in values]
        if not self._find_to_edit(name, type_):
            self.add(name, type_)
        parts = self.find(name, type_)
        old = self._own(parts, key)
        now = Section("", 0, settings=old).values(key)
        if now == values and not (old and old[0].separator == "+="):
            return False
        for setting, value in zip(old, values):
            self._replace(setting, value)
        for setting in old[len(values) :]:
            self._drop(setting.line)
        if len(values) > len(old):
            after = old[-1].line if old else self._last_line(parts[0])
            separator = "=>" if old and old[-1].separator == "=>" else "="
            lines = [f"{key} {separator} {value}" for value in values[len(old) :]]
            self._insert(after, [escape(line) for line in lines])
        self._read(str(self))
        return True

    def remove(self, name, key=None, type_=None):
        """Take away a key of a section, or the section with all that is in it; whether it changed.

        Comments inside a removed section go with it; those above it and after its last setting
        stay. Raises :class:`~pbxlib.errors.ConfError` for a text that nothing can be taken from.
        """
        parts = self._find_to_edit(name, type_)
        if key is not None:
            lines = [setting.line for setting in self._own(parts, key)]
        else:
            lines = [n for p in parts for n in range(p.line, self._last_line(p) + 1)]
        for line in lines:
            self._drop(line)
        if lines:
            self._read(str(self))
        return bool(lines)

    @staticmethod
    def _own(parts, key):
        return [s for part in parts for s in part.settings if s.key.lower() == key.lower()]

    def _last_line(self, section):
        """The number of a section's last line that is more than a comment."""
        later = [other.line for other in self.sections if other.line > section.line]
        end = min(later, default=len(self._lines) + 1)
        return max(n for n in range(section.line, end) if self._lines[n - 1].live)

    def _replace(self, setting, value):
        line = self._lines[setting.line - 1]
        head, separator, tail = parts_of(line.live)
        gap = tail[: len(tail) - len(tail.lstrip(BLANKS))]
        if not gap and (not tail or value.startswith(">")):
            gap = " "
        text = f"{head}{'=' if separator == '+=' else separator}{gap}{value}"
        line.raw = f"{line.before}{escape(text)}{line.after}{line.end}"

    def _insert(self, after, texts):
        """New lines after line ``after``, or further down where a comment spans its end."""
        at = after
        while at and self._lines[at - 1].ends_in:
            at += 1
            if at > len(self._lines) or any(section.line == at for section in self.sections):
                raise ConfError(f"line {after}: there is no place after its comment to write to")
        end = next((line.end for line in self._lines if line.end), "\n")
        if at and not self._lines[at - 1].end and self._lines[at - 1].raw:
            self._lines[at - 1].raw += end
        self._lines[at:at] = [Line(text + end) for text in texts]

    def _drop(self, number):
        line = self._lines[number - 1]
        if line.starts_in or line.ends_in:
            # Without its ;-- or --; what is a comment elsewhere would change.
            line.raw = f"{line.before}{line.after.lstrip(BLANKS)}{line.end}"
        else:
            line.raw = ""


def _passes(section, conditions):
    """Whether ``[name](+conditions)`` means this section, by ``ast_category_get``'s rules."""
    templates = False
    for condition in filter(None, re.split("[&,]", conditions)):
        name, _, pattern = condition.partition("=")
        if name == "TEMPLATES":
            templates = pattern in ("include", "restrict")
        elif not any(pattern == value for value in section.values(name)):
            return False
    return templates or not section.template


def _checked(key, value):
    if not set(value).isdisjoint("\r\n\0"):
        raise ConfError(f"{key}: a value of a .conf file is one line")
    if len(value.encode("utf-8", "surrogateescape")) + len(key) > LONGEST - 100:
        raise ConfError(f"{key}: Asterisk skips lines of more than {LONGEST} bytes")
    return value.strip(BLANKS)
