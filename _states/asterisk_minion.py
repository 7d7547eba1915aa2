"""
Salt's own processes: what master and minion read once and hold on to.

.. code-block:: yaml

    bridge-runs-what-is-on-disk:
      asterisk.minion_current:
        - order: last
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import salt.utils.path

__virtualname__ = "asterisk"

_EXTENSIONS = ("engines", "returners", "utils", "modules")
# Its input ends with the process that made it; a minion that runs jobs in threads does not end.
_AFTERWARDS = (
    "import os, select, sys; select.select([0], [], [], 60); os.execv(sys.argv[1], sys.argv[1:])"
)


def __virtual__():
    return __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


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
    broken off is made good by the next. Give it ``order: last``: the restart is made when the
    process of this run has ended, that is, when its result was returned.

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
    return _restart_minion(name, changes)


def minion_restarted(name="salt-minion"):
    """
    Restart the minion when the process of this run has ended, that is, when its result was
    returned. Always a change: meant for ``onchanges``, with ``order: last``.

    name
        Its service.

    .. code-block:: yaml

        engines-are-gone:
          asterisk.minion_restarted:
            - order: last
            - onchanges:
              - file: /etc/salt/minion.d/engines.conf
    """
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be restarted", {"restarted": name})
    return _restart_minion(name, {"restarted": name})


def _restart_minion(name, changes):
    salt_call = salt.utils.path.which("salt-call") or os.path.join(
        os.path.dirname(sys.executable), "salt-call"
    )
    folder = os.path.dirname(__opts__["conf_file"])
    command = [salt_call, "--local", "--config-dir", folder, "service.restart", name]
    waits, _ends_with_this_process = os.pipe()
    try:
        subprocess.Popen(
            [sys.executable, "-c", _AFTERWARDS, *command],
            stdin=waits,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return _ret(name, False, f"{name} cannot be restarted: {error}")
    finally:
        os.close(waits)
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
