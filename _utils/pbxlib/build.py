"""
Builds of Asterisk from source, side by side: make one, put one in force, forget old ones.

A build is a folder of its own, which is also its prefix, named by 16 hex digits. Beside it are
the links ``current``, which everything that runs Asterisk goes by, and ``previous``, so that
going over to a build and back is one ``rename(2)``. What is not a build's but the PBX's stays
where it is by custom: ``/etc/asterisk``, ``/var/lib/asterisk``, ``/var/spool/asterisk``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from pbxlib.errors import BuildError

CURRENT, PREVIOUS = "current", "previous"
_STATE = "/var/lib/asterisk"
# Folders below the data folder that users fill: a build has links to them.
_USERS = ("keys", "moh", "phoneprov", "sounds")
# configure's, so that nothing is fetched but what the pillar names with its checksum.
_NO_DOWNLOAD = ("WGET=/bin/false", "CURL=/bin/false", "FETCH=/bin/false")
# Root's tar would give the files to whoever has the numbers of those who packed them.
_UNPACK = ("--no-same-owner", "--no-same-permissions", "--strip-components=1")
_SOUND_PACKAGES = ("MENUSELECT_CORE_SOUNDS", "MENUSELECT_EXTRA_SOUNDS", "MENUSELECT_MOH")
_NAME = re.compile(r"[0-9a-f]{16}")
_BEGUN = ".building-"
_FAILURE = "did-not-start"


def make(prefix, tarball, configure=(), menuselect=(), externals=None, jobs=1):
    """Build ``tarball`` and put the result at ``prefix``, whole or not at all.

    ``externals`` is the folder with files that its configure would download. The first build of
    a host becomes the current one. Raises :class:`~pbxlib.errors.BuildError`, which tells the
    step and the end of its log; what was unpacked then stays to be looked at.
    """
    top = os.path.dirname(prefix)
    if not os.path.isdir(top):
        os.makedirs(top)
        # Whatever root's umask is: Asterisk is not root, and has to read what root installs.
        os.chmod(top, 0o755)  # noqa: S103
    work = os.path.join(top, _BEGUN + os.path.basename(prefix))
    tree, stage = os.path.join(work, "tree"), os.path.join(work, "stage")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(tree, mode=0o755)
    variables = [
        f"ASTDATADIR={prefix}/share/asterisk",
        "ASTVARRUNDIR=/run/asterisk",
        f"AGI_DIR={_STATE}/agi-bin",
    ]
    options = [
        f"--prefix={prefix}",
        f"--libdir={prefix}/lib",
        "--sysconfdir=/etc",
        "--localstatedir=/var",
        *([f"--with-externals-cache={externals}"] if externals else []),
        *_NO_DOWNLOAD,
        *configure,
    ]
    select = ["menuselect/menuselect", *menuselect]
    for category in _SOUND_PACKAGES:
        select += ["--disable-category", category]
    log = os.path.join(work, "build.log")
    _run(log, work, ["tar", *_UNPACK, "-xf", tarball, "-C", tree])
    _check_bundled(tree, configure, externals)
    _run(log, tree, ["./configure", *options])
    _run(log, tree, ["make", "menuselect.makeopts"])
    _run(log, tree, [*select, "menuselect.makeopts"])
    _run(log, tree, ["make", f"-j{jobs}", *variables])
    _run(log, tree, ["make", "install", f"DESTDIR={stage}", *variables])
    built = stage + prefix
    _link_users_folders(os.path.join(built, "share/asterisk"))
    os.rename(log, os.path.join(built, "build.log"))
    shutil.rmtree(prefix, ignore_errors=True)
    os.rename(built, prefix)
    shutil.rmtree(work)
    if current(top) is None:
        _point(top, CURRENT, prefix)


def _run(log, folder, command):
    with open(log, "ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        try:
            code = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                umask=0o022,
                check=False,
            ).returncode
        except OSError as error:
            raise BuildError(f"{command[0]} cannot be run: {error}") from None
    if code:
        with open(log, encoding="utf-8", errors="replace") as file:
            tail = "".join(file.readlines()[-30:])
        raise BuildError(f"{' '.join(command[:2])} ended with {code}; the end of {log}:\n{tail}")


def _check_bundled(tree, configure, externals):
    """Name what the bundled pjproject and jansson lack, before configure fails to fetch it."""
    wanted = {"pjproject": "--without-pjproject-bundled" not in configure}
    wanted["jansson"] = "--with-jansson-bundled" in configure
    for package in (package for package, wants in wanted.items() if wants):
        folder = os.path.join(tree, "third-party", package)
        for file in sorted(os.listdir(folder) if os.path.isdir(folder) else ()):
            if not file.endswith(".md5"):
                continue
            file = file[: -len(".md5")]
            if not (externals and os.path.exists(os.path.join(externals, file))):
                raise BuildError(
                    f"Asterisk builds {file} in, and nothing is fetched that the pillar does not "
                    "name: write its address and checksum under asterisk:install:source:externals "
                    f"(https://github.com/asterisk/third-party has it, in {package}/)"
                )


def _link_users_folders(data):
    for folder in _USERS:
        shutil.rmtree(os.path.join(data, folder), ignore_errors=True)
        os.symlink(os.path.join(_STATE, folder), os.path.join(data, folder))


def _point(top, link, target):
    draft = os.path.join(top, f".{link}")
    if os.path.lexists(draft):
        os.unlink(draft)
    os.symlink(os.path.basename(target), draft)
    os.rename(draft, os.path.join(top, link))


def _target(top, link):
    try:
        return os.path.join(top, os.readlink(os.path.join(top, link)))
    except FileNotFoundError:
        return None


def current(top):
    """The build that is in force below ``top``, or ``None``."""
    return _target(top, CURRENT)


def put_in_force(prefix):
    """Make a build the current one, from the next start of Asterisk on."""
    _point(os.path.dirname(prefix), CURRENT, prefix)


def forget_others(prefix, previous):
    """Remove all builds but these two; ``previous`` is what one can go back to by hand."""
    top = os.path.dirname(prefix)
    if previous:
        _point(top, PREVIOUS, previous)
    kept = {os.path.basename(prefix), os.path.basename(_target(top, PREVIOUS) or prefix)}
    for build in names(top):
        if build not in kept:
            shutil.rmtree(os.path.join(top, build))


def names(top):
    """Names of the builds below ``top``, those that were broken off too."""
    found = os.listdir(top) if os.path.isdir(top) else ()
    return sorted(one for one in found if _NAME.fullmatch(one.replace(_BEGUN, "", 1)))


def remove_all(top):
    """Remove every build and link below ``top``, and ``top`` if nothing else is in it.

    Returns what was removed.
    """
    gone = names(top)
    for build in gone:
        shutil.rmtree(os.path.join(top, build))
    for link in (CURRENT, PREVIOUS):
        if os.path.islink(os.path.join(top, link)):
            os.unlink(os.path.join(top, link))
            gone.append(link)
    if gone and not os.listdir(top):
        os.rmdir(top)
    return sorted(gone)


def note_failure(prefix, words):
    """Keep that a build did not start, so that it is not tried again at each apply."""
    with open(os.path.join(prefix, _FAILURE), "w", encoding="utf-8") as file:
        file.write(words + "\n")


def failure(prefix):
    """``(path, words)`` of what :func:`note_failure` kept of a build, or ``None``."""
    path = os.path.join(prefix, _FAILURE)
    try:
        with open(path, encoding="utf-8") as file:
            return path, file.read().strip()
    except FileNotFoundError:
        return None
