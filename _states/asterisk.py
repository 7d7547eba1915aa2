"""
What a PBX's files are not good at: checked settings, reloads, restarts that drop no call.

Each state can be used alone. Those that act on Asterisk talk to its own console
(``asterisk -rx``), which works as root before there is any AMI account.

.. code-block:: yaml

    dialplan-in-force:
      asterisk.reloaded:
        - name: pbx_config.so
        - onchanges:
          - file: /etc/asterisk/extensions.conf
"""

from __future__ import annotations

import os
import time

from salt.exceptions import CommandExecutionError

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import cli, pillar, transports, unread
    from pbxlib.errors import CliError
    from pbxlib.settings import duration

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"

# Asterisk's `pjsip reload` stands for these, too, but is an alias that a source build lacks.
_ALONG = {
    "res_pjsip.so": (
        "res_pjsip_authenticator_digest.so",
        "res_pjsip_endpoint_identifier_ip.so",
        "res_pjsip_mwi.so",
        "res_pjsip_notify.so",
        "res_pjsip_outbound_publish.so",
        "res_pjsip_publish_asterisk.so",
        "res_pjsip_outbound_registration.so",
    )
}


def __virtual__():
    return (False, f"{MISSING}: run saltutil.sync_all") if MISSING else __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def _ask(command, timeout=None):
    return cli.ask(__salt__["cmd.run_all"], command, timeout)


def settings_valid(name):
    """
    Fail with one line for each fault in the pillar key ``asterisk``; never changes anything.

    name
        Anything; for the report only.

    .. code-block:: yaml

        pillar-is-sound:
          asterisk.settings_valid:
            - failhard: true
    """
    try:
        faults = __salt__["asterisk.settings_errors"]()
    except Exception as error:
        return _ret(name, False, f"The pillar key asterisk could not be checked: {error}")
    if faults:
        return _ret(name, False, "\n".join(faults))
    return _ret(name, True, "The pillar key asterisk has no faults")


def reloaded(name, files=None):
    """
    Reload a module of the running Asterisk. Always a change, meant for ``onchanges``, unless
    ``files`` are given.

    name
        What ``module reload`` takes, such as ``pbx_config.so`` or ``manager``; ``all`` for
        everything. ``res_pjsip.so`` stands for all of PJSIP.

    files
        Paths of what the module reads. It is reloaded only when a state of this run changed one of
        them, or Asterisk has not read it since it was written: because a run was broken off, say.

    .. code-block:: yaml

        queues-in-force:
          asterisk.reloaded:
            - name: app_queue.so
            - files: [/etc/asterisk/queues.conf]
            - require:
              - file: /etc/asterisk/queues.conf
    """
    if not _are_paths(files):
        return _ret(name, False, f"{name}: files is {files!r}: write a list of paths")
    if files is not None and not _unread(files, _kept("reloads.json"), name):
        return _ret(name, True, f"Asterisk has read what {name} reads")
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be reloaded", {"reloaded": name})
    asked = time.time()
    try:
        text = _ask("module reload" if name == "all" else ("module", "reload", name))
        if "No such module" in text or "not properly initialized" in text:
            # A module that found no configuration when Asterisk started has not stayed loaded.
            text = _ask(("module", "load", name))
        if name in _ALONG:
            said = _ask(("module", "reload", *_ALONG[name])).splitlines()
            text = "\n".join([text, *(line for line in said if "No such module" not in line)])
    except CliError as error:
        return _ret(name, False, str(error))
    if "does not support reloads" in text:
        return _ret(name, False, f"{name} reads its file only when Asterisk starts: restart it")
    bad = [line for line in text.splitlines() if line.strip() and not _went_well(line)]
    if bad:
        said = " ".join(bad)
        return _ret(
            name,
            False,
            f"{name} was not reloaded, so its file is not in force ({said}): see Asterisk's log",
        )
    if name == "manager":
        # Asterisk's reload leaves open sessions the rights that they logged in with.
        __salt__["event.fire"]({}, "asterisk/ami/reconnect")
    try:
        unread.note(_kept("reloads.json"), name, asked)
    except OSError as error:
        return _ret(name, False, f"{name} was reloaded, which cannot be noted: {error}")
    return _ret(name, True, text.strip() or f"{name} was reloaded", {"reloaded": name})


def _are_paths(files):
    # A single text would be taken for a list of its letters, and never be put in force.
    return files is None or (
        isinstance(files, (list, tuple)) and all(isinstance(path, str) for path in files)
    )


def _unread(files, record=None, module=None):
    """Those of ``files`` that this run changed, or would under test, or that Asterisk has not read.

    ``watch`` would not do: the run that brings this module to the minion takes it for ``require``.
    """
    changed = {state["name"] for state in __running__.values() if state.get("changes")}
    return changed.intersection(files) or unread.unread(
        files, lambda: cli.started(__salt__["cmd.run_all"]), record, module
    )


def _went_well(line):
    return "reloaded successfully" in line or line.startswith("Loaded ") or "queued" in line


def no_calls(name, wait=0):
    """
    Wait until no channel is up, and fail when the time is over; never changes anything. Guards
    what would drop a call.

    name
        Anything; for the report only.

    wait: 0
        How long at the most: seconds, or ``10m``. Under ``test=True`` nothing is waited for.

    .. code-block:: yaml

        no-one-is-talking:
          asterisk.no_calls:
            - wait: 10m
    """
    try:
        seconds = _limit(wait)
        if not __opts__["test"]:
            cli.until(lambda: not cli.channels(__salt__["cmd.run_all"]), seconds)
        channels = cli.channels(__salt__["cmd.run_all"])
    except (CliError, ValueError) as error:
        return _ret(name, False, str(error))
    if not channels:
        return _ret(name, True, "No channel is active")
    if __opts__["test"] and seconds:
        return _ret(name, None, f"{channels} channels are active; they would be waited for")
    after = f", after {wait} of waiting" if seconds else ": wait until they have ended"
    return _ret(name, False, f"{channels} channels are active{after}")


