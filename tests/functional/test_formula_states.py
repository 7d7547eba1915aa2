"""The formula's states: what they would do, what they do, and what they leave alone."""

import os
import re

import pytest
import yaml
from formula_host import REPO, FormulaHost, many_endpoints

PJSIP = {"pjsip.conf": {"global": {"type": "global"}}}
BESIDE = {"install": {"method": "none"}, "ami": {"secret": "from the pillar"}}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return FormulaHost(tmp_path_factory.mktemp("host"))


@pytest.mark.parametrize("sls", ["asterisk-formula", "asterisk-formula.hub"])
def test_every_state_has_an_id_of_this_formula(host, sls):
    host.set_pillar({})
    assert [name for name in host.low(sls) if not name.startswith("asterisk-")] == []


@pytest.mark.parametrize("method", ["package", "source"])
def test_extensions_are_synced_and_the_pillar_checked_before_anything_else(host, method):
    host.set_pillar({"install": {"method": method, "source": {"url": "/a", "checksum": "b"}}})
    assert list(host.low("asterisk-formula"))[:2] == ["asterisk-extensions", "asterisk-pillar"]


def test_no_low_state_holds_a_secret(host):
    hidden = {"secret": "hush-hush"}
    host.set_pillar({"ami": hidden, "endpoints": {"101": None}, "hub": {"password": "hush-hush"}})
    for sls in ("asterisk-formula", "asterisk-formula.hub"):
        assert "hush-hush" not in str(host.low(sls))


def test_differences_of_files_that_hold_secrets_are_hidden(host):
    host.set_pillar({"config": {"my_own.conf": {}}})
    low = host.low("asterisk-formula.config")
    shown = {name for name, chunk in low.items() if chunk.get("show_changes")}
    assert "asterisk-extensions.conf" in shown
    assert not shown & {"asterisk-manager.conf", "asterisk-pjsip.conf", "asterisk-my_own.conf"}


def test_an_example_has_nothing_reloaded_that_reads_other_files_and_connections_come_first(host):
    example = yaml.safe_load((REPO / "pillar.example").read_text())["asterisk"]
    host.set_pillar(example)
    low = host.low("asterisk-formula.service")
    names = [name for name in low if name.startswith("asterisk-reload-")]
    assert "asterisk-reload-all" not in names
    assert names.index("asterisk-reload-res_odbc.so") < names.index("asterisk-reload-cel_odbc.so")


def test_beside_another_ones_asterisk_its_files_keep_what_their_users_wrote(host):
    theirs = host.etc / "manager_custom.conf"
    theirs.write_text("[bob]\nsecret = x\n")
    host.set_pillar(BESIDE)
    states = host.states("asterisk-formula.config")
    assert all(state["result"] for state in states.values())
    assert os.listdir(host.etc) == ["manager_custom.conf"]
    assert theirs.read_text().startswith("[bob]\nsecret = x\n; Salt asterisk-formula begins\n")
    assert "secret = from the pillar\n" in theirs.read_text()
    assert "from the pillar" not in str(states)


def test_a_second_apply_changes_nothing(host):
    host.set_pillar({**BESIDE, "config": {"queues.conf": {"support": {"strategy": "ringall"}}}})
    host.states("asterisk-formula.config")
    again = host.states("asterisk-formula.config")
    assert [name for name, state in again.items() if state["changes"]] == []


def test_a_second_apply_of_a_thousand_endpoints_changes_nothing(host):
    host.set_pillar({**BESIDE, **many_endpoints(1000)})
    host.states("asterisk-formula.config")
    again = host.states("asterisk-formula.config")
    assert [name for name, state in again.items() if state["changes"]] == []
    text = (host.etc / "pjsip.conf").read_text()
    assert text.count("password = ") == len(set(re.findall("password = (.*)", text))) == 1000


