"""Locks between lab commands: of one clone, of one root, of the machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from labhosts.say import say


@contextlib.contextmanager
def exclusive(path: Path, waiting: str = "") -> Iterator[int]:
    """Hold the lock file `path`; yields its descriptor.

    The lock ends when the last process that holds the descriptor does, so a child that inherits
    it keeps the lock after its parent was killed.  waiting: what to say when it is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # `down` unlinks its lock file: one that was waited for may have no name any more.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
