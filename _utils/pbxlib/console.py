"""
Asterisk's console for a browser: a websocket onto a terminal that runs ``asterisk -rvvv``.

The client connects to :data:`PATH` and sends, as text messages:

- first, its ticket (:mod:`pbxlib.tickets`), within :data:`TICKET_WAIT` seconds;
- ``{"type": "input", "data": TEXT}``: what is typed;
- ``{"type": "resize", "rows": N, "cols": N}``: its window's size in characters, 1 to 1000.

The server sends what the terminal shows, escape sequences included, as binary messages. They
are cut anywhere, also inside a UTF-8 character: the client decodes them as one stream.

The server closes with 1000 when the console has ended, 1001 when the server ends, 1011 when the
console could not be started, or one of :class:`Refusal`.

Nothing is buffered without bound: the terminal is not read while the client has not taken what
it was sent, and the client is not read while the terminal takes no input.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import ssl
import time
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.platform.asyncio import AsyncIOMainLoop, BaseAsyncIOLoop
from tornado.web import Application, HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from pbxlib.errors import ConsoleError
from pbxlib.terminal import Terminal, unprivileged
from pbxlib.tickets import PATH

log = logging.getLogger(__name__)

COMMAND = ("asterisk", "-rvvv")
TICKET_WAIT = 10.0
# Connections that have not shown a ticket; each ends after TICKET_WAIT.
MAX_WAITING = 16
MESSAGE_BYTES = 64 * 1024
OUTPUT_BYTES = 16 * 1024
# A client that vanished without a word is noticed after at most twice this.
PING_INTERVAL = 30
# From SIGHUP, which lets tcpdump write its file, to SIGKILL.
GRACE = 2.0


class Refusal(enum.IntEnum):
    """Close codes of this server's own."""

    BAD_MESSAGE = 4400
    BAD_TICKET = 4401
    IDLE = 4408
    TOO_MANY = 4429


class Console:
    """The server. Made and used inside a running asyncio loop.

    ``settings``: the section ``console`` of :func:`pbxlib.settings.resolve`. ``tickets``: a
    :class:`~pbxlib.tickets.Tickets`. ``command``: what runs in the terminal, a list.
    ``account``: from a user's name to its passwd entry, or
    :class:`~pbxlib.errors.ConsoleError`.
    """

    def __init__(self, settings, tickets, command=COMMAND, account=unprivileged):
        self.settings = settings
        self.tickets = tickets
        self.waiting = set()
        self.sessions = set()
        self._command = list(command)
        self._account = account
        self._dying = set()
        self._server = None

    def listen(self):
        """Take connections. Returns the port. Raises ``OSError``: address, certificate or key."""
        _join_asyncio()
        tls = None
        if self.settings["cert"]:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            tls.load_cert_chain(self.settings["cert"], self.settings["key"])
        sockets = bind_sockets(self.settings["port"], self.settings["listen"])
        self._server = HTTPServer(
            Application(
                [(PATH, _Session, {"console": self})],
                websocket_max_message_size=MESSAGE_BYTES,
                websocket_ping_interval=PING_INTERVAL,
                websocket_ping_timeout=PING_INTERVAL,
            ),
            ssl_options=tls,
            idle_connection_timeout=TICKET_WAIT,
            max_header_size=16 * 1024,
            max_body_size=1024,
            max_buffer_size=4 * MESSAGE_BYTES,
        )
        self._server.add_sockets(sockets)
        return sockets[0].getsockname()[1]

    def close(self):
        """Take no more connections and end every session. Blocks for up to :data:`GRACE` s."""
        if self._server is not None:
            self._server.stop()
        for session in self.waiting | self.sessions:
            session.end(1001, "The minion ends the console")
        until = time.monotonic() + GRACE
        for terminal in list(self._dying):
            self._bury(terminal, patience=max(0.0, until - time.monotonic()))

    def trusts(self, origin, host):
        """Whether a page of ``origin`` may connect; ``host`` is what it connects to."""
        if origin is None:
            return True  # not a browser
        if self.settings["origins"]:
            return origin.lower() in self.settings["origins"]
        return urlsplit(origin).netloc.lower() == host.lower()

    def start_terminal(self):
        """A new :class:`~pbxlib.terminal.Terminal`. Raises ConsoleError."""
        return Terminal(self._command, self._account(self.settings["user"]))

    def end_terminal(self, terminal):
        """Hang up, and kill after :data:`GRACE` what is still there then. Returns at once."""
        terminal.hang_up()
        self._dying.add(terminal)
        asyncio.get_running_loop().call_later(GRACE, self._bury, terminal)

    def _bury(self, terminal, patience=0.0):
        terminal.kill(patience)
        self._dying.discard(terminal)


