"""Pauses between tries: they grow, are jittered so that many hosts do not try in step, and
have a cap."""

from __future__ import annotations

import random


class Backoff:
    """``first``, ``cap`` in seconds; each try multiplies the pause by ``factor``."""

    def __init__(self, first=1.0, cap=60.0, factor=2.0):
        self._first = first
        self._cap = cap
        self._factor = factor
        self._pause = first

    def next(self):
        """Seconds to wait before the next try: between half of the present pause and all of it."""
        pause = self._pause
        self._pause = min(self._cap, pause * self._factor)
        return self._jitter(min(self._cap, pause))

    def longest(self):
        """Seconds to wait when only a person can mend what is wrong."""
        self._pause = self._cap
        return self._jitter(self._cap)

    def reset(self):
        """Begin with the first pause again: the last try worked."""
        self._pause = self._first

    @staticmethod
    def _jitter(pause):
        return pause * random.uniform(0.5, 1.0)  # noqa: S311  (spread, not secrecy)
