"""``asterisk.config``: keys and sections in a file that somebody else owns otherwise."""

import importlib.util
import os
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "_states" / "asterisk_config.py"
THEIRS = """\
; Kept by Grace.
[general]
persistentmembers = no   ; was yes

[support](!)
strategy = ringall

[sales](support)
member => PJSIP/101
"""


@pytest.fixture
def states():
    spec = importlib.util.spec_from_file_location("states_asterisk_config", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {"test": False}
    return module


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "queues.conf"
    path.write_text(THEIRS)
    path.chmod(0o604)
    return path


def test_what_is_set_is_written_and_the_rest_is_left_alone(states, file):
    ret = states.config(
        str(file), {"general": {"persistentmembers": True}, "sales": {"weight": 2, "member": ["a"]}}
    )
    assert ret["result"] is True
    assert file.read_text() == THEIRS.replace("= no ", "= yes ").replace(
        "member => PJSIP/101", "member => a\nweight = 2"
    )
    assert "-persistentmembers = no   ; was yes" in ret["changes"]["diff"]
    assert file.stat().st_mode & 0o777 == 0o604
    assert os.listdir(file.parent) == ["queues.conf"]


def test_a_second_time_nothing_changes(states, file):
    wanted = {"general": {"persistentmembers": True}, "new(support)": {"member": ["x", "y;z"]}}
    states.config(str(file), wanted)
    before = file.stat().st_mtime_ns
    ret = states.config(str(file), wanted)
    assert (ret["result"], ret["changes"]) == (True, {})
    assert file.stat().st_mtime_ns == before


def test_under_test_the_difference_is_told_and_nothing_is_written(states, file):
    states.__opts__["test"] = True
    ret = states.config(str(file), {"sales": {"weight": 2}})
    assert ret["result"] is None
    assert "+weight = 2" in ret["changes"]["diff"]
    assert file.read_text() == THEIRS


@pytest.mark.parametrize("test", [True, False])
def test_a_difference_that_holds_secrets_is_hidden(states, file, test):
    states.__opts__["test"] = test
    ret = states.config(str(file), {"sales": {"secret": "hush"}}, show_changes=False)
    assert ret["changes"] == {"diff": "(hidden)"}
    assert "hush" not in str(ret)


@pytest.mark.parametrize(
    ("absent", "gone"),
    [
        (["sales"], "\n[sales](support)\nmember => PJSIP/101\n"),
        ({"sales": ["member"]}, "member => PJSIP/101\n"),
        ({"sales": None}, "\n[sales](support)\nmember => PJSIP/101\n"),
    ],
)
def test_keys_and_sections_are_taken_away(states, file, absent, gone):
    assert states.config(str(file), absent=absent)["result"] is True
    assert file.read_text().rstrip() == THEIRS.replace(gone, "").rstrip()
    assert states.config(str(file), absent=absent)["changes"] == {}


def test_a_null_takes_the_key_away(states, file):
    states.config(str(file), {"general": {"persistentmembers": None}})
    assert "persistentmembers" not in file.read_text()


def test_a_null_in_a_list_is_no_value(states, file):
    states.config(str(file), {"general": {"persistentmembers": [None, "yes"]}})
    assert "None" not in file.read_text()


def test_a_section_that_others_inherit_from_is_not_taken_away(states, file):
    ret = states.config(str(file), absent=["support"])
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "no section support above" in ret["comment"]
    assert file.read_text() == THEIRS


def test_the_type_says_which_section_of_a_name_is_meant(states, tmp_path):
    file = tmp_path / "pjsip.conf"
    wanted = [
        {"101": {"type": "endpoint", "allow": ["g722", "ulaw"]}},
        {"101": {"type": "auth", "password": "x"}},
    ]
    assert states.config(str(file), wanted)["result"] is True
    text = (
        "[101]\ntype = endpoint\nallow = g722\nallow = ulaw\n\n[101]\ntype = auth\npassword = x\n"
    )
    assert file.read_text() == text
    assert file.stat().st_mode & 0o777 == 0o640
    states.config(str(file), absent={"101": {"type": "endpoint"}})
    assert file.read_text().strip() == "[101]\ntype = auth\npassword = x"


def test_a_file_that_asterisk_would_not_read_is_told_with_its_line(states, file):
    file.write_text("[general\n")
    ret = states.config(str(file), {"sales": {"weight": 2}})
    assert ret["result"] is False
    assert f"{file}, line 1: the section has no closing ]" in ret["comment"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"sections": {"a": "b"}},
        {"sections": ["a"]},
        {"sections": {"a": {"key": {"deep": "er"}}}},
        {"sections": {"a]": {"key": "value"}}},
        {"sections": {"a": {"key": "one\ntwo"}}},
        {"absent": {"sales": {"kind": "x"}}},
        {"absent": 5},
    ],
)
def test_what_has_no_form_in_a_file_is_refused_and_nothing_is_written(states, file, wanted):
    ret = states.config(str(file), **wanted)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert file.read_text() == THEIRS


def test_a_file_in_no_folder_is_a_failure_in_words(states, tmp_path):
    ret = states.config(str(tmp_path / "none" / "a.conf"), {"a": {"b": "c"}})
    assert (ret["result"], ret["changes"]) == (False, {})


def test_bytes_that_are_no_utf_8_are_carried_through(states, file):
    file.write_bytes(b"[a]\nname = Z\xfcrich\n")
    ret = states.config(str(file), {"a": {"b": "Zürich"}})
    assert ret["result"] is True
    assert file.read_bytes() == b"[a]\nname = Z\xfcrich\nb = Z\xc3\xbcrich\n"
