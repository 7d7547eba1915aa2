"""States of Salt's own processes: restarted when they must be, and not under test=True."""

import importlib.util
import os
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


def test_the_minion_is_restarted_by_its_own_salt_and_not_under_test(states):
    started = []
    states.__salt__["cmd.run_bg"] = lambda command, python_shell: started.append(command)
    states.__opts__["test"] = True
    assert states.minion_restarted()["result"] is None
    assert started == []
    states.__opts__["test"] = False
    assert states.minion_restarted()["changes"] == {"restarted": "salt-minion"}
    assert started[0][0].endswith("salt-call")
    assert os.path.dirname(states.__opts__["conf_file"]) in started[0]


def minion(states, changed_after):
    """A minion that started at 1,000 s, and an engine that was written then or later."""
    pidfile = Path(states.__opts__["pidfile"])
    pidfile.touch()
    os.utime(pidfile, (1000, 1000))
    engine = Path(states.__opts__["extension_modules"], "engines", "asterisk_ami.py")
    engine.parent.mkdir(parents=True)
    engine.touch()
    os.utime(engine, (1000 + changed_after, 1000 + changed_after))
    started = []
    states.__salt__["cmd.run_bg"] = lambda command, python_shell: started.append(command)
    return started


def test_a_minion_older_than_its_engine_is_restarted_once_in_the_background(states):
    started = minion(states, changed_after=1)
    ret = states.minion_current("salt-minion", packages=())
    assert ret["changes"]["restarted"] == "salt-minion"
    assert [command[-2:] for command in started] == [["service.restart", "salt-minion"]]


def test_a_minion_that_runs_what_is_on_disk_is_left_alone(states):
    started = minion(states, changed_after=-1)
    ret = states.minion_current("salt-minion", packages=())
    assert (ret["result"], ret["changes"], started) == (True, {}, [])


def test_a_minion_that_would_be_restarted_is_not_under_test(states):
    started = minion(states, changed_after=1)
    states.__opts__["test"] = True
    assert states.minion_current("salt-minion", packages=())["result"] is None
    assert started == []


def test_a_host_without_a_minion_has_nothing_to_restart(states):
    assert states.minion_current()["changes"] == {}
