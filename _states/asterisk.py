"""
What a PBX's files are not good at: checked settings, reloads, restarts that drop no call.

Each state can be used alone. ``reloaded``, ``restarted`` and ``no_calls`` talk to Asterisk by its
own console (``asterisk -rx``), which works as root before there is any AMI account.

.. code-block:: yaml

    dialplan-in-force:
      asterisk.reloaded:
        - name: pbx_config.so
        - onchanges:
          - file: /etc/asterisk/extensions.conf
"""

from __future__ import annotations

import importlib.metadata
import os
import sys

import salt.utils.path

__virtualname__ = "asterisk"

_EXTENSIONS = ("engines", "returners", "utils", "modules")


def __virtual__():
    return __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def _console(command):
    """``(True, output)`` of one console command, or ``(False, why not)``."""
    done = __salt__["cmd.run_all"](["asterisk", "-rx", command], python_shell=False)
    text = (done["stdout"] or done["stderr"]).strip()
    if done["retcode"] != 0:
        return False, f"Asterisk's console did not take {command!r}: {text}"
    return True, text


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


def reloaded(name):
    """
    Reload a module of the running Asterisk. Always a change: meant for ``onchanges``.

    name
        What ``module reload`` takes, such as ``pbx_config.so`` or ``manager``; ``all`` for
        everything.

    .. code-block:: yaml

        queues-in-force:
          asterisk.reloaded:
            - name: app_queue.so
            - onchanges:
              - file: /etc/asterisk/queues.conf
    """
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be reloaded", {"reloaded": name})
    went, text = _console("module reload" if name == "all" else f"module reload {name}")
    if went and ("No such module" in text or "not properly initialized" in text):
        # A module that found no configuration when Asterisk started has not stayed loaded.
        went, text = _console(f"module load {name}")
    if not went:
        return _ret(name, False, text)
    if "Unable" in text or "rror" in text or "failed" in text:
        return _ret(
            name,
            False,
            f"{name} was not reloaded, so its file is not in force ({text}): see Asterisk's log",
        )
    if name == "manager":
        # Asterisk's reload leaves open sessions the rights that they logged in with.
        __salt__["event.fire"]({}, "asterisk/ami/reconnect")
    return _ret(name, True, text or f"{name} was reloaded", {"reloaded": name})


def _active_calls():
    """Number of channels that are up now; raises ``ValueError`` with words for a person."""
    went, text = _console("core show channels count")
    if not went:
        raise ValueError(text)
    for line in text.splitlines():
        words = line.split()
        if words[1:3] in (["active", "channel"], ["active", "channels"]):
            return int(words[0])
    raise ValueError(f"Asterisk did not tell how many channels are active: {text}")


def no_calls(name):
    """
    Fail while a channel is up; never changes anything. Guards what would drop a call.

    name
        Anything; for the report only.

    .. code-block:: yaml

        no-one-is-talking:
          asterisk.no_calls
    """
    try:
        channels = _active_calls()
    except ValueError as error:
        return _ret(name, False, str(error))
    if channels:
        return _ret(name, False, f"{channels} channels are active: wait until they have ended")
    return _ret(name, True, "No channel is active")


def restarted(name="asterisk"):
    """
    Restart Asterisk without dropping a call. Always a change: meant for ``onchanges``.

    At once when no channel is up; else Asterisk is told to restart by itself as soon as the last
    channel has ended (``core restart when convenient``).

    name
        Its service.

    .. code-block:: yaml

        asterisk-with-new-options:
          asterisk.restarted:
            - name: asterisk
            - onchanges:
              - file: /etc/asterisk/asterisk.conf
    """
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be restarted", {"restarted": name})
    try:
        channels = _active_calls()
    except ValueError as error:
        return _ret(name, False, str(error))
    if not channels:
        if not __salt__["service.restart"](name):
            return _ret(name, False, f"The service {name} did not restart: see its log")
        return _ret(name, True, f"{name} was restarted", {"restarted": name})
    went, text = _console("core restart when convenient")
    if not went:
        return _ret(name, False, text)
    return _ret(
        name,
        True,
        f"{channels} channels are active: Asterisk restarts when the last one has ended",
        {"restarted": "when the last channel has ended"},
    )


def master_synced(name):
    """
    Sync the master's own extensions (runners, external pillars) from its file roots.

    Changes are what was synced. Under ``test=True`` nothing is looked up, since Salt can only
    tell by doing it.

    name
        Anything; for the report only.

    .. code-block:: yaml

        runners-of-this-formula:
          asterisk.master_synced
    """
    if __opts__["test"]:
        return _ret(name, True, "What there is to sync is not known under test=True")
    synced = __salt__["saltutil.runner"]("saltutil.sync_all")
    if not isinstance(synced, dict):
        return _ret(name, False, f"salt-run saltutil.sync_all failed: {synced}")
    changes = {kind: names for kind, names in synced.items() if names}
    if not changes:
        return _ret(name, True, "The master has the extensions of its file roots")
    return _ret(name, True, "The master's extensions were synced", changes)


def minion_current(name="salt-minion", packages=("pyst2",)):
    """
    Restart the minion when its extensions, engine configuration or packages are newer than it.

    A running minion keeps the code its engines were loaded with. This compares files with the
    minion's start, so that a sync by hand counts as well as one by this run, and a run that was
    broken off is made good by the next. Give it ``order: last``: the restart is made in the
    background and the run's result is returned first.

    name
        Its service.
    packages
        Python packages whose installation counts too.

    .. code-block:: yaml

        bridge-runs-what-is-on-disk:
          asterisk.minion_current:
            - order: last
    """
    try:
        since = os.stat(__opts__["pidfile"]).st_mtime
    except FileNotFoundError:
        return _ret(name, True, "No minion runs here that could be out of date")
    newer = sorted(path for path, changed in _bridge_files(packages) if changed > since)
    if not newer:
        return _ret(name, True, "The minion runs what is on disk")
    changes = {"restarted": name, "newer than the minion": newer}
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be restarted", changes)
    salt_call = salt.utils.path.which("salt-call") or os.path.join(
        os.path.dirname(sys.executable), "salt-call"
    )
    __salt__["cmd.run_bg"](
        [
            salt_call,
            "--local",
            "--config-dir",
            os.path.dirname(__opts__["conf_file"]),
            "service.restart",
            name,
        ],
        python_shell=False,
    )
    return _ret(name, True, f"{name} restarts after this run", changes)


def _bridge_files(packages):
    """``(path, mtime in epoch seconds)`` of each file that the minion reads once, at its start."""
    places = [os.path.join(__opts__["extension_modules"], kind) for kind in _EXTENSIONS]
    for place in places:
        for folder, _, names in os.walk(place):
            for file in names:
                if file.endswith(".py"):
                    path = os.path.join(folder, file)
                    yield path, os.stat(path).st_mtime
    conf = os.path.join(os.path.dirname(__opts__["conf_file"]), "minion.d", "asterisk.conf")
    if os.path.exists(conf):
        yield conf, os.stat(conf).st_mtime
    for package in packages:
        try:
            metadata = importlib.metadata.distribution(package)._path
        except importlib.metadata.PackageNotFoundError:
            continue
        yield str(metadata), os.stat(metadata).st_mtime
