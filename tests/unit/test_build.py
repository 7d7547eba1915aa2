"""Builds of Asterisk side by side, with a source of a few lines in Asterisk's place."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from pbxlib import build
from pbxlib.errors import BuildError

ONE, TWO, THREE = (digit * 16 for digit in "123")
CONFIGURE = """#!/bin/sh
echo "$@" > options
for option; do case $option in --prefix=*) echo "PREFIX = ${option#*=}" > prefix.mk;; esac; done
"""
MAKEFILE = """
include prefix.mk
all:
	cp options asterisk && chmod 700 asterisk
menuselect.makeopts:
	touch $@
install:
	mkdir -p $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(ASTDATADIR)/sounds $(DESTDIR)/etc
	cp asterisk $(DESTDIR)$(PREFIX)/sbin && touch $(DESTDIR)/etc/not-mine
	cp selected $(DESTDIR)$(PREFIX)
"""
MENUSELECT = """#!/bin/sh
echo "$@" > selected
"""


@pytest.fixture
def source(tmp_path):
    """A function that packs a source; other files by their path in it."""

    def pack(**changed):
        files = {
            "configure": CONFIGURE,
            "Makefile": MAKEFILE,
            "menuselect/menuselect": MENUSELECT,
            **changed,
        }
        path = tmp_path / "tarball"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"asterisk-22/{name}")
                member.size, member.mode = len(text), 0o755
                archive.addfile(member, io.BytesIO(text.encode()))
        return str(path)

    return pack


@pytest.fixture
def top(tmp_path):
    return str(tmp_path / "builds")


def test_a_build_is_whole_in_its_own_folder_and_touches_nothing_else(source, top):
    prefix = f"{top}/{ONE}"
    build.make(prefix, source(), ["--with-x", "CC=a b"], ["--disable", "chan_iax2"])
    options = Path(f"{prefix}/sbin/asterisk").read_text()
    assert f"--prefix={prefix} " in options
    assert "WGET=/bin/false" in options
    assert options.endswith("--with-x CC=a b\n")
    assert sorted(os.listdir(top)) == [ONE, "current"]
    assert not os.path.exists("/etc/not-mine")
    assert os.readlink(f"{prefix}/share/asterisk/sounds") == "/var/lib/asterisk/sounds"


def test_sound_packages_are_never_taken_whatever_is_selected(source, top):
    build.make(f"{top}/{ONE}", source(), menuselect=["--enable", "x"])
    selected = Path(f"{top}/{ONE}/selected").read_text()
    assert selected.startswith("--enable x --disable-category MENUSELECT_CORE_SOUNDS ")
    assert selected.endswith("MENUSELECT_MOH menuselect.makeopts\n")


def test_a_build_that_fails_tells_its_last_words_and_leaves_no_build(source, top):
    broken = source(configure="#!/bin/sh\necho no compiler here; exit 7\n")
    with pytest.raises(BuildError, match=r"configure .*ended with 7(.|\n)*no compiler here"):
        build.make(f"{top}/{ONE}", broken)
    assert build.current(top) is None
    assert not os.path.exists(f"{top}/{ONE}")
    build.make(f"{top}/{ONE}", source())
    assert sorted(os.listdir(top)) == [ONE, "current"]


def test_what_the_source_would_download_is_asked_for_by_name(source, top, tmp_path):
    tarball = source(**{"third-party/pjproject/pjproject-2.17.tar.bz2.md5": "0"})
    with pytest.raises(BuildError, match=r"pjproject-2\.17\.tar\.bz2 .*install:source:externals"):
        build.make(f"{top}/{ONE}", tarball, externals=str(tmp_path))
    (tmp_path / "pjproject-2.17.tar.bz2").touch()
    build.make(f"{top}/{ONE}", tarball, externals=str(tmp_path))


def test_only_the_first_build_is_in_force_by_itself(source, top):
    build.make(f"{top}/{ONE}", source())
    build.make(f"{top}/{TWO}", source())
    assert build.current(top) == f"{top}/{ONE}"
    build.put_in_force(f"{top}/{TWO}")
    assert build.current(top) == f"{top}/{TWO}"


def test_the_build_before_is_kept_and_older_ones_are_removed(source, top):
    for name in (ONE, TWO, THREE):
        build.make(f"{top}/{name}", source())
    Path(f"{top}/notes").touch()
    build.put_in_force(f"{top}/{THREE}")
    build.forget_others(f"{top}/{THREE}", f"{top}/{TWO}")
    assert sorted(os.listdir(top)) == [TWO, THREE, "current", "notes", "previous"]
    assert os.readlink(f"{top}/previous") == TWO


def test_all_is_removed_but_what_is_not_ours(source, top):
    build.make(f"{top}/{ONE}", source())
    Path(f"{top}/notes").touch()
    assert build.remove_all(top) == [ONE, "current"]
    assert os.listdir(top) == ["notes"]
    assert build.remove_all(top) == []
    build.make(f"{top}/{ONE}", source())
    os.unlink(f"{top}/notes")
    build.remove_all(top)
    assert not os.path.exists(top)


def test_that_a_build_did_not_start_is_kept_with_it(source, top):
    prefix = f"{top}/{ONE}"
    build.make(prefix, source())
    assert build.failure(prefix) is None
    build.note_failure(prefix, "it ended")
    assert build.failure(prefix) == (f"{prefix}/did-not-start", "it ended")
