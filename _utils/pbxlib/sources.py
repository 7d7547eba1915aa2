"""
What can be told wrong about ``asterisk:install:source`` before anything is fetched or built.

The checks take a value out of the pillar and return it; they raise ``ValueError`` with words for
a person.
"""

from __future__ import annotations

import os
import re

_SOUNDS = re.compile(r"asterisk-((core|extra)-sounds-\w+|moh-\w+)-")


def checksum(value):
    """``sha256=`` and 64 hex digits, or the same of SHA-384 or SHA-512."""
    match = re.fullmatch(r"sha(256|384|512)=([0-9a-f]+)", str(value))
    if not match or len(match[2]) * 4 != int(match[1]):
        raise ValueError(f"{value!r} is not a checksum: write sha256= and its 64 digits")
    return value


def menuselect(value):
    """Arguments of menuselect, without sound packages: its ``make install`` would fetch those."""
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        raise ValueError(f"{value!r} is not a list of texts")
    for option in value:
        if re.match(r"(CORE|EXTRA)-SOUNDS-|MOH-", option):
            raise ValueError(
                f"{option} would be fetched without a checksum: name its archive under sounds"
            )
    return value


def downloads(value):
    """Files to fetch: a list of mappings with url, checksum and, for sounds, a folder."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("it is not a list of mappings with url and checksum")
    for number, item in enumerate(value):
        for key in ("url", "checksum"):
            if key not in item:
                raise ValueError(f"entry {number} has no {key}")
        checksum(item["checksum"])
        folder = item.get("folder", "moh")
        if not all(isinstance(text, str) for text in (item["url"], folder)):
            raise ValueError(f"entry {number} holds what is not text: put it in quotes")
        if folder.startswith("/") or ".." in folder.split("/"):
            raise ValueError(f"{folder!r} is not a folder below /var/lib/asterisk")
        unknown = sorted(set(item) - {"url", "checksum", "folder"})
        if unknown:
            raise ValueError(f"{unknown[0]!r} is unknown: write url, checksum and folder")
    return value


def problems(install):
    """Lines, each of which tells of a setting that others miss."""
    if install["method"] == "source":
        for key, what in (
            ("url", "the address or path of Asterisk's tarball"),
            ("checksum", "sha256= and the checksum of that tarball"),
        ):
            if not install["source"][key]:
                yield f"asterisk:install:source:{key}: it is not set: write {what}"
    for number, sound in enumerate(install["source"]["sounds"]):
        if "folder" not in sound and not _SOUNDS.match(os.path.basename(sound["url"])):
            yield (
                f"asterisk:install:source:sounds:{number}: where {sound['url']} is to be unpacked "
                "is not clear from its name: write folder, such as sounds/en or moh"
            )
