"""
All of a PBX's configuration files together: ``#include`` followed, and each line's origin.

Asterisk reads an included file as if its lines stood in place of the ``#include``, so that it can
add to a section of the file around it. :meth:`ConfSet.load` does the same.
"""

from __future__ import annotations

import fnmatch
import functools
import os
from typing import NamedTuple

from pbxlib.conf import Conf

# Deeper than anyone nests on purpose: a file that includes itself ends here, as in Asterisk.
DEEPEST = 10
# Certificates and keys are named by their own paths: no copy of them is made.
_NOT_READ = (".pem", ".key", ".crt", ".csr", ".p12")
_LARGEST = 4 * 1024 * 1024


def on_disk(etc):
    """Name, relative to the folder ``etc``, to text of what Asterisk may read there."""
    texts = {}
    for folder, _, names in os.walk(etc):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(_NOT_READ) or not os.path.isfile(path):
                continue
            if os.stat(path).st_size <= _LARGEST:
                texts[os.path.relpath(path, etc)] = text_of(path)
    return texts


def text_of(path):
    """A file's text, ends of lines as they are; bytes that are no UTF-8 are carried through."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


class Place(NamedTuple):
    """A line (from 1) of a file (its name below Asterisk's configuration folder)."""

    file: str
    line: int


class Loaded(NamedTuple):
    """A file with what it includes.

    ``conf``: a :class:`~pbxlib.conf.Conf`. ``origins``: the :class:`Place` of each of its
    lines. ``lost``: ``(Place, pattern)`` of each ``#include`` that finds nothing.
    """

    conf: Conf
    origins: list
    lost: list

    def place(self, line):
        """Where line ``line`` (from 1) of :attr:`conf` was written: a :class:`Place`."""
        return self.origins[line - 1]


class ConfSet:
    """``texts``: file name, relative to ``etc``, to its text. ``etc``: the folder's path."""

    def __init__(self, texts, etc="/etc/asterisk"):
        self.texts = dict(texts)
        self.etc = etc
        # A file is asked for by several rules.
        self.load = functools.lru_cache(maxsize=None)(self._load)
        self.alone = functools.lru_cache(maxsize=None)(self._alone)

    def __contains__(self, name):
        return name in self.texts

    def _alone(self, name):
        """One file as a :class:`~pbxlib.conf.Conf`, nothing included; empty when not there."""
        return Conf(self.texts.get(name, ""))

    def _load(self, name):
        """A file with what it includes: a :class:`Loaded`; empty when it is not there."""
        lines, origins, lost = [], [], []
        self._expand(name, lines, origins, lost, 0)
        return Loaded(Conf("".join(line + "\n" for line in lines)), origins, lost)

    def _expand(self, name, lines, origins, lost, depth):
        directives = {d.line: d for d in self.alone(name).directives if d.word != "exec"}
        for number, text in enumerate(self.texts.get(name, "").split("\n"), 1):
            place = Place(name, number)
            directive = directives.get(number)
            if directive is None:
                lines.append(text)
                origins.append(place)
                continue
            found = self._find(directive.argument)
            if found == [] and directive.word == "include":
                lost.append((place, directive.argument))
            if depth < DEEPEST:
                for other in found or ():
                    self._expand(other, lines, origins, lost, depth + 1)

    def _find(self, pattern):
        """The files that an ``#include`` means; ``None`` when they are outside of the folder."""
        if os.path.isabs(pattern):
            pattern = os.path.relpath(os.path.normpath(pattern), self.etc)
        else:
            pattern = os.path.normpath(pattern)
        if pattern.startswith(".."):
            return None
        if any(letter in pattern for letter in "*?["):
            found = sorted(fnmatch.filter(self.texts, pattern))
            # Asterisk does not mind a pattern that finds nothing, nor does * cross a folder.
            return [one for one in found if one.count("/") == pattern.count("/")] or None
        return [pattern] if pattern in self.texts else []
