"""Pauses between tries: they grow, are jittered so that many hosts do not try in step, and
have a cap."""

from __future__ import annotations

import random


def pause(failures, first, cap):
    """Seconds to wait after so many failures (from 1): ``first``, doubled each time, at most
    ``cap``; between half of that and all of it."""
    doubled = first * 2 ** min(failures - 1, 40)
    return min(cap, doubled) * random.uniform(0.5, 1.0)  # noqa: S311  (spread, not secrecy)


class Backoff:
    """Counts the failures; ``first``, ``cap`` in seconds."""

    def __init__(self, first=1.0, cap=60.0):
        self._first = first
        self._cap = cap
        self._failures = 0

    def next(self):
        """Seconds to wait before the next try."""
        self._failures += 1
        return pause(self._failures, self._first, self._cap)

    def reset(self):
        """Begin with the first pause again: the last try worked."""
        self._failures = 0
