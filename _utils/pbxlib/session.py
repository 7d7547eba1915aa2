"""
An AMI session with pyst2's programming interface and none of its reader.

:class:`Manager` is an ``asterisk.manager.Manager``: ``connect``, ``login``, ``register_event``,
``send_action``, ``ping``, ``originate``… are called as there, events and replies have the same
shape, and its exceptions catch ours. Beneath, one thread reads; replies find their action by
``ActionID``; event lists come with their reply; every action has its time; nothing is ever
sent twice.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid

from asterisk import manager as pyst2

from pbxlib import wire
from pbxlib.errors import (
    AmiError,
    BadAction,
    ConnectionLost,
    LoginRefused,
    NotAsterisk,
    NotConnected,
    PeerSilent,
    UnknownOutcome,
)
from pbxlib.inflight import InFlight, Pending
from pbxlib.link import Link
from pbxlib.message import serialize

log = logging.getLogger(__name__)

# Of the second ping interval, what is left to a pong: noticing takes a moment, too.
PONG_SHARE = 0.9


class Message(pyst2.ManagerMsg):
    """A reply or an event as pyst2 gives it: ``headers`` (dict), ``data`` (str, the lines of
    a command's output), ``response`` (list of raw lines); and ``events``: the dicts of the event
    list that belongs to a reply."""

    def __init__(self, headers, events=()):
        content = headers.get("content") or []
        self.headers = {key: value for key, value in headers.items() if key != "content"}
        self.data = content if isinstance(content, str) else "\n".join(content)
        self.response = [f"{key}: {value}\r\n" for key, value in self.headers.items()]
        self.events = list(events)


class Manager(pyst2.Manager):
    """
    One session at a time; :meth:`connect` may be called again after :meth:`close`.

    ``max_frame`` (bytes): longer messages are dropped. ``ping_interval`` (s): a peer that says
    nothing for so long is pinged, and is given up before another such interval is over.
    ``connect_timeout`` (s): for the connection with its greeting, and for the login.
    ``action_timeout`` (s): for actions that name no other.

    ``on_frames``: called in the reading thread, once a read, with the list of its events
    (dicts), before the functions of ``register_event``. ``on_close``: called there once, with
    the exception that ended the session, None after :meth:`close`. Both may send actions.
    What they raise is logged.

    ``heard``: when Asterisk last said something (s, of the monotonic clock).

    ``version``: of the manager interface (str), from the greeting. ``close_reason``: as
    ``on_close`` is told.
    """

    # pyst2's constructor makes threads and queues without bound; nothing here uses them.
    def __init__(
        self,
        max_frame=wire.MAX_FRAME,
        ping_interval=30.0,
        connect_timeout=10.0,
        action_timeout=5.0,
    ):
        self.title = None
        self.version = None
        self.on_frames = None
        self.on_close = None
        self.close_reason = None
        self._max_frame = max_frame
        self._ping_interval = ping_interval
        self._connect_timeout = connect_timeout
        self._action_timeout = action_timeout
        self._wanted = None
        self._event_callbacks = {}
        self._prefix = f"action/{uuid.uuid4()}"
        self._sequence = itertools.count(1)
        self._sessions = 0
        self._link = None
        self._reader = None
        self._ended = threading.Event()
        self._ended.set()
        self._forget()

    def __del__(self):
        """pyst2 closes here; a session that is read is not collected, so there is no need."""

    def _forget(self):
        self._parser = wire.Parser(self._max_frame, self._wanted)
        self._in_flight = InFlight()
        self._parser.action_ids = self._in_flight.wire_ids
        self._events = []
        self._closing = False
        self.heard = time.monotonic()
        self._pinged = None

    # Connecting

    def connect(self, host, port=5038, tls=None):
        """
        Connect and read the greeting. ``tls``: an ``ssl.SSLContext``; None for plain TCP.

        Raises :class:`~pbxlib.errors.NotConnected`, :class:`~pbxlib.errors.ConnectionLost`,
        :class:`~pbxlib.errors.NotAsterisk`.
        """
        if not self._ended.is_set():
            raise AmiError("This manager is connected already")
        deadline = time.monotonic() + self._connect_timeout
        link = Link.open(host, int(port), self._connect_timeout, tls)
        try:
            self._forget()
            first = []
            while self._parser.version is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NotConnected(
                        f"{host} port {port} took the connection and did not greet within "
                        f"{self._connect_timeout:g} s"
                    )
                first += self._parser.feed(link.receive(left) or b"")
                if self._parser.begun and self._parser.version is None:
                    raise NotAsterisk(f"{host} port {port} is not Asterisk's manager interface")
        except BaseException:
            link.close()
            raise
        self._sessions += 1
        self.version = self._parser.version
        self.title = wire.GREETING[:-1].decode()
        self.close_reason = None
        self._sort(first)
        self._ended.clear()
        self._link = link
        self._reader = threading.Thread(
            target=self._read, args=(link,), name=f"ami-{host}", daemon=True
        )
        self._reader.start()
        return Message(
            {"Response": "Generated Header", "content": [f"{self.title}/{self.version}"]}
        )

    def login(self, username, secret, events=None):
        """
        Log in. ``events``: which to be sent, as AMI's ``Events`` header has it; None: all.

        Returns the reply. Raises :class:`~pbxlib.errors.LoginRefused`, or as :meth:`request`.
        """
        action = {"Action": "Login", "Username": username, "Secret": secret}
        if events is not None:
            action["Events"] = events
        reply = self.request(action, self._connect_timeout)[0]
        if reply.get("Response") != "Success":
            raise LoginRefused(reply.get("Message") or "the login was refused without a reason")
        return Message(reply)

    def connected(self):
        """Whether there is a session, as far as is known."""
        return self._link is not None

    def close(self):
        """End the session; actions in flight have an unknown outcome. Further calls do
        nothing."""
        link, reader = self._link, self._reader
        if link is not None:
            self._closing = True
            link.wake()
        if reader is not None and reader is not threading.current_thread():
            reader.join()

    def wait_closed(self, timeout=None):
        """Wait until the session has ended, ``timeout`` seconds at most; whether it has."""
        return self._ended.wait(timeout)

    # Actions

    def submit(self, action, timeout=None, callback=None):
        """
        Send an action and do not wait.

        ``action``: as :func:`pbxlib.message.serialize` takes it; it is not changed. ``timeout``:
        seconds. ``callback``: called in the reading thread with a list of messages (dicts), the
        reply first and its event list after it, or with the exception that :meth:`request` would
        raise. Returns the ``ActionID``.

        Raises, when nothing was sent, :class:`~pbxlib.errors.BadAction` or
        :class:`~pbxlib.errors.NotConnected`.
        """
        named = [name for name in action if isinstance(name, str) and name.lower() == "actionid"]
        action_id = action[named[0]] if named else None
        if action_id is None:
            action_id = f"{self._prefix}/{self._sessions}/{next(self._sequence)}"
            action = {**action, (named or ["ActionID"])[0]: action_id}
        elif not isinstance(action_id, str) or not action_id or action_id != action_id.strip():
            raise BadAction(f"Header 'ActionID' is {action_id!r}: it must be a plain string")
        data = serialize(action)
        timeout = self._action_timeout if timeout is None else timeout
        if not isinstance(timeout, (int, float)) or not timeout > 0:
            raise BadAction(f"The time to wait is {timeout!r}: give a number of seconds above 0")
        pending = Pending(action_id, str(action.get("Action")), timeout, callback, time.monotonic())
        link, in_flight = self._link, self._in_flight
        if link is None:
            raise NotConnected("There is no connection to Asterisk: nothing was sent")
        sooner = in_flight.add(pending)
        try:
            pending.position = link.send(data)
        except NotConnected:
            if in_flight.withdraw(pending):
                raise
        if sooner:
            link.wake()
        return action_id

    def request(self, action, timeout=None):
        """
        Send an action and wait for its reply and, if it has one, the whole event list.

        Returns a list of messages (dicts), the reply first. An error that Asterisk answers is
        such a reply: ``Response`` is ``Error``.

        Raises as :meth:`submit`, and :class:`~pbxlib.errors.ActionTimeout` or
        :class:`~pbxlib.errors.UnknownOutcome` when the action was sent and not answered.
        """
        outcome = []
        done = threading.Lock()
        done.acquire()

        def settle(result):
            outcome.append(result)
            done.release()

        self.submit(action, timeout, settle)
        if threading.current_thread() is self._reader:
            self._pump(outcome)
        else:
            done.acquire()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def send_action(self, cdict=None, timeout=None, **kwargs):
        """As pyst2's, with the time to wait (s): the reply as a :class:`Message`."""
        reply, *events = self.request({**(cdict or {}), **kwargs}, timeout)
        return Message(reply, events)

    # Events

    def set_wanted(self, names):
        """Pass on only events of these names (str) from the next read on; None: all."""
        self._wanted = None if names is None else frozenset(names)
        self._parser.want(names)

    @property
    def counters(self):
        """Of this session, event names with how many: ``read``, ``skipped`` (nobody wants
        them), ``dropped`` (too long); and ``strays``, replies that belong to no action."""
        parser = self._parser
        skipped = parser.skipped
        read = dict(parser.parsed)
        for name, count in skipped.items():
            read[name] = read.get(name, 0) + count
        dropped = dict(parser.oversize)
        return {
            "read": read,
            "skipped": skipped,
            "dropped": dropped,
            "strays": self._in_flight.strays,
        }

    # The reading thread

    def _read(self, link):
        reason = None
        try:
            while not self._closing:
                self._turn(link)
                self._dispatch()
        except AmiError as error:
            reason = error
        except Exception as error:
            log.exception("The AMI reader failed")
            reason = ConnectionLost(f"The AMI reader failed: {error!r}")
        finally:
            self._finish(link, None if self._closing else reason)

    def _pump(self, outcome):
        """Keep reading until ``outcome`` is filled: the reading thread itself waits for it."""
        try:
            while not outcome:
                self._turn(self._link)
        except AmiError as error:
            raise UnknownOutcome(f"{error}: Asterisk may have performed the action") from error

    def _turn(self, link):
        """Wait for something to happen; see to replies, deadlines and silence."""
        if self._closing:
            raise ConnectionLost("The session was closed here")
        if self._pinged is None:
            quiet = self.heard + self._ping_interval
        else:
            quiet = self._pinged + self._ping_interval * PONG_SHARE
        until = self._in_flight.watch(quiet)
        data = link.receive(max(0.0, until - time.monotonic()))
        now = time.monotonic()
        if data is not None:
            self.heard = now
            self._pinged = None
            self._sort(self._parser.feed(data))
        elif now >= quiet:
            self._suspect(now)
        if now >= until:
            self._in_flight.expire(now)
        self._tell()

    def _suspect(self, now):
        """Ping a peer that says nothing; give up one that does not answer even that."""
        if self._pinged is not None:
            raise PeerSilent(
                f"Asterisk has said nothing for {now - self.heard:.1f} s, not even to a ping"
            )
        self._pinged = now
        self.submit({"Action": "Ping"}, 2 * self._ping_interval)

    def _sort(self, messages):
        in_flight, wanted = self._in_flight, self._parser.wanted
        events = [message for message in messages if "Event" in message]
        if in_flight.busy or len(events) < len(messages):
            events = [
                message
                for message in messages
                if not in_flight.claim(message) and (wanted is None or message["Event"] in wanted)
            ]
        self._events += events

    def _tell(self):
        settled = self._in_flight.settled
        while settled:
            callback, outcome = settled.popleft()
            _guarded(callback, outcome)

    def _dispatch(self):
        while self._events:
            events, self._events = self._events, []
            if self.on_frames is not None:
                _guarded(self.on_frames, events)
            if self._event_callbacks:
                for event in events:
                    self._call_back(event)

    def _call_back(self, message):
        registered = self._event_callbacks
        functions = registered.get(message["Event"], []) + registered.get("*", [])
        if functions:
            event = pyst2.Event(Message(message))
            for function in functions:
                if _guarded(function, event, self):
                    break

    def _finish(self, link, reason):
        self._link = None
        self.close_reason = reason
        why = reason or "the session was closed here"

        def outcome(pending):
            if pending.position is None or link.was_sent(pending.position):
                return UnknownOutcome(
                    f"{pending.name} was sent and not answered ({why}): Asterisk may have "
                    "performed it. It is not sent again"
                )
            return NotConnected(f"{pending.name} was not sent: {why}")

        # Closed first: what is submitted from now on fails there and waits for nobody.
        link.close()
        self._in_flight.fail(outcome)
        self._tell()
        self._dispatch()
        if self.on_close is not None:
            _guarded(self.on_close, reason)
        self._ended.set()


def _guarded(function, *args):
    """Call what others wrote: its error is theirs, and must not end the session."""
    try:
        return function(*args)
    except Exception:
        log.exception("A function called by the AMI session failed: %r", function)
        return None
