"""
A scripted manager interface on the loopback, for tests.

It answers as Asterisk 22 does, and as badly as a test wants: in single bytes, late, never, with
somebody else's reply, or by hanging up in the middle of one.
"""

import contextlib
import pathlib
import socket
import threading

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
TRANSCRIPTS = pathlib.Path(__file__).parent / "unit" / "transcripts"


def frame(*headers, **more):
    """The bytes of one message: ``headers`` are lines (str), ``more`` header and value."""
    lines = [*headers, *(f"{name}: {value}" for name, value in more.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


class FakeAMI:
    """
    A context manager that serves until it ends.

    ``actions``: what was received, in order, dicts of header to str, or to a list of them.
    ``answers``: action name to a function of (:class:`Peer`, action), which answers or does
    not. An unknown action is refused as Asterisk does. ``step``: bytes a write; None for all.
    """

    def __init__(self, host="127.0.0.1", greeting=GREETING, secret="s3cret", tls=None):
        self.greeting = greeting
        self.secret = secret
        self.step = None
        self.actions = []
        self.peers = []
        self.answers = {
            "Login": self._login,
            "Ping": lambda peer, action: peer.reply(action, Ping="Pong", Timestamp="1.5"),
            "Logoff": self._logoff,
            "Events": lambda peer, action: peer.reply(action, Events="On"),
            "Filter": lambda peer, action: peer.reply(action, Message="Success"),
        }
        self._tls = tls
        self._changed = threading.Condition()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.bind((host, 0))
        self._listener.listen()
        self.host, self.port = self._listener.getsockname()[:2]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.stop_listening()
        for peer in list(self.peers):
            peer.close()
        for thread in self._threads:
            thread.join(5)

    def stop_listening(self):
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def received(self, name, count=1, timeout=30):
        """Wait until ``count`` actions of this name came; returns them."""
        found = []

        def there():
            found[:] = [action for action in self.actions if action.get("Action") == name]
            return len(found) >= count

        with self._changed:
            assert self._changed.wait_for(there, timeout), f"{len(found)} of {count} {name} came"
        return found

    def send(self, data):
        """Send bytes on the newest connection."""
        self.peers[-1].send(data)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self)
            self.peers.append(peer)
            peer.send(self.greeting)
            rest = b""
            while True:
                data = sock.recv(65536)
                if not data:
                    return
                *texts, rest = (rest + data).split(b"\r\n\r\n")
                for text in texts:
                    self._act(peer, text.decode("utf-8", "surrogateescape"))
        except OSError:
            return
        finally:
            sock.close()

    def _act(self, peer, text):
        action = {}
        for line in text.split("\r\n"):
            name, _, value = line.partition(": ")
            if name in action:
                earlier = action[name]
                value = [*(earlier if isinstance(earlier, list) else [earlier]), value]
            action[name] = value
        with self._changed:
            self.actions.append(action)
            self._changed.notify_all()
        self.answers.get(action.get("Action"), self._unknown)(peer, action)

    def _login(self, peer, action):
        if action.get("Secret") == self.secret:
            peer.reply(action, Message="Authentication accepted")
        else:
            peer.refuse(action, "Authentication failed")
            peer.close()

    def _logoff(self, peer, action):
        peer.send(
            frame(
                "Response: Goodbye",
                ActionID=_id(action),
                Message="Thanks for all the fish.",
            )
        )
        peer.close()

    def _unknown(self, peer, action):
        peer.refuse(action, f"Invalid/unknown command: {action.get('Action')}.")


class Peer:
    """One connection of the fake."""

    def __init__(self, sock, server):
        self._sock = sock
        self._server = server
        self._lock = threading.Lock()

    def send(self, data):
        step = self._server.step or len(data) or 1
        with self._lock:
            for place in range(0, len(data), step):
                self._sock.sendall(data[place : place + step])

    def reply(self, action, **headers):
        self.send(frame("Response: Success", ActionID=_id(action), **headers))

    def refuse(self, action, message):
        self.send(frame("Response: Error", ActionID=_id(action), Message=message))

    def replay(self, action, transcript, recorded):
        """Answer with what Asterisk sent from the first message on that has the ActionID
        ``recorded``, in a transcript (its stem)."""
        data = (TRANSCRIPTS / f"{transcript}.txt").read_bytes()
        old, new = (f"ActionID: {name}\r\n".encode() for name in (recorded, _id(action)))
        start = data.rindex(b"\r\n\r\n", 0, data.index(old)) + 4
        self.send(data[start:].replace(old, new))

    def close(self):
        """Hang up."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def _id(action):
    return next(value for name, value in action.items() if name.lower() == "actionid")
