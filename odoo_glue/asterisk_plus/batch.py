"""Applying a batch: which item goes to which handler, together or alone, and what came of it."""

import logging
import time

from . import compat
from .guard import attempt

_logger = logging.getLogger(__name__)

_NESTS = (dict, list)


def refused(why):
    return ["refused", why]


class Item:
    """One item that will be handed over.

    ``call(list of data)`` for a batch route, else ``call(data)``; ``key`` is the same for items
    that one batch handler takes, None for items that go one by one; ``job``: whose result it is.
    """

    def __init__(self, item_id, data, call, key=None, job=None):
        self.id = item_id
        self.data = data
        self.call = call
        self.key = key
        self.job = job


class Batch:
    """Runs items in order; ``answers`` is ``{item id: answer}`` for those that were reached.

    ``budget``: seconds after which no further handler is started. At least one item is always
    answered, so that a sender gets on.
    """

    def __init__(self, cr, budget):
        self.cr = cr
        self.ends = time.monotonic() + budget
        self.answers = {}

    def run(self, items):
        for key, group in _runs(items):
            if self._is_late():
                return
            if key is None:
                self._one_by_one(group)
            else:
                self._together(group)

    def _is_late(self):
        return bool(self.answers) and time.monotonic() > self.ends

    def _together(self, group):
        """One call for all. A group that fails is halved until the bad item stands alone."""
        if self._is_late():
            return
        call = group[0].call
        failure = attempt(self.cr, lambda guard: call([_fresh(item.data) for item in group]))
        if failure is None:
            self._done(group)
        elif len(group) == 1:
            self._failed(group[0], failure)
        else:
            middle = len(group) // 2
            self._together(group[:middle])
            self._together(group[middle:])

    def _one_by_one(self, group):
        """A call each, in one savepoint while all goes well: that is twice as fast.

        When one fails, those before it are run again without it, then it alone.
        """
        while group and not self._is_late():
            reached = []

            def calls(guard, group=group, reached=reached):
                for item in group:
                    if reached and time.monotonic() > self.ends:
                        return
                    item.call(_fresh(item.data))
                    # What the handler left for later must fail now, while it is known whose it is.
                    compat.flush(self.cr)
                    guard.check()
                    reached.append(item)

            failure = attempt(self.cr, calls)
            count = len(reached)
            if failure is None:
                self._done(reached)
                group = group[count:]
            elif count == 0 or len(group) == 1:
                self._failed(group[0], failure)
                group = group[1:]
            else:
                # All of them reached means that the fault showed at the very end only.
                good = count if count < len(group) else count // 2
                self._one_by_one(group[:good])
                group = group[good:]

    def _done(self, items):
        for item in items:
            self.answers[item.id] = ["done"]

    def _failed(self, item, failure):
        _logger.warning("PBX item %s failed", item.id, exc_info=failure.exception)
        self.answers[item.id] = ["failed", failure.text]


def _runs(items):
    """Neighbours of the same key, as ``(key, [item, …])``, the order kept."""
    runs = []
    for item in items:
        if runs and runs[-1][0] == item.key:
            runs[-1][1].append(item)
        else:
            runs.append((item.key, [item]))
    return runs


def _fresh(data):
    """A copy of JSON data: a handler that changes its event is given it whole again."""
    if isinstance(data, dict):
        return {
            key: _fresh(value) if isinstance(value, _NESTS) else value
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_fresh(value) for value in data]
    return data
