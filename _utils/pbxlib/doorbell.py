"""
The signal from the outbox's writers to its sender: a byte in a named pipe beside the file.

A pipe, since writers are other processes, and a reader that waits costs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select

log = logging.getLogger(__name__)


def wake(path):
    """Tell the sender of the outbox at ``path`` that something changed.

    Never blocks and never raises: what was written is safe, and the sender looks again by itself.
    """
    try:
        descriptor = os.open(path + ".wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # Without these two no sender runs: it looks at the outbox when it starts.
        if error.errno not in (errno.ENXIO, errno.ENOENT):
            log.warning("The sender of %s cannot be woken: %s", path, error)
        return
    try:
        os.write(descriptor, b"\0")
    except (BlockingIOError, BrokenPipeError):
        pass  # the pipe is full of wake-ups already, or the sender has just ended
    finally:
        os.close(descriptor)


class Doorbell:
    """The sender's end of :func:`wake`."""

    def __init__(self, path):
        pipe = path + ".wake"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        # Opened for both, so that the pipe never reports its end when a writer leaves.
        self._descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout=None):
        """Return when the bell was rung, or after ``timeout`` seconds: whether it was rung."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        if not ready:
            return False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._descriptor, 4096):
                pass
        return True

    def close(self):
        os.close(self._descriptor)
