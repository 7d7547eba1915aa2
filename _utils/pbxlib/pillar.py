"""
Settings for engines, which see no pillar.

An engine starts before the master is reached, and its ``__pillar__`` stays empty. So it begins
with its last good settings, compiles the pillar itself in the background, and again each time
the minion has refreshed its own. What is wrong in a pillar leaves the last good settings in
force and is said in the log, once for each fault.
"""

from __future__ import annotations

import json
import logging
import os
import threading

import salt.minion
import salt.pillar
import salt.utils.event

from pbxlib import classes
from pbxlib import settings as settings_
from pbxlib.backoff import Backoff
from pbxlib.errors import SettingsError
from pbxlib.events import EventMap

log = logging.getLogger(__name__)

REFRESHED = "/salt/minion/minion_pillar_refresh_complete"


def folder(opts):
    """The folder of our own files in the minion's cache."""
    return os.path.join(opts["cachedir"], "asterisk")


def keys(opts):
    """The folder of generated secrets, beside the minion's configuration."""
    return os.path.join(os.path.dirname(opts["conf_file"]), "asterisk")


def _kept(opts):
    return os.path.join(folder(opts), "settings.json")


def last_good(opts):
    """The value of the pillar key ``asterisk`` that the engines took last, ``None`` for none."""
    return settings_.load(_kept(opts))


def check(pillar):
    """Resolved settings for the value of the pillar key ``asterisk``, event map included.

    Raises :class:`~pbxlib.errors.SettingsError`.
    """
    settings = settings_.resolve(pillar)
    EventMap.of(settings)
    if not settings["ami"]["read"]:
        problems = [
            f"asterisk:events:{name}: Asterisk has no such event; correct its name, or name the "
            "classes that the account reads in asterisk:ami:read"
            for name in settings["events"]
            if classes.class_of(name) is None
        ]
        if problems:
            raise SettingsError(problems)
    return settings


class LiveSettings:
    """The minion's settings, kept up to date.

    ``opts``: the minion's. ``on_change(settings)`` is called, from a thread, with settings that
    differ from the last. :attr:`current` is there at once: the last good ones, or the defaults.
    ``complain(text)`` is told what is wrong in a pillar. :attr:`asked` is set once the master has
    been asked for the pillar, whatever came of it.
    """

    def __init__(self, opts, on_change, complain=log.error):
        self._opts = dict(opts)
        self._log_complaint = complain
        self._on_change = on_change
        self._path = _kept(opts)
        self._said = None
        self._wanted = threading.Event()
        self.asked = threading.Event()
        self.current = self._last_good()

    def _last_good(self):
        known = settings_.load(self._path)
        try:
            # Through the validator again: the file may be an older version's.
            return check(known)
        except SettingsError as error:
            log.warning("The kept settings %s are not used: %s", self._path, error)
            return check(None)

    def start(self):
        """Compile the pillar now and after each refresh, in the background."""
        threading.Thread(target=self._listen, name="pillar-refreshes", daemon=True).start()
        threading.Thread(target=self._work, name="pillar", daemon=True).start()
        self.refresh()

    def refresh(self):
        """Compile the pillar soon. Returns at once."""
        self._wanted.set()

    def _listen(self):
        with salt.utils.event.get_event(
            "minion", sock_dir=self._opts["sock_dir"], opts=self._opts, listen=True
        ) as bus:
            while True:
                if bus.get_event(wait=0, tag=REFRESHED, auto_reconnect=True) is not None:
                    self.refresh()

    def _work(self):
        backoff = Backoff(first=5.0, cap=300.0)
        wait = None
        while True:
            self._wanted.wait(wait)
            self._wanted.clear()
            try:
                pillar = self._compile()
            except Exception as error:
                # Whatever Salt raises while the master is away: the last good settings serve.
                wait = backoff.next()
                log.info("The pillar cannot be compiled, next try in %.0f s: %s", wait, error)
                self.asked.set()
                continue
            backoff.reset()
            wait = None
            try:
                self._adopt(pillar)
            except Exception:
                # Such as a full disk: the next refresh finds this thread alive.
                log.exception("The new settings were not taken")
            self.asked.set()

    def _compile(self):
        opts = dict(self._opts)
        if opts.get("file_client") != "local":
            opts.update(salt.minion.resolve_dns(opts))
        return salt.pillar.get_pillar(
            opts,
            opts["grains"],
            opts["id"],
            opts.get("saltenv"),
            pillarenv=opts.get("pillarenv"),
        ).compile_pillar()

    def _adopt(self, pillar):
        if "asterisk" not in pillar:
            wrong = "; ".join(map(str, pillar.get("_errors") or ()))
            self._complain(f"The pillar of this minion has no key 'asterisk'. {wrong}".strip())
            return
        # Through JSON: plain types only, whatever wrappers this version of Salt puts around them.
        given = json.loads(json.dumps(pillar["asterisk"], default=str))
        try:
            settings = check(given)
        except SettingsError as error:
            self._complain(f"The pillar is not used, the last good settings stay: {error}")
            return
        self._said = None
        settings_.save(self._path, given)
        if settings != self.current:
            self.current = settings
            self._on_change(settings)

    def _complain(self, text):
        if text != self._said:
            self._said = text
            self._log_complaint(text)
