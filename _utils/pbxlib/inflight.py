"""
The actions of one session that wait for their answers. No I/O.

A reply belongs to the action of its ``ActionID``. When it says ``EventList: start``, the events
of that ``ActionID`` up to the one that ends the list belong to it too. What comes after an
action's time is up is known for what it is and goes to nobody.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque

from pbxlib.errors import ActionTimeout, BadAction

log = logging.getLogger(__name__)

# How many answers are awaited after their time; the oldest are forgotten first.
MAX_LATE = 10_000


class Pending:
    """An action in flight.

    ``deadline``: of the monotonic clock, ``timeout`` (s) after it was sent. ``callback``: is
    called with the outcome. ``position``: in what the connection sent; None while not known.
    """

    __slots__ = ("action_id", "callback", "deadline", "messages", "name", "position", "timeout")

    def __init__(self, action_id, name, timeout, callback, now):
        self.action_id = action_id
        self.name = name
        self.timeout = timeout
        self.deadline = now + timeout
        self.callback = callback
        self.messages = []
        self.position = None


class InFlight:
    """
    :meth:`add` and :meth:`withdraw` are for any thread, the rest for the reading one.

    ``wire_ids``: set of bytes, the ActionIDs whose frames must be parsed.
    ``settled``: deque of (callback, outcome), to be called in this order.
    ``strays``: how many replies came that belong to no action.
    """

    def __init__(self):
        self.wire_ids = set()
        self.settled = deque()
        self.strays = 0
        self._lock = threading.Lock()
        self._actions = {}
        self._lists = {}
        self._late = {}
        self._deadlines = []
        self._watched = 0.0

    def add(self, pending):
        """Await an answer. Returns whether its deadline comes before :meth:`watch` was told.

        Raises :class:`~pbxlib.errors.BadAction` when the ActionID is in flight already.
        """
        action_id = pending.action_id
        with self._lock:
            if action_id in self._actions or action_id in self._late or action_id in self._lists:
                raise BadAction(f"Header 'ActionID': {action_id!r} is in flight already")
            self._actions[action_id] = pending
            heapq.heappush(self._deadlines, (pending.deadline, id(pending), pending))
            self.wire_ids.add(_wire(action_id))
            return pending.deadline < self._watched

    def withdraw(self, pending):
        """Await no answer any more. Returns whether one was awaited."""
        with self._lock:
            if self._actions.get(pending.action_id) is not pending:
                return False
            del self._actions[pending.action_id]
            self.wire_ids.discard(_wire(pending.action_id))
            return True

    def watch(self, until):
        """The earliest deadline, ``until`` if that comes first; it is remembered."""
        with self._lock:
            if len(self._deadlines) > 4 * len(self._actions) + 1000:
                awaited = self._actions
                self._deadlines = [
                    item for item in self._deadlines if awaited.get(item[2].action_id) is item[2]
                ]
                heapq.heapify(self._deadlines)
            if self._deadlines:
                until = min(until, self._deadlines[0][0])
            self._watched = until
            return until

    @property
    def busy(self):
        """Whether an event may be part of an answer, or be here only because it might."""
        return bool(self._lists or self.wire_ids)

    def claim(self, message):
        """Take a message that answers an action; whether it did, or is a reply at all."""
        if "Event" not in message:
            self._reply(message)
            return True
        if self._lists and message.get("ActionID") in self._lists:
            self._item(message)
            return True
        return False

    def _reply(self, message):
        action_id = message.get("ActionID")
        if action_id is None and len(self._actions) == 1 and not self._late:
            # An error about an action that Asterisk could not read does not name it.
            action_id = next(iter(self._actions))
        pending = self._actions.get(action_id)
        begins = message.get("EventList", "").lower() == "start"
        if pending is not None and not pending.messages:
            pending.messages.append(message)
            if begins:
                self._lists[action_id] = pending
            else:
                self._settle(pending, pending.messages)
            return
        self.strays += 1
        log.debug("A reply that nobody waits for: ActionID %s", action_id)
        if self._late.pop(action_id, False) and begins:
            self._disown(action_id)

    def _item(self, message):
        action_id = message["ActionID"]
        pending = self._lists[action_id]
        mark = message.get("EventList")
        ends = message["Event"].endswith("Complete") if mark is None else mark.lower() != "start"
        if pending is not None:
            pending.messages.append(message)
        if ends:
            del self._lists[action_id]
            self.wire_ids.discard(_wire(action_id))
            if pending is not None:
                self._settle(pending, pending.messages)

    def _disown(self, action_id):
        """Let the items of a list that nobody waits for go nowhere until it ends."""
        self._lists[action_id] = None
        self.wire_ids.add(_wire(action_id))

    def expire(self, now):
        """Settle what has had its time."""
        expired = []
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= now:
                expired.append(heapq.heappop(self._deadlines)[2])
        for pending in expired:
            what = "its event list did not end" if pending.messages else "no answer came"
            error = ActionTimeout(
                f"{pending.name}: {what} within {pending.timeout:g} s. Asterisk may have performed "
                "it, or may do so yet"
            )
            if not self._settle(pending, error):
                continue
            if pending.messages:
                self._disown(pending.action_id)
            else:
                self._late[pending.action_id] = True
                if len(self._late) > MAX_LATE:
                    del self._late[next(iter(self._late))]

    def fail(self, outcome):
        """Settle all with ``outcome(pending)``, an exception."""
        for pending in list(self._actions.values()):
            self._settle(pending, outcome(pending))

    def _settle(self, pending, outcome):
        if not self.withdraw(pending):
            return False
        if pending.callback is not None:
            self.settled.append((pending.callback, outcome))
        return True


def _wire(action_id):
    return action_id.encode("utf-8", "surrogateescape")
