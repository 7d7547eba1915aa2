"""
Sound packages as asterisk.org hands them out: archives of sound files, unpacked into a folder.

The archive is kept, and is the list of what belongs to it: what else is in the folder is its
users'.
"""

from __future__ import annotations

import os
import shutil
import tarfile

from pbxlib.errors import BuildError


def _files(archive):
    """``(path below the folder, TarInfo)`` of each file; raises ``BuildError`` at any other."""
    for member in archive.getmembers():
        path = os.path.normpath(member.name)
        if member.isdir():
            continue
        if not member.isfile() or os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
            raise BuildError(f"{archive.name}: {member.name} is not a file below its folder")
        yield path, member


def _open(path):
    try:
        return tarfile.open(path)
    except (OSError, tarfile.TarError) as error:
        raise BuildError(f"{path} cannot be read as an archive: {error}") from None


def missing(path, folder):
    """Paths below ``folder`` of an archive's files that are not there as they are in it."""
    with _open(path) as archive:
        return [name for name, member in _files(archive) if not _is_there(folder, name, member)]


def _is_there(folder, name, member):
    try:
        found = os.lstat(os.path.join(folder, name))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (found.st_size, int(found.st_mtime)) == (member.size, int(member.mtime))


def unpack(path, folder, names):
    """Write files of an archive below ``folder``, each whole or not at all; anyone may read them.

    Raises :class:`~pbxlib.errors.BuildError`.
    """
    wanted = set(names)
    with _open(path) as archive:
        for name, member in _files(archive):
            if name not in wanted:
                continue
            target = os.path.join(folder, name)
            _make_folder(os.path.dirname(target))
            draft = f"{target}.new"
            with open(draft, "wb") as file:
                shutil.copyfileobj(archive.extractfile(member), file)
            os.chmod(draft, 0o644)
            os.utime(draft, (member.mtime, member.mtime))
            os.replace(draft, target)


def _make_folder(path):
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path))
        os.mkdir(path)
        # Whatever root's umask is.
        os.chmod(path, 0o755)  # noqa: S103


def remove(path, folder):
    """Remove what an archive brought and nobody has changed since, and folders left empty by it.

    Returns the paths below ``folder`` that were removed.
    """
    with _open(path) as archive:
        gone = [name for name, member in _files(archive) if _is_there(folder, name, member)]
    for name in gone:
        os.unlink(os.path.join(folder, name))
    for below in sorted({os.path.dirname(name) for name in gone}, reverse=True):
        place = os.path.join(folder, below)
        if below and not os.listdir(place):
            os.rmdir(place)
    return gone
