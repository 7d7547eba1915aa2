"""
One-time tickets: who may run ``asterisk.console_ticket`` on the minion may open one console.

A ticket is 32 random bytes, good for 30 seconds and for one use. Only its SHA-256 is kept, as
the name of a file of mode 0600, so that neither the folder nor a backup of it opens anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time

from pbxlib.settings import is_loopback

VALID = 30.0
PATH = "/console"


def address(settings, host):
    """The websocket URL at which a ticket is shown.

    ``settings``: the section ``console``. ``host``: this minion's full name, which is what its
    certificate should hold.
    """
    if settings["url"]:
        return settings["url"]
    if is_loopback(settings["listen"]):
        host = settings["listen"]
    scheme = "wss" if settings["cert"] else "ws"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings['port']}{PATH}"


class Tickets:
    """The tickets kept in ``folder``, made (mode 0700) when the first is issued.

    ``valid``: seconds. ``clock``: returns epoch seconds.
    """

    def __init__(self, folder, valid=VALID, clock=time.time):
        self.folder = folder
        self._valid = valid
        self._clock = clock

    def issue(self):
        """``(ticket, expires)``: 43 URL-safe characters, and the epoch second of its end."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self._sweep()
        ticket = secrets.token_urlsafe(32)
        expires = self._clock() + self._valid
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with open(os.open(self._path(ticket), flags, 0o600), "w", encoding="ascii") as file:
            file.write(repr(expires))
        return ticket, expires

    def claim(self, ticket):
        """Whether ``ticket`` (any text) is good. It is good once, for whoever claims it first."""
        path = self._path(ticket)
        try:
            expires = self._expiry(path)
            # Of two that claim it at once, one removes the file and the other gets the error.
            os.unlink(path)
        except FileNotFoundError:
            return False
        return self._live(expires)

    def _sweep(self):
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            with contextlib.suppress(FileNotFoundError):
                if not self._live(self._expiry(path)):
                    os.unlink(path)

    def _live(self, expires):
        # The upper bound too: a clock that was set back must not give a ticket a longer life.
        return 0 < expires - self._clock() <= self._valid

    def _path(self, ticket):
        name = hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
        return os.path.join(self.folder, name)

    @staticmethod
    def _expiry(path):
        with open(path, encoding="ascii") as file:
            try:
                return float(file.read())
            except ValueError:
                return 0.0
