"""
What Asterisk holds in memory and in its own database, as states: AstDB, queue members, phones.

They talk to Asterisk by its own console (``asterisk -rx``), so they need no AMI account, and can
be used alone beside any Asterisk. Values pass on the command line of ``asterisk -rx``, which
other users of the host can see while it runs: an AstDB is no place for a secret.

.. code-block:: yaml

    forward-of-101:
      asterisk.db_present:
        - name: CFU/101
        - value: '0123456789'
"""

from __future__ import annotations

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import cli
    from pbxlib.errors import CliError
    from pbxlib.settings import duration

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"


def __virtual__():
    return (False, f"{MISSING}: run saltutil.sync_all") if MISSING else __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def _ask(*words):
    return cli.ask(__salt__["cmd.run_all"], words)


def _db(name):
    """``(family, key)``; raises ``CliError`` with words for a person."""
    family, slash, key = str(name).partition("/")
    if not (family and slash and key) or "\n" in name or "\r" in name:
        raise CliError(f"{name!r} is not FAMILY/KEY, such as CFU/101")
    return family, key


def _db_get(family, key):
    """The value of an entry of AstDB, or ``None``."""
    text = _ask("database", "get", family, key)
    return text[len("Value: ") :] if text.startswith("Value: ") else None


def db_present(name, value, show_changes=True):
    """
    An entry of Asterisk's own database (AstDB) has this value.

    name
        ``FAMILY/KEY``.

    value
        Its value, a text. Quote numbers, or YAML takes their zeros away.

    show_changes: True
        Whether the values are told.

    .. code-block:: yaml

        name-of-a-caller:
          asterisk.db_present:
            - name: cidname/0123456789
            - value: Ada Lovelace
    """
    if not isinstance(value, str):
        return _ret(name, False, f"{name}: the value {value!r} is not text: put it in quotes")
    try:
        family, key = _db(name)
        old = _db_get(family, key)
        if old == value:
            return _ret(name, True, f"{name} has that value")
        changes = {"old": old, "new": value} if show_changes else {"new": "(hidden)"}
        if __opts__["test"]:
            return _ret(
                name, None, f"{name} would be {'set' if old is None else 'changed'}", changes
            )
        said = _ask("database", "put", family, key, value)
        if _db_get(family, key) != value:
            return _ret(
                name, False, f"Asterisk did not keep the value of {name}: {said or 'no word'}"
            )
    except CliError as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{name} was {'set' if old is None else 'changed'}", changes)


def db_absent(name, show_changes=True):
    """
    Asterisk's own database (AstDB) has no such entry.

    name
        ``FAMILY/KEY``.

    show_changes: True
        Whether the old value is told.

    .. code-block:: yaml

        no-forward-of-101:
          asterisk.db_absent:
            - name: CFU/101
    """
    try:
        family, key = _db(name)
        old = _db_get(family, key)
        if old is None:
            return _ret(name, True, f"{name} is not there")
        changes = {"old": old if show_changes else "(hidden)", "new": None}
        if __opts__["test"]:
            return _ret(name, None, f"{name} would be removed", changes)
        said = _ask("database", "del", family, key)
        if _db_get(family, key) is not None:
            return _ret(name, False, f"Asterisk did not remove {name}: {said}")
    except CliError as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{name} was removed", changes)