def _limit(wait):
    seconds = duration(wait)
    if seconds is None:
        raise ValueError("'forever' is no limit: write 30s or 5m")
    return seconds


def restarted(name="asterisk", wait=60, then="pending", files=None, transports_of=None):
    """
    Restart Asterisk without dropping a call. Always a change, meant for ``onchanges``, unless
    ``files`` or ``transports_of`` is given.

    At once when no channel is up. Else Asterisk is told to restart by itself as soon as the last
    channel has ended (``core restart when convenient``; calls that come meanwhile are taken), and
    that is waited for.

    name
        Its service.

    wait: 60
        How long to wait for the calls' end: seconds, or ``5m``.

    then: pending
        What becomes of it after that. ``pending``: the order stands, Asterisk restarts when the
        last channel has ended, and the state says so. ``now``: the calls are dropped.

    files
        Paths of what Asterisk reads at its start. It is restarted only when a state of this run
        changed one of them, or it was written after the start.

    transports_of
        Path of ``pjsip.conf``: it is restarted, too, when that has transports that are not in
        force (:py:func:`transports_current`).

    .. code-block:: yaml

        asterisk-with-new-options:
          asterisk.restarted:
            - name: asterisk
            - wait: 5m
            - files: [/etc/asterisk/asterisk.conf]
            - require:
              - file: /etc/asterisk/asterisk.conf
    """
    if not _are_paths(files):
        return _ret(name, False, f"{name}: files is {files!r}: write a list of paths")
    if files is not None or transports_of is not None:
        differ = transports_of and transports_current(transports_of)["changes"]
        if not differ and not _unread(files or ()):
            return _ret(name, True, "Asterisk started with what it reads at its start")
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be restarted", {"restarted": name})
    if then not in ("pending", "now"):
        return _ret(name, False, f"{name}: then is {then!r}: write pending or now")
    try:
        seconds = _limit(wait)
        channels = cli.channels(__salt__["cmd.run_all"])
        if not channels:
            return _restart(name, f"{name} was restarted")
        told = time.time()
        # It returns when Asterisk goes down; the order outlives who asked. A second order
        # returns at once, and the first one stands.
        _ask("core restart when convenient", timeout=max(1, round(seconds)))
        began = cli.started(__salt__["cmd.run_all"])
        # While it restarts its console is away for a moment.
        left = max(told + seconds - time.time(), 0 if began else 10)
        if cli.until(lambda: (cli.started(__salt__["cmd.run_all"]) or 0) >= told, left, 0.5):
            _ask("core waitfullybooted")
            transports.restarted(_kept("transports.json"))
            said = f"{name} was restarted when its {channels} channels had ended"
            return _ret(name, True, said, {"restarted": name})
        channels = cli.channels(__salt__["cmd.run_all"])
    except (CliError, OSError, ValueError) as error:
        return _ret(name, False, str(error))
    if then == "now":
        return _restart(name, f"{name} was restarted, and {channels} channels were dropped")
    return _ret(
        name,
        True,
        f"{channels} channels are active: Asterisk restarts when the last one has ended "
        "(`core abort shutdown` on its console calls that off)",
        {"restarted": "when the last channel has ended"},
    )


def _restart(name, comment):
    try:
        went = __salt__["service.restart"](name)
    except CommandExecutionError as error:
        return _ret(name, False, f"The service {name} did not restart: {error}")
    if not went:
        return _ret(name, False, f"The service {name} did not restart: see its log")
    try:
        transports.restarted(_kept("transports.json"))
    except OSError as error:
        return _ret(name, False, f"{comment}, which cannot be noted: {error}")
    return _ret(name, True, comment, {"restarted": name})


def _kept(name):
    return os.path.join(pillar.folder(__opts__), name)


def transports_current(name="/etc/asterisk/pjsip.conf"):
    """
    Whether Asterisk runs with the PJSIP transports of its file. A transport that was changed or
    taken away stays as it was until Asterisk restarts, without ``allow_reload``, and so does the
    section of type ``system``: changes are those sections. For ``onchanges`` of a restart.

    What Asterisk started with is kept in a file in the minion's cache.

    name
        The file.

    .. code-block:: yaml

        transports-in-force:
          asterisk.transports_current:
            - name: /etc/asterisk/pjsip.conf

        asterisk-with-other-transports:
          asterisk.restarted:
            - name: asterisk
            - onchanges:
              - asterisk: transports-in-force
    """
    began = cli.started(__salt__["cmd.run_all"])
    if began is None:
        return _ret(name, True, "Asterisk does not run: it will start with the file's transports")
    try:
        differ = transports.differ(name, _kept("transports.json"), began, keep=not __opts__["test"])
    except (OSError, ValueError) as error:
        return _ret(name, False, f"{name} cannot be compared: {error}")
    if not differ:
        return _ret(name, True, "Asterisk runs with the file's transports")
    return _ret(
        name,
        None if __opts__["test"] else True,
        f"Asterisk has to restart for {', '.join(differ)}: a reload leaves them as they were",
        {"not in force": differ},
    )
