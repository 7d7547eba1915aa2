"""
One engine a minion: an exclusive lock, and an end when the minion ends or the engine's work does.

A minion killed with ``-9`` leaves its engines running when systemd kills only the main process
(``KillMode=process``), and a minion with several masters starts every engine once a master.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import select
import signal
import threading

log = logging.getLogger(__name__)

_PIDFD_OPEN = 434  # the same number on every architecture


class EngineLock:
    """The lock file at ``path``. It is let go when the process ends, however it ends."""

    def __init__(self, path):
        self.path = path

    def take(self):
        """Wait until no other process holds the lock."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("Another process holds %s: waiting until it ends", self.path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    @staticmethod
    def held(path):
        """Whether some process holds the lock at ``path``."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def leave_with_parent():
    """End this process (by SIGTERM) when its parent ends. A thread waits; nothing polls."""
    try:
        descriptor = _pidfd(os.getppid())
    except OSError as error:
        log.warning("A minion that is killed will leave this engine running: %s", error)
        return
    threading.Thread(target=_await_end, args=(descriptor,), daemon=True).start()


def leave_with(work, name):
    """Do ``work()`` in a thread, and end this process (by SIGTERM) when it raises: Salt starts an
    engine that has ended again, and knows nothing of a thread that has."""

    def do():
        try:
            work()
        except Exception:
            log.critical("%s has failed: leaving, for Salt to start it again", name, exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=do, name=name, daemon=True).start()


def _pidfd(pid):
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    # A Python that was built for older kernels than this one lacks it.
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_OPEN, pid, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "pidfd_open needs Linux 5.3")
    return descriptor


def _await_end(descriptor):
    select.select([descriptor], [], [])
    log.warning("The minion that started this engine has ended: leaving")
    os.kill(os.getpid(), signal.SIGTERM)
