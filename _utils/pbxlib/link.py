"""
One connection: bytes out from any thread, bytes in for the one thread that reads.

The socket does not block. What it does not take at once waits in a bounded backlog that the
reading thread sends on, so that a slow peer holds up nobody who sends.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time

from pbxlib.errors import ConnectionLost, NotConnected

# More than a TLS record, so that nothing stays behind where poll does not see it.
# A commit of the outbox follows each read: larger ones keep up with a burst on a busy disk.
READ_SIZE = 1 << 18
MAX_BACKLOG = 1 << 20


class Link:
    """A connected socket. Errors of the network are :class:`~pbxlib.errors.ConnectionLost`."""

    @classmethod
    def open(cls, host, port, timeout, tls=None):
        """
        Connect to the first address of ``host`` (name, IPv4 or IPv6) that answers.

        ``timeout`` (s) is for all addresses and the TLS handshake together; how long a name
        takes to resolve is up to the system's resolver. ``tls``: an ``ssl.SSLContext``.

        Raises :class:`~pbxlib.errors.NotConnected`.
        """
        deadline = time.monotonic() + timeout
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotConnected(f"The host {host!r} has no address: {error}") from error
        failures = []
        for place, (family, kind, protocol, _, address) in enumerate(addresses):
            share = (deadline - time.monotonic()) / (len(addresses) - place)
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(share, 0.001))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls is not None:
                    sock.settimeout(max(deadline - time.monotonic(), 0.001))
                    sock = tls.wrap_socket(sock, server_hostname=host)
                return cls(sock)
            except (OSError, ValueError) as error:
                sock.close()
                failures.append(f"{address[0]} port {address[1]}: {error}")
        raise NotConnected("Cannot connect to " + "; ".join(failures))

    def __init__(self, sock):
        sock.setblocking(False)
        self._sock = sock
        # OpenSSL forbids reading and writing one session from two threads at a time.
        self._lock = threading.Lock()
        self._backlog = bytearray()
        self._queued = 0
        self._sent = 0
        self._closed = False
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._ear, select.POLLIN)
        self._poll.register(sock, select.POLLIN)
        self._polls_out = False

    def send(self, data):
        """
        Send ``data``, or queue what the socket does not take now.

        Returns its position in the stream, for :meth:`was_sent`. Raises
        :class:`~pbxlib.errors.NotConnected`; then nothing of it was or will be sent.
        """
        with self._lock:
            if self._closed:
                raise NotConnected("The connection to Asterisk is closed: nothing was sent")
            if len(self._backlog) + len(data) > MAX_BACKLOG:
                raise NotConnected(
                    "Asterisk does not read what it is sent: this action was not sent"
                )
            position = self._queued
            self._queued += len(data)
            self._backlog += data
            waiting = len(self._backlog) > len(data)
            if not waiting:
                try:
                    self._flush()
                except OSError:
                    # The reading thread meets the same error and tells everybody.
                    waiting = False
            left = bool(self._backlog)
        if left and not waiting:
            self.wake()
        return position

    def was_sent(self, position):
        """Whether the network took anything of what :meth:`send` gave this position."""
        return position < self._sent

    def _flush(self):
        while self._backlog:
            try:
                sent = self._sock.send(self._backlog)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            self._sent += sent
            del self._backlog[:sent]

    def wake(self):
        """Make :meth:`receive` return now."""
        try:
            self._mouth.send(b"\0")
        except OSError:
            # Full: it is about to wake. Closed: nobody sleeps any more.
            return

    def receive(self, timeout):
        """
        Wait for bytes: ``timeout`` seconds, or for ever if None; for the one reading thread.

        Returns bytes, or None when the time is up or :meth:`wake` was called. Raises
        :class:`~pbxlib.errors.ConnectionLost` when the peer closed or the network failed.
        """
        try:
            self._wait(timeout)
            with self._lock:
                self._flush()
                data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"The connection to Asterisk broke: {error}") from error
        if not data:
            raise ConnectionLost("Asterisk closed the connection")
        return data

    def _wait(self, timeout):
        out = bool(self._backlog)
        if out != self._polls_out:
            self._polls_out = out
            self._poll.modify(self._sock, select.POLLIN | (select.POLLOUT if out else 0))
        wait = None if timeout is None else max(0, int(timeout * 1000) + 1)
        for fd, _ in self._poll.poll(wait):
            if fd == self._ear.fileno():
                self._ear.recv(4096)

    def close(self):
        """Give everything back. Further calls do nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for sock in (self._sock, self._ear, self._mouth):
                sock.close()
