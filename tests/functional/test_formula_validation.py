"""New files are validated by the state, in a real loader, before one of them is written."""

import os

import pytest
from formula_host import FormulaHost

PLAN = {"inside": [{"exten": "_1XX,1,Dial(PJSIP/${EXTEN})"}]}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return FormulaHost(tmp_path_factory.mktemp("host"))


def beside(host, **config):
    host.set_pillar({"install": {"method": "none"}, "ami": {"secret": "x" * 20}, "config": config})


def test_both_files_of_states_serve_one_name(host):
    states = host.call("sys.list_state_functions", "asterisk")
    assert {"asterisk.config_tested", "asterisk.reloaded"} <= set(states)


@pytest.mark.parametrize("arguments", [(), ("test=True",)], ids=["apply", "test=True"])
def test_a_fault_fails_the_apply_with_the_pillars_path_and_nothing_is_written(host, arguments):
    plan = {"inside": [{"include": "nowhere"}]}
    beside(host, **{"extensions.conf": plan, "queues.conf": {"support": {}}})
    before = sorted(os.listdir(host.etc))
    states = host.states("asterisk-formula.config", *arguments)
    tested = states.pop("asterisk-config-tested")
    assert tested["result"] is False
    assert tested["comment"] == (
        "asterisk:config:extensions.conf:inside:include: there is no context 'nowhere'"
    )
    assert tested["changes"] == {}
    assert [s["__id__"] for s in states.values() if s["changes"]] == []
    assert sorted(os.listdir(host.etc)) == before


def test_a_sound_configuration_is_written_and_not_looked_at_again(host):
    beside(host, **{"extensions.conf": PLAN})
    first = host.states("asterisk-formula.config")
    assert all(state["result"] for state in first.values()), first
    assert "No fault was found in extensions.conf" in first["asterisk-config-tested"]["comment"]
    again = host.states("asterisk-formula.config")["asterisk-config-tested"]
    assert again["comment"] == "No file differs, so there is nothing to validate"
    assert again["changes"] == {}


def test_a_value_that_no_conf_file_can_hold_is_told_before_anything_is_written(host):
    beside(host, **{"extensions.conf": PLAN, "x.conf": {"a": {"key": "one\ntwo"}}})
    tested = host.states("asterisk-formula.config")["asterisk-config-tested"]
    assert tested["result"] is False
    assert "asterisk:config:x.conf:a:key: a value of a .conf file is one line" in tested["comment"]
    assert not (host.etc / "x.conf").exists()
