"""The state module by itself: honest changes, nothing done under test=True, no exception."""

import importlib.util
import os
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "_states" / "asterisk.py"


class Console:
    """Asterisk's console: answers by command, and a list of what was asked."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", " "): text for name, text in answers.items()}
        self.asked = []

    def run_all(self, command, python_shell):
        assert command[:2] == ["asterisk", "-rx"]
        assert python_shell is False
        self.asked.append(command[2])
        for start, text in self.answers.items():
            if command[2].startswith(start):
                return {"retcode": 0, "stdout": text, "stderr": ""}
        return {"retcode": 1, "stdout": "", "stderr": "Unable to connect to remote asterisk"}


@pytest.fixture
def states(tmp_path):
    spec = importlib.util.spec_from_file_location("states_asterisk", SOURCE)
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


def asterisk(states, **answers):
    console = Console(**answers)
    states.__salt__["cmd.run_all"] = console.run_all
    return console


def test_a_module_that_is_loaded_is_reloaded(states):
    console = asterisk(states, module_reload="Module 'cdr' reloaded successfully.")
    ret = states.reloaded("cdr")
    assert (ret["result"], ret["changes"]) == (True, {"reloaded": "cdr"})
    assert console.asked == ["module reload cdr"]


def test_the_bridge_logs_in_anew_after_its_account_was_changed(states):
    asterisk(states, module_reload="Module 'manager' reloaded successfully.")
    fired = []
    states.__salt__["event.fire"] = lambda data, tag: fired.append(tag)
    assert states.reloaded("manager")["result"] is True
    assert fired == ["asterisk/ami/reconnect"]


def test_a_module_that_had_no_configuration_at_the_start_is_loaded(states):
    console = asterisk(
        states,
        module_reload="The module 'cdr_custom.so' was not properly initialized.",
        module_load="Loaded cdr_custom.so",
    )
    assert states.reloaded("cdr_custom.so")["result"] is True
    assert console.asked == ["module reload cdr_custom.so", "module load cdr_custom.so"]


def test_a_module_that_cannot_be_loaded_is_a_failure_without_changes(states):
    asterisk(
        states, module_reload="No such module 'x.so'", module_load="Unable to load module x.so"
    )
    ret = states.reloaded("x.so")
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "x.so was not reloaded" in ret["comment"]


def test_an_asterisk_that_does_not_run_is_a_failure_in_its_own_words(states):
    asterisk(states)
    ret = states.reloaded("cdr")
    assert ret["result"] is False
    assert "Unable to connect to remote asterisk" in ret["comment"]


def test_asterisk_restarts_at_once_when_no_channel_is_up(states):
    asterisk(states, core_show="0 active channels\n0 active calls\n12 calls processed")
    restarts = []
    states.__salt__["service.restart"] = lambda name: restarts.append(name) or True
    assert states.restarted("asterisk")["changes"] == {"restarted": "asterisk"}
    assert restarts == ["asterisk"]


def test_asterisk_restarts_after_the_last_call_when_a_channel_is_up(states):
    console = asterisk(
        states,
        core_show="1 active channel\n1 active call\n3 calls processed",
        core_restart="Waiting",
    )
    ret = states.restarted("asterisk")
    assert ret["result"] is True
    assert console.asked[-1] == "core restart when convenient"


@pytest.mark.parametrize(
    ("count", "result"), [("0 active channels", True), ("2 active channels", False)]
)
def test_no_calls_fails_while_a_channel_is_up(states, count, result):
    asterisk(states, core_show=count)
    ret = states.no_calls("quiet")
    assert (ret["result"], ret["changes"]) == (result, {})


def test_under_test_nothing_is_asked_of_asterisk(states):
    states.__opts__["test"] = True
    console = asterisk(states)
    assert states.reloaded("cdr")["result"] is None
    assert states.restarted("asterisk")["result"] is None
    assert console.asked == []


def test_faults_of_the_pillar_are_told_line_by_line(states):
    states.__salt__["asterisk.settings_errors"] = lambda: [
        "asterisk:x: is wrong",
        "asterisk:y: too",
    ]
    ret = states.settings_valid("pillar")
    assert (ret["result"], ret["comment"]) == (False, "asterisk:x: is wrong\nasterisk:y: too")


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
