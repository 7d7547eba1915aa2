"""
Asterisk from source: builds side by side, one of them in force, and a way back.

A build is a folder named by what went into it (:py:func:`asterisk_build.present
<salt.states.asterisk_build.present>` makes it), below a folder of all builds in which the link
``current`` names the one in force. The unit runs ``current/sbin/asterisk``.

.. code-block:: yaml

    asterisk-built:
      asterisk_build.present:
        - name: /opt/asterisk/4f0c2b7a9d1e6358
        - tarball: /usr/src/asterisk-22.10.1.tar.gz
        - configure: [--with-jansson-bundled]
        - menuselect: [--disable, chan_iax2]

    asterisk-in-force:
      asterisk_build.current:
        - name: /opt/asterisk/4f0c2b7a9d1e6358
        - require:
          - asterisk_build: asterisk-built
"""

from __future__ import annotations

import contextlib
import os
import select
import time

from salt.exceptions import CommandExecutionError

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import build, sounds
    from pbxlib.errors import BuildError

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk_build"


def __virtual__():
    return (False, f"{MISSING}: run saltutil.sync_all") if MISSING else __virtualname__


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def present(name, tarball, configure=(), menuselect=(), externals=None):
    """
    Build Asterisk, unless that build is there; the first one of a host is in force at once.

    name
        Folder of the build, and its prefix. Its own name are 16 hex digits, which the caller
        makes out of everything that should lead to another build.
    tarball
        Path of the source, packed as ``tar`` understands it, with one folder at its top.
    configure
        Options of its ``configure``, a list.
    menuselect
        Arguments of ``menuselect/menuselect``, a list. Sound packages are never taken.
    externals
        Folder with files that ``configure`` would download. Nothing is downloaded.

    .. code-block:: yaml

        asterisk-built:
          asterisk_build.present:
            - name: /opt/asterisk/4f0c2b7a9d1e6358
            - tarball: /usr/src/asterisk-22.10.1.tar.gz
    """
    if os.path.isdir(name):
        return _ret(name, True, f"The build {name} is there")
    if __opts__["test"]:
        return _ret(name, None, f"{name} would be built", {"built": name})
    began = time.monotonic()
    try:
        build.make(name, tarball, configure, menuselect, externals, jobs=__grains__["num_cpus"])
    except (BuildError, OSError) as error:
        return _ret(name, False, f"Asterisk was not built: {error}")
    seconds = round(time.monotonic() - began)
    return _ret(name, True, f"{name} was built in {seconds} s", {"built": name})


def verified(name, checksum):
    """
    Fail unless a file has this checksum; never changes anything.

    ``file.managed`` looks at ``source_hash`` for addresses and paths, not for files of the master.

    name
        The file.
    checksum
        ``sha256=`` and 64 hex digits, or the same of SHA-384 or SHA-512.

    .. code-block:: yaml

        tarball-is-the-one:
          asterisk_build.verified:
            - name: /usr/src/asterisk-22.10.1.tar.gz
            - checksum: sha256=0000000000000000000000000000000000000000000000000000000000000000
    """
    if __opts__["test"] and not os.path.exists(name):
        return _ret(name, True, f"{name} is not there yet")
    try:
        algorithm, _, wanted = checksum.partition("=")
        found = __salt__["file.get_hash"](name, algorithm)
    except (CommandExecutionError, OSError, ValueError) as error:
        return _ret(name, False, f"The checksum of {name} cannot be told: {error}")
    if found != wanted:
        return _ret(name, False, f"{name} has the checksum {algorithm}={found}, not {checksum}")
    return _ret(name, True, f"{name} has the checksum {checksum}")


def current(name, service="asterisk", wait=60, then="pending", seconds=60, stays=5):
    """
    Put a build in force, or go back to the one before it when Asterisk does not stay up with it.

    The restart is :py:func:`asterisk.restarted <salt.states.asterisk.restarted>`. While it waits
    for calls to end a restart of Asterisk takes the new build; when they do not end in time, the
    build before it stays. A build that did not start is not tried again until the file is removed
    that says so. The one that it took the place of is kept, as ``previous``; others are removed.

    name
        Folder of the build.
    service
        The service that runs ``current/sbin/asterisk``.
    wait
        How long to wait for the calls' end: seconds, or ``5m``.
    then
        What becomes of calls that last longer: ``pending`` leaves them and the build before,
        ``now`` drops them.
    seconds
        How long it may take until Asterisk is fully booted.
    stays
        How many seconds it must stay up after that.

    .. code-block:: yaml

        asterisk-in-force:
          asterisk_build.current:
            - name: /opt/asterisk/4f0c2b7a9d1e6358
            - seconds: 120
    """
    before = build.current(os.path.dirname(name))
    if before == name:
        runs = _other_build(name, service)
        if runs is None:
            return _ret(name, True, f"The build {name} is in force")
        # A run was broken off after the link was moved.
        before = runs
    failed = build.failure(name)
    if failed:
        path, words = failed
        return _ret(name, False, f"{words} To try it again remove {path}; {before} is in force.")
    changes = {"current": {"old": before, "new": name}}
    if __opts__["test"]:
        return _ret(name, None, f"{name} would take the place of {before}", changes)
    if before is None:
        build.put_in_force(name)
        return _ret(name, True, f"{name} is in force", changes)
    ran = __salt__["service.status"](service)
    build.put_in_force(name)
    if ran:
        try:
            restart = __states__["asterisk.restarted"](name=service, wait=wait, then=then)
        except CommandExecutionError as error:
            restart = {"comment": str(error)}
        if _program(service) == _binary(before):
            build.put_in_force(before)
            # A restart that still waits for the last call would only be one of the build before.
            _console(before, "core abort shutdown", 10)
            return _ret(
                name, False, f"{before} stays, the next apply tries again: {restart['comment']}"
            )
    else:
        _start(service)
    fault = _fault(name, service, seconds, stays)
    if fault is None:
        build.forget_others(name, before)
        return _ret(name, True, f"{name} took the place of {before}", changes)

    words = f"Asterisk did not start with the build {name}: {fault}."
    build.note_failure(name, words)
    build.put_in_force(before)
    # A unit that failed too often is not started again until that is forgotten.
    __salt__["service.stop"](service)
    __salt__["cmd.run_all"](["systemctl", "reset-failed", service], python_shell=False)
    if not ran:
        return _ret(name, False, f"{words} {before} is in force again; it did not run.")
    _start(service)
    worse = _fault(before, service, seconds, 0)
    if worse is not None:
        return _ret(name, False, f"{words} {before} is in force again and does not start: {worse}")
    return _ret(name, False, f"{words} {before} is in force again and runs.")