class _Session(WebSocketHandler):
    """One connection: a ticket, then a terminal."""

    def initialize(self, console):
        self._console = console
        self._terminal = None
        self._ended = False
        self._timer = None
        self._room = None
        self.sending = None

    def prepare(self):
        # Not left to check_origin alone: whether Tornado asks it depends on its version and on
        # what else the request says.
        origin = self.request.headers.get("Origin")
        if not self._console.trusts(origin, self.request.host):
            raise HTTPError(403, "A page of origin %r may not open a console", origin)

    def check_origin(self, origin):
        return self._console.trusts(origin, self.request.host)

    def open(self):
        self._loop = asyncio.get_running_loop()
        if len(self._console.waiting) >= MAX_WAITING:
            self.end(Refusal.TOO_MANY, "Too many connections wait to show their ticket")
            return
        self.set_nodelay(True)
        self._console.waiting.add(self)
        self._expect_within(TICKET_WAIT, "No ticket came")

    async def on_message(self, message):
        if self._ended:
            return
        if self._terminal is None:
            self._enter(message)
            return
        self._expect_within(self._console.settings["idle_timeout"], "Nothing was typed for long")
        try:
            kind, value = _understood(message)
        except ValueError as error:
            self.end(Refusal.BAD_MESSAGE, str(error))
            return
        if kind == "input":
            await self._type(value)
        else:
            self._terminal.resize(*value)

    def on_close(self):
        self.end()

    def end(self, code=None, reason=None):
        """Close the connection, end what runs in the terminal, free the place."""
        if self._ended:
            return
        self._ended = True
        self._console.waiting.discard(self)
        self._console.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._terminal is not None:
            log.info("Console of %s ends: %s", self.request.remote_ip, reason or "it has left")
            self._loop.remove_reader(self._terminal.fd)
            self._loop.remove_writer(self._terminal.fd)
            self._have_room()
            self._console.end_terminal(self._terminal)
        self.close(code, reason)

    def _expect_within(self, seconds, otherwise):
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.end, Refusal.IDLE, otherwise)

    def _enter(self, message):
        console = self._console
        if not isinstance(message, str) or not console.tickets.claim(message.strip()):
            log.warning("A console was refused to %s: no good ticket", self.request.remote_ip)
            self.end(Refusal.BAD_TICKET, "The ticket is unknown, used or too old: get a new one")
            return
        if len(console.sessions) >= console.settings["max_sessions"]:
            self.end(Refusal.TOO_MANY, "All consoles are in use (asterisk:console:max_sessions)")
            return
        try:
            self._terminal = console.start_terminal()
        except ConsoleError as error:
            log.error("%s", error)
            self.end(1011, "The console could not be started: see the minion's log")
            return
        log.info("Console of %s: process %s", self.request.remote_ip, self._terminal.pid)
        console.waiting.discard(self)
        console.sessions.add(self)
        self._expect_within(console.settings["idle_timeout"], "Nothing was typed for long")
        self._loop.add_reader(self._terminal.fd, self._show)

    def _show(self):
        data = self._terminal.read(OUTPUT_BYTES)
        if data is None:
            return
        if not data:
            self.end(1000, "The console has ended")
            return
        # Until the kernel has taken it: so a slow client slows the program down.
        self._loop.remove_reader(self._terminal.fd)
        try:
            self.sending = self.write_message(data, binary=True)
        except WebSocketClosedError:
            return
        if self.sending is not None:
            self.sending.add_done_callback(self._sent)

    def _sent(self, sending):
        if sending.cancelled() or sending.exception() or self._ended:
            return
        self._loop.add_reader(self._terminal.fd, self._show)

    async def _type(self, data):
        """Give ``data`` to the terminal. Until it took it all, no further message is read."""
        left = memoryview(data)[self._terminal.write(data) :]
        while left:
            self._room = self._loop.create_future()
            self._loop.add_writer(self._terminal.fd, self._have_room)
            await self._room
            if self._ended:
                return
            self._loop.remove_writer(self._terminal.fd)
            left = left[self._terminal.write(left) :]

    def _have_room(self):
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _join_asyncio():
    """Have Tornado run on the asyncio loop of this thread.

    That of Salt 3006, 4.5 whatever it says of itself, has a loop of its own otherwise.
    """
    if not isinstance(IOLoop.current(), BaseAsyncIOLoop):
        IOLoop.clear_current()
        AsyncIOMainLoop().make_current()


def _understood(message):
    """``("input", bytes)`` or ``("resize", (rows, columns))``; ``ValueError`` for a person."""
    try:
        given = json.loads(message)
        kind = given["type"]
        if kind == "input":
            return kind, given["data"].encode()
        if kind == "resize":
            size = given["rows"], given["cols"]
            if all(type(number) is int and 1 <= number <= 1000 for number in size):
                return kind, size
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("The message is neither input nor resize")
