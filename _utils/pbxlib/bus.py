"""
The bridge's mouth on the minion bus.

One event on the bus costs about a millisecond, so matched AMI events go out in batches, at most
20 a second. Replies to actions do not wait for a batch. When the bus cannot keep up, its copies
of events are dropped and counted; the outbox has its own.
"""

from __future__ import annotations

import collections
import json
import logging
import threading
import time

from pbxlib.plain import dumps

log = logging.getLogger(__name__)

INTERVAL = 0.05
MAX_WAITING = 10_000
MAX_BATCH = 500


class BusWriter:
    """Fires on the bus from one thread. ``fire(tag, data)`` is Salt's; ``minion`` the id."""

    def __init__(self, fire, minion):
        self._fire = fire
        self._minion = minion
        self._urgent = collections.deque()
        self._events = collections.deque()
        self._changed = threading.Condition()
        self._next_batch = 0.0
        self._stopping = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="bus-writer", daemon=True)
        self._thread.start()

    def send(self, tag, data):
        """Fire one event as soon as may be: a reply, or a change of state."""
        with self._changed:
            self._urgent.append((tag, data))
            self._changed.notify()

    def events(self, events):
        """Add matched AMI events (dicts) to the next batch."""
        with self._changed:
            room = MAX_WAITING - len(self._events)
            self._events.extend(events[:room])
            self.dropped += max(0, len(events) - room)
            self._changed.notify()

    def stop(self):
        """Fire what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self):
        while True:
            with self._changed:
                while not (self._urgent or self._stopping or self._patience() == 0):
                    self._changed.wait(self._patience())
                urgent, self._urgent = self._urgent, collections.deque()
                batch = []
                if self._stopping or self._patience() == 0:
                    while self._events and len(batch) < MAX_BATCH:
                        batch.append(self._events.popleft())
                    self._next_batch = time.monotonic() + INTERVAL
                if self._stopping and not urgent and not batch:
                    return
            for tag, data in urgent:
                self._attempt(tag, data)
            if batch:
                self._attempt("asterisk/ami/events", {"server": self._minion, "events": batch})

    def _patience(self):
        """Seconds until a batch may go; ``None`` while there is nothing to send."""
        if not self._events:
            return None
        return max(0.0, self._next_batch - time.monotonic())

    def _attempt(self, tag, data):
        try:
            try:
                self._fire(tag, data)
            except UnicodeEncodeError:
                # What was no UTF-8 came as halves of surrogate pairs; the bus takes none.
                self._fire(tag, json.loads(dumps(data)))
        except Exception as error:
            # Whatever Salt's transport raises: a lost copy on the bus must not end the bridge.
            self.dropped += 1
            log.warning("The event %s did not reach the minion bus: %s", tag, error)
