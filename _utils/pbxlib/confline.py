"""One line of a .conf file: what Asterisk takes of it, and the comments around that."""

from __future__ import annotations

import dataclasses

BLANKS = "".join(map(chr, range(33)))


@dataclasses.dataclass
class Line:
    """``raw`` is the line with its end; ``live`` what is left of it without comments and blanks."""

    raw: str
    live: str = ""
    before: str = ""  # comments to the left of what is live, and its indent
    after: str = ""  # all others
    starts_in: int = 0  # how deep in ;-- --; the line begins, and ends; -1: nothing more is read
    ends_in: int = 0

    @property
    def end(self):
        """What ends it: empty for the last line of a text, maybe."""
        if not self.raw.endswith("\n"):
            return ""
        return "\r\n" if self.raw.endswith("\r\n") else "\n"


def split(raw, depth):
    """The :class:`Line` of a text, when so many ``;--`` are open (``depth``) where it begins."""
    line = Line(raw, starts_in=depth, ends_in=depth)
    text = raw[: len(raw) - len(line.end)]
    live, comments, start, at = "", [], 0, 0

    def keep(end):
        nonlocal live
        if depth:
            comments.append((bool(live.strip(BLANKS)), text[start:end]))
        else:
            live += text[start:end]

    while True:
        found = text.find(";", at)
        if found < 0 or depth < 0:
            keep(len(text))
            break
        if found > at and text[found - 1] == "\\":
            if depth:
                at = found + 1
            else:
                text = text[: found - 1] + text[found:]
                at = found
        elif text[found + 1 : found + 3] == "--" and text[found + 3 : found + 4] != "-":
            keep(found)
            depth, start, at = depth + 1, found, found + 3
        elif found >= at + 2 and text[found - 2 : found] == "--":
            keep(found + 1)
            depth, start, at = depth - 1, found + 1, found + 1
        elif depth:
            at = found + 1
        else:
            keep(found)
            comments.append((bool(live.strip(BLANKS)), text[found:]))
            break
    line.ends_in = depth
    line.live = live.strip(BLANKS)
    line.before = "".join(comment for later, comment in comments if not later)
    line.before += live[: len(live) - len(live.lstrip(BLANKS))] if line.live else ""
    line.after = "".join(comment for later, comment in comments if later)
    if line.after:
        line.after = (live[len(live.rstrip(BLANKS)) :] or " ") + line.after
    return line


def parts_of(live):
    """What is before the separator, the separator (``""`` if there is none), and what is after."""
    escaped = live[0] == "\\"
    at = live.find("=", 2 * escaped)
    if at < 0:
        return live, "", ""
    if at > 2 * escaped and live[at - 1] == "+":
        return live[: at - 1], "+=", live[at + 1 :]
    if live[at + 1 : at + 2] == ">":
        return live[:at], "=>", live[at + 2 :]
    return live[:at], "=", live[at + 1 :]


def escape(text):
    """Text with its semicolons written so that they begin no comment."""
    return text.replace(";", "\\;")
