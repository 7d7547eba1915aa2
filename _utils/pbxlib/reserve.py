"""
Disk space that is set aside for the outbox: a file beside it, given up when the disk is full.

A disk that is full stops SQLite from writing anything, even from deleting. What the file held is
room enough to go on within, while what is least worth keeping makes way for the rest.
"""

from __future__ import annotations

import os


class Reserve:
    """The file ``path``, of ``size`` bytes; size 0 sets nothing aside."""

    def __init__(self, path, size):
        self._path = path
        self.size = size

    def make(self):
        """Set the space aside, if it is not and the disk has twice as much: whether it is."""
        try:
            if os.path.getsize(self._path) >= self.size:
                return True
        except FileNotFoundError:
            pass
        try:
            disk = os.statvfs(os.path.dirname(self._path))
            if disk.f_bavail * disk.f_frsize < 2 * self.size:
                return False
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.size)
            finally:
                os.close(descriptor)
        except OSError:  # a quota, or somebody was faster
            self.give_up()
            return False
        return True

    def give_up(self):
        """Give the space to whoever writes next: whether there was some."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True
