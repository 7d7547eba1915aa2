"""
Look at what is on its way to Odoo, and mend what is stuck.
"""

import os
import time

from salt.exceptions import CommandExecutionError, SaltInvocationError

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import pillar, words
    from pbxlib.errors import PbxError, SettingsError
    from pbxlib.events import EventMap
    from pbxlib.outbox import Outbox

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"


def __virtual__():
    if MISSING:
        return False, f"{MISSING}: apply asterisk-formula.bridge, which installs what is missing"
    return __virtualname__


def outbox():
    """
    What is on its way to Odoo: a ``summary`` in words, ``depth`` (items that wait), ``failed`` (set
    aside), ``oldest`` (seconds), ``rate`` (items a second over the last minute), what was
    ``delivered``, ``dropped``, gone ``stale`` or ``superseded``, when Odoo last ``answered`` (epoch
    seconds), the last ``error`` and the ``next_try`` (epoch seconds) while it cannot be reached, or
    while an item that a handler failed on is tried again.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.outbox
    """
    with _outbox() as box:
        status = box.status()
    return dict(status, summary=words.of_outbox(status, time.time()))


def outbox_failed(limit=100):
    """
    The items that Odoo's handlers failed on too often, with their errors, oldest first.
    ``created`` is in epoch seconds, ``age`` the same in words.

    limit: 100
        How many at the most.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.outbox_failed
    """
    now = time.time()
    with _outbox() as box:
        return [dict(item, age=words.span(now - item["created"])) for item in box.failed(limit)]


def outbox_retry(*ids):
    """
    Send items that were set aside again: those of ``ids``; ``all``, or nothing said, for all.
    Returns how many.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.outbox_retry
        salt-call asterisk.outbox_retry 6f1d2c3b4a596877
    """
    with _outbox() as box:
        return box.retry(None if ids in ((), ("all",)) else [str(item) for item in ids])


def outbox_drop(*ids):
    """
    Delete items that were set aside: those of ``ids``; ``all`` for all. Returns how many.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.outbox_drop 6f1d2c3b4a596877
        salt-call asterisk.outbox_drop all
    """
    if not ids:
        raise SaltInvocationError("Say which items to delete, by id, or 'all'")
    with _outbox() as box:
        return box.drop(None if ids == ("all",) else [str(item) for item in ids])


class _outbox:
    """The outbox of this minion, closed at the end; its errors as Salt's."""

    def __enter__(self):
        try:
            self._box = Outbox(os.path.join(pillar.folder(__opts__), "outbox.sqlite"))
        except PbxError as error:
            raise CommandExecutionError(str(error)) from error
        return self._box

    def __exit__(self, kind, error, trace):
        self._box.close()
        if isinstance(error, PbxError):
            raise CommandExecutionError(str(error)) from error


def bus_event(tag, data):
    """
    Send an event of the Salt bus to Odoo by the routes of pillar ``asterisk:bus_events``.
    Reactor SLS call this. Returns how many routes took it.

    tag
        The event's tag.

    data
        Its data, a dict. The handler in Odoo gets it with ``tag`` added.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.bus_event salt/minion/pbx1/start '{"id": "pbx1"}'
    """
    if not isinstance(data, dict):
        raise SaltInvocationError(f"{data!r} is not the data of an event: write a dict")
    try:
        settings = pillar.check(__pillar__.get("asterisk"))
    except SettingsError:
        # As in the engines, which say it: a fault leaves the last good map in force.
        settings = pillar.check(pillar.last_good(__opts__))
    items = EventMap.of(settings).bus_items(tag, data)
    if items:
        with _outbox() as box:
            box.put(items)
    return len(items)
