"""Secrets that are generated on first use."""

import os
import stat
import threading

import pytest

from pbxlib import keyfile
from pbxlib.errors import SettingsError


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "asterisk")


def test_a_secret_is_made_once_and_stays(folder):
    assert keyfile.read(folder, "ami") is None
    made = keyfile.get(folder, "ami")
    assert len(made) == 32
    assert keyfile.get(folder, "ami") == keyfile.read(folder, "ami") == made
    assert keyfile.get(folder, "endpoint-101") != made


def test_only_its_owner_reads_a_secret(folder):
    keyfile.get(folder, "ami")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(folder, "ami")).st_mode) == 0o600


def test_those_who_make_it_at_once_get_the_same(folder):
    found = []
    gate = threading.Barrier(8)

    def make():
        gate.wait()
        found.append(keyfile.get(folder, "ami"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(folder) == ["ami"]


def test_an_empty_file_is_no_secret(folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "ami"), "w"):
        pass
    assert len(keyfile.get(folder, "ami")) == 32


@pytest.mark.parametrize(
    "name", ["../shadow", "/etc/shadow", "", ".hidden", "a/b", "a\n", "ü", "a" * 101]
)
def test_a_name_that_would_leave_the_folder_is_refused(folder, name):
    with pytest.raises(SettingsError, match="cannot name a secret"):
        keyfile.get(folder, name)
