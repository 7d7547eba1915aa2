"""Sound packages: what an archive brings, and what is its users' own."""

import io
import os
import tarfile

import pytest

from pbxlib import sounds
from pbxlib.errors import BuildError


@pytest.fixture
def pack(tmp_path):
    """A function that makes an archive out of paths; its path."""

    def make(**files):
        path = tmp_path / "sounds.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(text), 1_600_000_000
                archive.addfile(member, io.BytesIO(text.encode()))
        return str(path)

    return make


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "en")


def test_what_is_missing_or_changed_is_unpacked_and_nothing_else(pack, folder):
    archive = pack(**{"./beep.wav": "beep", "digits/1.wav": "one"})
    assert sounds.missing(archive, folder) == ["beep.wav", "digits/1.wav"]
    sounds.unpack(archive, folder, ["beep.wav", "digits/1.wav"])
    assert sounds.missing(archive, folder) == []
    with open(f"{folder}/digits/1.wav", "a") as file:
        file.write("two")
    assert sounds.missing(archive, folder) == ["digits/1.wav"]


def test_remove_leaves_what_was_changed_and_what_others_put_there(pack, folder):
    archive = pack(**{"a.wav": "a", "b.wav": "b", "digits/1.wav": "one"})
    sounds.unpack(archive, folder, sounds.missing(archive, folder))
    with open(f"{folder}/b.wav", "w") as file:
        file.write("mine now")
    open(f"{folder}/own.wav", "w").close()
    assert sounds.remove(archive, folder) == ["a.wav", "digits/1.wav"]
    assert sorted(os.listdir(folder)) == ["b.wav", "own.wav"]


def test_anyone_may_read_sounds_whatever_the_umask_is(pack, folder):
    archive = pack(**{"digits/1.wav": "one"})
    mask = os.umask(0o077)
    try:
        sounds.unpack(archive, folder, ["digits/1.wav"])
    finally:
        os.umask(mask)
    for path, mode in ((folder, 0o755), (f"{folder}/digits/1.wav", 0o644)):
        assert os.stat(path).st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["../out.wav", "/etc/out.wav", "a/../../out.wav"])
def test_an_archive_cannot_write_outside_its_folder(pack, folder, name):
    archive = pack(**{name: "x"})
    with pytest.raises(BuildError, match="is not a file below its folder"):
        sounds.unpack(archive, folder, [name])


def test_a_link_in_an_archive_is_refused(folder, tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        member = tarfile.TarInfo("x")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)
    with pytest.raises(BuildError, match="is not a file below its folder"):
        sounds.missing(str(tmp_path / "links.tar"), folder)


def test_what_is_no_archive_is_said(folder, tmp_path):
    (tmp_path / "page.tar.gz").write_text("<html>404")
    with pytest.raises(BuildError, match="cannot be read as an archive"):
        sounds.missing(str(tmp_path / "page.tar.gz"), folder)