def _other_build(name, service):
    """Another build than ``name`` beside it that the service runs, ``None`` when there is none."""
    program = _program(service) or ""
    prefix = program.removesuffix("/sbin/asterisk")
    beside = os.path.dirname(prefix) == os.path.dirname(name)
    return prefix if prefix != name and beside and os.path.exists(program) else None


def _binary(prefix):
    return os.path.join(prefix, "sbin", "asterisk")


def _start(service):
    # What became of it is looked at by itself.
    with contextlib.suppress(CommandExecutionError):
        __salt__["service.start"](service)


def _pid(service):
    """Main process of a service, 0 when it has none."""
    shown = __salt__["cmd.run_stdout"](
        ["systemctl", "show", "--property=MainPID", "--value", service], python_shell=False
    )
    return int(shown or 0)


def _program(service):
    """Path of the program that a service runs, or ``None``."""
    try:
        return os.readlink(f"/proc/{_pid(service)}/exe")
    except OSError:
        return None


def _console(prefix, command, seconds):
    """What ``cmd.run_all`` returns for a command of a build's console."""
    return __salt__["cmd.run_all"](
        [_binary(prefix), "-rx", command], python_shell=False, timeout=seconds, ignore_retcode=True
    )


def _fault(prefix, service, seconds, stays):
    """Why a build does not count as started, in words; ``None`` when it runs and stays."""
    pid = _pid(service)
    if _program(service) != _binary(prefix):
        return f"the service {service} does not run; `journalctl -u {service}` has its last words"
    booted = _console(prefix, "core waitfullybooted", seconds)
    if booted["retcode"] != 0:
        return f"it was not fully booted within {seconds} s"
    if _ends_within(pid, stays) or _pid(service) != pid:
        return f"it ended within {stays} s of its start"
    return None


def _ends_within(pid, seconds):
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        # Linux before 5.3: who waits is not told, and looks afterwards.
        time.sleep(seconds)
        return False
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    ended = waiting.poll(seconds * 1000)
    os.close(handle)
    return bool(ended)


def absent(name):
    """
    Remove all builds below a folder; what else is in it stays, and so does the folder then.

    name
        Folder of the builds.

    .. code-block:: yaml

        no-asterisk-from-source:
          asterisk_build.absent:
            - name: /opt/asterisk
    """
    if build.current(name) is None and not build.names(name):
        return _ret(name, True, f"There are no builds in {name}")
    if __opts__["test"]:
        return _ret(name, None, f"The builds in {name} would be removed", {"removed": name})
    return _ret(
        name, True, f"The builds in {name} were removed", {"removed": build.remove_all(name)}
    )


def sounds_present(name, archive):
    """
    Unpack a sound package into a folder; what else is in the folder stays as it is.

    name
        The folder, such as ``/var/lib/asterisk/sounds/en``.
    archive
        Path of the package, packed as ``asterisk-core-sounds-en-wav-1.6.1.tar.gz`` is.

    .. code-block:: yaml

        english:
          asterisk_build.sounds_present:
            - name: /var/lib/asterisk/sounds/en
            - archive: /usr/src/asterisk-core-sounds-en-wav-1.6.1.tar.gz
    """
    try:
        if __opts__["test"] and not os.path.exists(archive):
            return _ret(name, None, f"{archive} would be unpacked", {"unpacked": archive})
        missing = sounds.missing(archive, name)
        if not missing:
            return _ret(name, True, f"The sounds of {archive} are there")
        changes = {"unpacked": f"{len(missing)} files of {archive}"}
        if __opts__["test"]:
            return _ret(name, None, f"{len(missing)} sounds would be unpacked", changes)
        sounds.unpack(archive, name, missing)
    except (BuildError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{len(missing)} sounds were unpacked", changes)


def sounds_absent(name, archive):
    """
    Remove what a sound package brought, unless it was changed since, and then the package.

    name
        The folder that it was unpacked into.
    archive
        Path of the package.

    .. code-block:: yaml

        no-english:
          asterisk_build.sounds_absent:
            - name: /var/lib/asterisk/sounds/en
            - archive: /usr/src/asterisk-core-sounds-en-wav-1.6.1.tar.gz
    """
    if not os.path.exists(archive):
        return _ret(name, True, f"There is no {archive}")
    if __opts__["test"]:
        return _ret(name, None, f"The sounds of {archive} would be removed", {"removed": archive})
    try:
        gone = sounds.remove(archive, name)
        os.unlink(archive)
    except (BuildError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{len(gone)} sounds were removed", {"removed": archive})
