"""
The bridge: one AMI session, its events into the outbox and on the bus, actions from the bus.

It reconnects for as long as it lives. Nothing here knows Salt: the bus is an object with
``send(tag, data)`` and ``events(list)`` (see :class:`pbxlib.bus.BusWriter`).
"""

from __future__ import annotations

import collections
import logging
import resource
import ssl
import threading
import time

from asterisk.manager import ManagerAuthException, ManagerException

from pbxlib import actions, cdr, classes, filters
from pbxlib.backoff import Backoff
from pbxlib.cdrfile import CdrFile
from pbxlib.errors import BadAction, OutboxError, PbxError, PeerSilent
from pbxlib.events import EventMap
from pbxlib.session import Manager

log = logging.getLogger(__name__)

# A refused login is mended by a person; asking more often only fills Asterisk's security log.
REFUSED_PAUSE = 60.0
# Seconds between two warnings that the outbox cannot be written.
LOST_PAUSE = 60.0
EVENTS_ON = {"Action": "Events", "EventMask": "on"}
# Calls placed without Async at once: each takes a session of its own.
MAX_ALONE = 20
# The outcome of an asynchronous Originate: it goes on the bus for whoever waits for it.
ALWAYS = frozenset({"OriginateResponse"})
STATE = "asterisk/ami/state"


