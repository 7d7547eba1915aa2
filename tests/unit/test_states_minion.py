"""States of Salt's own processes: restarted when they must be, and not under test=True."""

import importlib.util
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "_states" / "asterisk_minion.py"


@pytest.fixture
def states(tmp_path):
    spec = importlib.util.spec_from_file_location("states_asterisk_minion", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {
        "test": False,
        "pidfile": str(tmp_path / "minion.pid"),
        "extension_modules": str(tmp_path / "extmods"),
        "conf_file": str(tmp_path / "minion"),
    }
    module.__salt__ = {}
    return module


@pytest.fixture
def started(states, monkeypatch):
    """The commands that were left behind."""
    commands = []
    monkeypatch.setattr(states.subprocess, "Popen", lambda command, **_: commands.append(command))
    return commands


def test_the_minion_is_restarted_by_its_own_salt_and_not_under_test(states, started):
    states.__opts__["test"] = True
    assert states.minion_restarted()["result"] is None
    assert started == []
    states.__opts__["test"] = False
    assert states.minion_restarted()["changes"] == {"restarted": "salt-minion"}
    (command,) = started
    assert command[-6].endswith("salt-call")
    assert command[-3:] == [
        os.path.dirname(states.__opts__["conf_file"]), "service.restart", "salt-minion"
    ]  # fmt: skip


RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("states", sys.argv[1])
states = importlib.util.module_from_spec(spec)
spec.loader.exec_module(states)
states.__opts__ = {"test": False, "conf_file": "/etc/salt/minion"}
print(states.minion_restarted()["comment"], flush=True)
input()
"""


def test_the_restart_waits_for_the_end_of_the_run(tmp_path):
    told = tmp_path / "told"
    os.mkfifo(told)
    salt_call = tmp_path / "salt-call"
    salt_call.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    salt_call.chmod(0o755)
    reader = os.fdopen(os.open(told, os.O_RDONLY | os.O_NONBLOCK))
    with subprocess.Popen(
        [sys.executable, "-c", RUN, SOURCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    ) as run:
        assert run.stdout.readline() == b"salt-minion restarts after this run\n"
        assert select.select([reader], [], [], 1)[0] == []
        run.stdin.close()
    assert select.select([reader], [], [], 60)[0] == [reader]
    assert reader.readline() == "--local --config-dir /etc/salt service.restart salt-minion\n"
    reader.close()


def outdated(states, changed_after):
    """A minion that started at 1,000 s, and an engine that was written then or later."""
    pidfile = Path(states.__opts__["pidfile"])
    pidfile.touch()
    os.utime(pidfile, (1000, 1000))
    engine = Path(states.__opts__["extension_modules"], "engines", "asterisk_ami.py")
    engine.parent.mkdir(parents=True)
    engine.touch()
    os.utime(engine, (1000 + changed_after, 1000 + changed_after))


def test_a_minion_older_than_its_engine_is_restarted_once(states, started):
    outdated(states, changed_after=1)
    ret = states.minion_current("salt-minion", packages=())
    assert ret["changes"]["restarted"] == "salt-minion"
    assert [command[-2:] for command in started] == [["service.restart", "salt-minion"]]


def test_a_minion_that_runs_what_is_on_disk_is_left_alone(states, started):
    outdated(states, changed_after=-1)
    ret = states.minion_current("salt-minion", packages=())
    assert (ret["result"], ret["changes"], started) == (True, {}, [])


def test_a_minion_that_would_be_restarted_is_not_under_test(states, started):
    outdated(states, changed_after=1)
    states.__opts__["test"] = True
    assert states.minion_current("salt-minion", packages=())["result"] is None
    assert started == []


def test_a_host_without_a_minion_has_nothing_to_restart(states, started):
    assert states.minion_current()["changes"] == {}
    assert started == []