def queue_member(name, queue, penalty=None, membername=None, paused=None, state_interface=None):
    """
    A dynamic member of a queue, as an agent is who logged in. What is left out stays as it is.

    A member of ``queues.conf`` is not changed: that is done in the file.

    name
        Its interface, such as ``PJSIP/101``.

    queue
        The queue's name.

    penalty
        A whole number from 0; 0 for a new member.

    membername
        The name in reports and queue logs; the interface for a new member.

    paused
        Whether it gets no calls; ``False`` for a new member.

    state_interface
        The device whose state counts, where it is not the interface's own; Asterisk tells it
        only of a member with a ``membername``.

    .. code-block:: yaml

        ada-serves-support:
          asterisk.queue_member:
            - name: PJSIP/101
            - queue: support
            - penalty: 2
            - membername: Ada Lovelace
    """
    given = {
        "penalty": penalty,
        "membername": membername,
        "paused": paused,
        "state_interface": state_interface,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    faults = [
        f"{key}: {value!r} is not {'true or false' if key == 'paused' else 'text'}"
        for key, value in {"name": name, "queue": queue, **wanted}.items()
        if key != "penalty" and not isinstance(value, bool if key == "paused" else str)
    ]
    if (
        isinstance(penalty, bool)
        or not isinstance(penalty, (int, type(None)))
        or (penalty or 0) < 0
    ):
        faults.append(f"penalty: {penalty!r} is not a whole number from 0")
    if faults:
        return _ret(name, False, f"{name}: {'; '.join(faults)}")
    if state_interface is not None and membername in (None, name):
        return _ret(name, False, f"{name}: a state_interface needs a membername of its own")
    try:
        old = cli.members(__salt__["cmd.run_all"], queue).get(name)
        if old and not old["dynamic"]:
            return _ret(
                name, False, f"{name} is a member of {queue} by queues.conf: change it there"
            )
        differs = [key for key in wanted if not old or old[key] != wanted[key]]
        if old and not differs:
            return _ret(name, True, f"{name} is such a member of {queue}")
        doing = "changed in" if old else "added to"
        if __opts__["test"]:
            changes = _changes(old, {**(old or {}), **wanted}, differs)
            return _ret(name, None, f"{name} would be {doing} {queue}", changes)
        said = _make_member(name, queue, old, wanted, differs)
        new = cli.members(__salt__["cmd.run_all"], queue).get(name)
    except CliError as error:
        return _ret(name, False, str(error))
    changes = _changes(old, new, differs)
    wrong = [key for key in wanted if not new or new[key] != wanted[key]]
    if wrong or not new:
        left = ", ".join(wrong) or "nothing of it"
        return _ret(name, False, f"{name}: Asterisk did not take {left}: {said}", changes)
    return _ret(name, True, f"{name} was {doing} {queue}", changes)


def _changes(old, new, keys):
    """What became of a member, key by key where it was one before and is one now."""
    if old and new:
        return {key: {"old": old[key], "new": new[key]} for key in keys if new[key] != old[key]}
    return {"old": _shown(old), "new": _shown(new)} if old or new else {}


def _shown(member):
    return {key: member[key] for key in member if key != "dynamic"} if member else None


def _make_member(name, queue, old, wanted, differs):
    """Bring a member to what is wanted: what Asterisk said."""
    said = []
    if old and {"membername", "state_interface"} & set(differs):
        # Asterisk changes these only by a new login; the rest is carried over.
        wanted = {**_shown(old), **wanted}
        said.append(_ask("queue", "remove", "member", name, "from", queue))
        old = None
    if not old:
        words = ["queue", "add", "member", name, "to", queue]
        words += ["penalty", str(wanted.get("penalty", 0))]
        words += ["as", wanted.get("membername", name)]
        words += ["state_interface", wanted.get("state_interface", name)]
        said.append(_ask(*words))
    elif "penalty" in differs:
        penalty = str(wanted["penalty"])
        said.append(_ask("queue", "set", "penalty", penalty, "on", name, "in", queue))
    if wanted.get("paused", False) != (old or {}).get("paused", False) and "paused" in wanted:
        verb = "pause" if wanted["paused"] else "unpause"
        said.append(_ask("queue", verb, "member", name, "queue", queue))
    return " ".join(said)


def queue_member_absent(name, queue):
    """
    A queue has no such dynamic member. A member of ``queues.conf`` is taken away in the file.

    name
        Its interface, such as ``PJSIP/101``.

    queue
        The queue's name.

    .. code-block:: yaml

        ada-has-left-support:
          asterisk.queue_member_absent:
            - name: PJSIP/101
            - queue: support
    """
    try:
        old = cli.members(__salt__["cmd.run_all"], str(queue)).get(str(name))
        if not old:
            return _ret(name, True, f"{name} is no member of {queue}")
        if not old["dynamic"]:
            return _ret(
                name, False, f"{name} is a member of {queue} by queues.conf: change it there"
            )
        changes = _changes(old, None, ())
        if __opts__["test"]:
            return _ret(name, None, f"{name} would be removed from {queue}", changes)
        said = _ask("queue", "remove", "member", name, "from", queue)
        if name in cli.members(__salt__["cmd.run_all"], queue):
            return _ret(name, False, f"{name} is still a member of {queue}: {said}")
    except CliError as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{name} was removed from {queue}", changes)


def endpoint_registered(name, wait=30):
    """
    Wait until a PJSIP endpoint has a contact that calls can reach; never changes anything.

    name
        The endpoint.

    wait: 30
        How long at the most: seconds, or ``2m``. Under ``test=True`` nothing is waited for.

    .. code-block:: yaml

        phone-of-ada-is-back:
          asterisk.endpoint_registered:
            - name: '101'
            - wait: 2m
    """
    try:
        seconds = duration(wait)
        if seconds is None:
            raise ValueError("'forever' is no limit: write 30s or 5m")
        found = cli.until(lambda: _reached(name), 0 if __opts__["test"] else seconds)
        if found:
            return _ret(name, True, f"{name} is registered: {', '.join(found)}")
        silent = [f"{uri} ({status})" for uri, status in _contacts(name)]
    except (CliError, ValueError) as error:
        return _ret(name, False, str(error))
    what = f"does not answer at {', '.join(silent)}" if silent else "is not registered"
    if __opts__["test"]:
        return _ret(name, None, f"{name} {what}; it would be waited for {wait}")
    return _ret(name, False, f"{name} {what}, after {wait} of waiting")


def _contacts(endpoint):
    return cli.contacts(__salt__["cmd.run_all"], str(endpoint))


def _reached(endpoint):
    return [uri for uri, status in _contacts(endpoint) if not status.startswith("Unavail")]
