"""Secrets that are generated on first use: one file each, mode 0600, in a folder of mode 0700."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile

from pbxlib.errors import SettingsError


def read(folder, name):
    """The secret ``name``, or ``None`` when it was never made."""
    try:
        with open(_path(folder, name), encoding="ascii") as file:
            return file.read().strip() or None
    except FileNotFoundError:
        return None


def get(folder, name):
    """The secret ``name``; 32 random characters are made and kept when there is none."""
    known = read(folder, name)
    if known:
        return known
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, not a rename: of two processes that make it at once, both return the first's.
        os.link(draft, _path(folder, name))
    except FileExistsError:
        if read(folder, name) is None:
            os.replace(draft, _path(folder, name))  # an empty file is no secret
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    return read(folder, name)


def can_name(name):
    """Whether a secret may have this name, which becomes a file's."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _path(folder, name):
    if not can_name(name):
        raise SettingsError([f"{name!r} cannot name a secret: use letters, digits, . _ and -"])
    return os.path.join(folder, name)
