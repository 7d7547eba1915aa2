"""The folder that a second Asterisk reads: nothing in it leads to the one that people talk on."""

import sys
from pathlib import Path

import pytest

from pbxlib import trial
from pbxlib.confset import ConfSet
from pbxlib.errors import TrialError

# In place of unshare: what would be Asterisk tells what it was given.
TELLS = """#!{python}
import pathlib, sys
etc = pathlib.Path(sys.argv[sys.argv.index("-C") + 1]).parent
for file in sorted(etc.rglob("*.conf")):
    print("==", file.name, file.stat().st_mode & 0o077, etc.parent.stat().st_mode & 0o077)
    print(file.read_text())
print("{last}", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def asterisk(tmp_path, monkeypatch):
    """A function that makes a program of this last line."""

    def program(last="Asterisk Ready."):
        path = tmp_path / "asterisk"
        path.write_text(TELLS.format(python=sys.executable, last=last))
        path.chmod(0o755)
        unshare = tmp_path / "unshare"
        unshare.write_text(
            '#!/bin/sh\nshift 2\nwhile [ "$1" != -- ]; do shift; done\nshift\n"$@"\n'
        )
        unshare.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return str(path)

    return program


def told(asterisk, **texts):
    """What the program prints of each file, by the file's name."""
    texts = {name.replace("_conf", ".conf"): text for name, text in texts.items()}
    console, etc = trial.run(ConfSet(texts), asterisk())
    assert not Path(etc).parent.exists()
    parts = console.split("== ")[1:]
    return {part.split()[0]: part.partition("\n")[2] for part in parts}, etc


def test_its_folders_are_its_own_and_gone_afterwards(asterisk):
    given = "[directories]\nastmoddir = /opt/modules\nastspooldir = /var/spool/asterisk\n"
    files, etc = told(asterisk, asterisk_conf=given)
    lines = files["asterisk.conf"].splitlines()
    home = str(Path(etc).parent)
    assert "astmoddir = /opt/modules" in lines
    assert {f"astetcdir = {etc}", f"astspooldir = {home}/spool"} <= set(lines)
    assert all(line.endswith(home) or "/var/" not in line for line in lines)


def test_only_modules_that_read_configuration_and_that_are_wanted_are_loaded(asterisk):
    files, _ = told(asterisk, modules_conf="[modules]\nautoload=yes\nnoload => app_queue.so\n")
    assert "autoload = no" in files["modules.conf"]
    assert "load = res_pjsip.so" in files["modules.conf"]
    assert "app_queue" not in files["modules.conf"]


def test_commands_that_asterisk_would_run_at_its_start_are_left_out(asterisk):
    files, _ = told(asterisk, cli_conf="[startup_commands]\n!rm -rf / = yes\n")
    assert files["cli.conf"].strip() == ""


def test_names_of_hosts_become_addresses_and_addresses_stay(asterisk):
    files, _ = told(
        asterisk,
        pjsip_conf="match = a.example.com, 192.0.2.300 , b\nmatch=2001:db8::a\n"
        "external_media_address=pbx.example.com ; ours\nmatch_header = a: b\n",
        rtp_conf="stunaddr = stun.example.com:3478\n",
    )
    assert files["pjsip.conf"].splitlines()[:4] == [
        "match = 192.0.2.1, 192.0.2.300 , 192.0.2.1",
        "match=2001:db8::a",
        "external_media_address= 192.0.2.1 ; ours",
        "match_header = a: b",
    ]
    assert files["rtp.conf"].splitlines()[0] == "stunaddr = 192.0.2.1:3478"


def test_an_include_by_its_whole_path_is_of_the_new_file(asterisk):
    files, _ = told(asterisk, a_conf="#include /etc/asterisk/b.conf\n", b_conf="")
    assert files["a.conf"].splitlines()[0] == "#include b.conf"


def test_an_asterisk_that_does_not_get_ready_is_told_with_its_last_words(asterisk):
    program = asterisk("Unable to open the database.")
    Path(program).write_text(Path(program).read_text().replace("sys.stdin.read()", ""))
    with pytest.raises(TrialError, match="Unable to open the database"):
        trial.run(ConfSet({}), program)


def test_an_asterisk_that_hangs_is_killed(asterisk):
    with pytest.raises(TrialError, match="Still loading"):
        trial.run(ConfSet({}), asterisk("Still loading"), seconds=5)