class Bridge:
    """Bridges one Asterisk. ``settings``: resolved. ``secret()`` returns the AMI secret."""

    def __init__(self, settings, secret, outbox, bus):
        self._settings = settings
        self._secret = secret
        self._outbox = outbox
        self._bus = bus
        self._map = EventMap.of(settings)
        self._cdr_file = CdrFile(settings["ami"]["cdr_file"], outbox, self._items)
        self._cdr_file.wanted = self._map.delivers("Cdr")
        self._unsaid = collections.Counter()
        self._lost_said = float("-inf")
        self._session = None
        self._ungranted = frozenset()  # what was reported last
        self._asked = frozenset()  # the events that this session's filters let through
        self._trouble = "it has not connected yet"
        self._heard = None
        self._changed = threading.Event()
        self._widening = threading.Lock()
        self._alone = threading.BoundedSemaphore(MAX_ALONE)
        self._stopping = False
        self.counters = {
            "connections": 0,
            "matched": 0,
            "stored": 0,
            "lost": 0,
            "actions": 0,
            "action_seconds": 0.0,
            "action_slowest": 0.0,
        }

    # The session -------------------------------------------------------------------------

    def run(self):
        """Connect, and connect again, until :meth:`stop`."""
        backoff = Backoff(first=1.0, cap=60.0)
        said = None
        self._cdr_file.start()
        while not self._stopping:
            self._changed.clear()
            try:
                session = self._connect()
            except ManagerAuthException as error:
                wait, state, self._trouble = REFUSED_PAUSE, "refused", self._refusal(error)
            except (ManagerException, PbxError, OSError) as error:
                wait, state, self._trouble = backoff.next(), "disconnected", self._absence(error)
            else:
                backoff.reset()
                said = None
                self._serve(session)
                continue
            if said != self._trouble:
                said = self._trouble
                log.error("%s", said)
                self._tell(state)
            self._changed.wait(wait)

    def _refusal(self, error):
        ami = self._settings["ami"]
        return (
            f"Asterisk refused the AMI login {ami['username']!r} ({error}): asterisk:ami:username "
            "or asterisk:ami:secret differs from manager.conf. Apply the formula again"
        )

    def _absence(self, error):
        ami = self._settings["ami"]
        return (
            f"Asterisk's AMI at {ami['host']}:{ami['port']} cannot be reached ({error}): is "
            "Asterisk running, and is asterisk:ami right?"
        )

    def _log_in(self, ping_interval):
        """A new session that gets no events yet."""
        ami = self._settings["ami"]
        session = Manager(
            ping_interval=ping_interval,
            connect_timeout=ami["connect_timeout"],
            action_timeout=ami["action_timeout"],
        )
        tls = ssl.create_default_context(cafile=ami["ca_file"]) if ami["tls"] else None
        try:
            session.connect(ami["host"], ami["port"], tls=tls)
            session.login(ami["username"], self._secret(), events="off")
        except BaseException:
            session.close()
            raise
        return session

    def _connect(self):
        session = self._log_in(self._settings["ami"]["ping_interval"])
        self._asked = self._map.wanted | ALWAYS
        try:
            session.set_wanted(self._asked)
            session.on_frames = self._take
            for action in filters.filter_actions(session.version, self._asked):
                filters.check(session.request(action))
            session.request(EVENTS_ON)
        except BaseException:
            session.close()
            raise
        return session

    def _serve(self, session):
        """Stay until the session ends or other settings ask for a new one."""
        self.counters["connections"] += 1
        self._session = session
        self._trouble = None
        log.info("Connected to Asterisk's AMI, %s", session.version)
        self._tell("connected")
        session.on_close = lambda _reason: self._changed.set()
        # The map may have changed while this session was opened.
        self._widen(session)
        self._cdr_file.look()
        if session.connected():
            self._changed.wait()
        self._session = None
        reason = session.close_reason
        # What a silent Asterisk sent since it was last heard may be lost.
        silent = isinstance(reason, PeerSilent)
        self._heard = session.heard if silent else time.monotonic()
        session.close()
        if self._stopping:
            return
        if reason is None:
            log.info("Settings of the AMI session changed: connecting anew")
            return
        self._trouble = f"Asterisk's AMI connection ended: {reason}"
        log.warning("%s", self._trouble)
        self._tell("disconnected")

    def _tell(self, state):
        gap = None if self._heard is None else round(time.monotonic() - self._heard, 3)
        data = {"state": state, "gap": gap}
        if self._trouble:
            data["reason"] = self._trouble
        self._store(self._map.bus_items(STATE, data))
        self._bus.send(STATE, data)

    def configure(self, settings):
        """Use other settings. A changed map takes effect at once; changed AMI settings, or
        events that Asterisk does not yet send, by a new session."""
        before, self._settings = self._settings, settings
        self._map = EventMap.of(settings)
        self._cdr_file.follow(settings["ami"]["cdr_file"], self._map.delivers("Cdr"))
        session = self._session
        if before["ami"] != settings["ami"]:
            self._changed.set()
        elif session is not None:
            self._widen(session)

    def reconnect(self):
        """Log in anew: what the account may read and do is settled at its login."""
        self._changed.set()

    def _widen(self, session):
        """Have Asterisk send the map's events. Filters are never taken away: it cannot be done."""
        self._report_ungranted()
        with self._widening:
            wanted, asked = self._map.wanted | ALWAYS, self._asked
            session.set_wanted(wanted)
            self._asked = asked | wanted
            try:
                for action in filters.filter_actions(session.version, wanted - asked):
                    session.submit(action, None, self._widened)
            except ManagerException as error:
                self._widened(error)

    def _report_ungranted(self):
        """Say which events of the map Asterisk will not send to this account, once for each set."""
        readable = classes.granted(self._settings["ami"]["username"])
        missing = frozenset(
            f"{name} ({classes.class_of(name)})"
            for name in self._map.wanted
            if readable is not None and not readable & {classes.class_of(name), "all"}
        )
        if missing and missing != self._ungranted:
            log.warning(
                "Asterisk does not send these events of asterisk:events, since the AMI account "
                "may not read their class: %s. Apply the formula: salt-call state.apply "
                "asterisk-formula",
                ", ".join(sorted(missing)),
            )
        self._ungranted = missing

    def _widened(self, outcome):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            filters.check(outcome)
        except ManagerException as error:
            log.warning("A new session is made for new events: %s", error)
            self._changed.set()

    def stop(self):
        """Make :meth:`run` return."""
        self._stopping = True
        self._changed.set()
        self._cdr_file.stop()

    # Events ------------------------------------------------------------------------------

    def _take(self, events):
        """Route the wanted events of one read: one commit, then their copies on the bus."""
        items, matched, records = [], [], []
        for event in events:
            if event.get("Event") == "Cdr":
                event = cdr.in_utc(event)
                records.append(cdr.key(event))
            routes = self._map.routes(event)
            if routes or event["Event"] in ALWAYS:
                matched.append(event)
            items += self._items(event, routes)
        self.counters["matched"] += len(matched)
        if self._store(items) and records:
            self._cdr_file.heard(len(records), known=None not in records)
        if matched:
            self._bus.events(matched)

    def _items(self, event, routes=None):
        """The outbox items of an event: one for each route that leads to Odoo."""
        record = cdr.key(event) if event["Event"] == "Cdr" else None
        items = []
        for route in self._map.routes(event) if routes is None else routes:
            if not route.model:
                continue
            item = route.item(event["Event"], event)
            if record:
                item.update(record=record, id=cdr.item_id(record, route.path))
            items.append(item)
        return items

    def _store(self, items):
        """Put items into the outbox; whether they, being some, are there."""
        if not items:
            return False
        try:
            self.counters["stored"] += self._outbox.put(items)
        except Exception as error:
            self._not_stored(items, error)
            return False
        return True

    def _not_stored(self, items, error):
        """Call records can be read again, what else was in the read cannot."""
        lost = sum("record" not in item for item in items)
        self.counters["lost"] += lost
        self._outbox.lost(lost)
        self._cdr_file.look()
        self._unsaid.update(lost=lost, records=len(items) - lost)
        # Not for each read: a full disk may be the log's, too.
        if time.monotonic() - self._lost_said < LOST_PAUSE:
            return
        self._lost_said = time.monotonic()
        log.critical(
            "%s events for Odoo are lost, and %s items of call records wait in Asterisk's file: %s",
            self._unsaid["lost"],
            self._unsaid["records"],
            error,
            exc_info=not isinstance(error, OutboxError),
        )
        self._unsaid.clear()

    # Actions -----------------------------------------------------------------------------

    def perform(self, request):
        """Perform an ``ami_action`` of the bus; the reply goes out as ``ami_reply/…``."""
        headers = {key: value for key, value in request.items() if not str(key).startswith("_")}
        channel = headers.pop("reply_channel", None)
        timeout = headers.pop("timeout", None)
        as_list = headers.pop("as_list", None)
        began = time.monotonic()

        def answer(outcome):
            taken = time.monotonic() - began
            self.counters["actions"] += 1
            self.counters["action_seconds"] += taken
            self.counters["action_slowest"] = max(self.counters["action_slowest"], taken)
            if isinstance(outcome, Exception):
                outcome = [failure(str(outcome), headers.get("ActionID"))]
            elif as_list is False:
                outcome = outcome[:1]
            if channel:
                self._bus.send(f"ami_reply/{channel}", {"Reply": outcome})

        ami = self._settings["ami"]
        session = self._session
        try:
            actions.check(headers, ami["allow_actions"], ami["allow_applications"])
            if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
                raise BadAction(f"timeout: {timeout!r} is not a number of seconds above 0")
            if session is None:
                raise ManagerException(self._trouble or "Asterisk is not connected")
            if actions.blocks(headers):
                self._perform_alone(headers, timeout or ami["action_timeout"], answer)
            else:
                session.submit(headers, timeout, answer)
        except (ManagerException, PbxError) as error:
            answer(error)

    def _perform_alone(self, headers, timeout, answer):
        """Perform an action on a session of its own: Asterisk says nothing else until it ends."""
        if not self._alone.acquire(blocking=False):
            raise ManagerException(
                f"{MAX_ALONE} calls are being placed already: add 'Async: true' to Originate"
            )

        def work():
            try:
                # The session is silent while it rings, and that is no sign of death.
                session = self._log_in(ping_interval=timeout + 60)
                try:
                    outcome = session.request(headers, timeout)
                finally:
                    session.close()
            except (ManagerException, PbxError, OSError) as error:
                outcome = error
            finally:
                self._alone.release()
            answer(outcome)

        threading.Thread(target=work, name="ami-alone", daemon=True).start()

    def stats(self):
        """Counters since this engine began, those of ``events`` since it last connected.

        ``state``, ``connections``, ``matched`` and ``stored`` events, ``lost``
        ones (the outbox could not be written), ``bus_dropped`` copies, ``actions`` with their
        seconds in all and of the slowest, ``failed_conditions`` by route, ``not_granted`` events
        whose class the account may not read, ``memory`` (bytes), ``events``: ``read``, ``skipped``
        and ``dropped`` by name.
        """
        session = self._session
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return {
            "state": "connected" if session else self._trouble,
            **self.counters,
            "bus_dropped": self._bus.dropped,
            "failed_conditions": self._map.failures(),
            "not_granted": sorted(self._ungranted),
            "memory": pages * resource.getpagesize(),
            "events": session.counters if session else {},
        }


def failure(message, action_id=None):
    """A message in the form of AMI's own errors, for what did not get as far as Asterisk."""
    reply = {"Response": "Error", "Message": message, "content": ""}
    if action_id:
        reply["ActionID"] = action_id
    return reply