def test_under_test_the_difference_is_told_and_nothing_is_written(host):
    host.set_pillar({**BESIDE, "config": {"dnsmgr.conf": {"general": {"enable": True}}}})
    states = host.states("asterisk-formula.config", "test=True")
    assert states["asterisk-dnsmgr.conf"]["result"] is None
    assert not (host.etc / "dnsmgr.conf").exists()


def test_under_test_nothing_fails_where_the_account_is_not_there_yet(host):
    (host.etc / "manager_custom.conf").unlink(missing_ok=True)
    host.set_pillar(BESIDE)
    states = host.states("asterisk-formula.config", "test=True")
    assert [name for name, state in states.items() if state["result"] is False] == []


def test_a_file_in_a_folder_of_its_own_gets_that_folder(host):
    host.set_pillar({**BESIDE, "config": {"extensions.d/office.conf": {"office": {"a": "b"}}}})
    states = host.states("asterisk-formula.config")
    assert [name for name, state in states.items() if state["result"] is False] == []
    folder = host.etc / "extensions.d"
    assert (folder / "office.conf").is_file()
    assert folder.stat().st_mode & 0o7777 == 0o750


@pytest.mark.parametrize(
    ("pillar", "said"),
    [
        ({"amii": {}}, "asterisk:amii: there is no such setting; did you mean 'ami'?"),
        ({"install": {"method": "pakage"}}, "asterisk:install:method: 'pakage' is unknown"),
        ({"ami": ["a"]}, "asterisk:ami: it is a list, not a mapping of settings"),
        ({"config": 5}, "asterisk:config: "),
        ({"config": {"x.conf": {"s": 7}}}, "asterisk:config:x.conf:s: it is a number"),
        ({"config": {"x.conf": 7}}, "asterisk:config:x.conf: it is a number"),
        ({"config": {"../x.conf": {}}}, "asterisk:config:../x.conf: it is not the name"),
        ({"endpoints": {"101": "Ada"}, "config": PJSIP}, "asterisk:endpoints:101: it is a text"),
        ({"endpoints": {"+49": {}}, "config": PJSIP}, "asterisk:endpoints:+49:auth:password: "),
        ({"endpoints": {"101": {}}}, "asterisk:endpoints: with install:method none"),
        ({"events": {"Crd": [{}]}}, "asterisk:events:Crd: Asterisk has no such event"),
    ],
)
def test_a_fault_in_the_pillar_stops_the_run_and_names_its_path(host, pillar, said):
    host.set_pillar({**BESIDE, **pillar})
    states = host.states("asterisk-formula.config")
    assert said in states["asterisk-pillar"]["comment"]
    assert set(states) == {"asterisk-extensions", "asterisk-pillar"}


def test_under_test_a_fault_in_the_pillar_is_told_once(host):
    host.set_pillar({**BESIDE, "amii": {}})
    states = host.states("asterisk-formula.config", "test=True")
    told = [name for name, state in states.items() if "asterisk:amii" in str(state["comment"])]
    assert told == ["asterisk-pillar"]


def test_a_pillar_that_is_gone_takes_no_phone_away(host):
    kept = host.salt.parent / "cache" / "asterisk" / "settings.json"
    (host.pillar / "pbx.sls").write_text("{}")
    assert "asterisk-pillar-gone" not in host.low("asterisk-formula.config")
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("{}")
    try:
        low = host.low("asterisk-formula.config")
        assert low["asterisk-pillar-gone"]["fun"] == "fail_without_changes"
        assert "has none now" in low["asterisk-pillar-gone"]["name"]
        assert {"test": "asterisk-pillar-gone"} in low["asterisk-config-tested"]["require"]
        host.set_pillar({})
        assert "asterisk-pillar-gone" not in host.low("asterisk-formula.config")
    finally:
        kept.unlink()


def test_pillar_example_has_no_faults_and_renders(host):
    host.set_pillar(yaml.safe_load((REPO / "pillar.example").read_text())["asterisk"])
    assert host.call("asterisk.settings_errors") == []
    assert "asterisk-package" in host.low("asterisk-formula")
