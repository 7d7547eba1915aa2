"""The pillar key ``asterisk``: defaults, and faults that name their path."""

import json
import os
import stat

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pbxlib import settings
from pbxlib.errors import SettingsError


def problems(pillar):
    with pytest.raises(SettingsError) as caught:
        settings.resolve(pillar)
    return caught.value.problems


def test_an_empty_pillar_gives_every_default():
    found = settings.resolve({})
    assert found["ami"]["port"] == 5038
    assert found["outbox"]["keep"] == 7 * 86400
    assert found["events"] == {}
    assert found == settings.resolve(None)


def test_an_empty_section_gives_its_defaults():
    assert settings.resolve({"ami": None})["ami"]["host"] == "127.0.0.1"


def test_what_is_given_takes_the_place_of_the_default():
    found = settings.resolve({"ami": {"port": 5039}, "outbox": {"keep": "2h"}})
    assert found["ami"]["port"] == 5039
    assert found["ami"]["host"] == "127.0.0.1"
    assert found["outbox"]["keep"] == 7200


def test_a_misspelt_setting_is_named_with_its_path_and_the_likely_one():
    assert problems({"ami": {"secrte": "x"}}) == [
        "asterisk:ami:secrte: there is no such setting; did you mean 'secret'?"
    ]


def test_the_hubs_settings_are_checked_as_the_others_are():
    assert problems({"hub": {"prot": 8000, "functions": "test.ping", "tls": {"days": 0}}}) == [
        "asterisk:hub:prot: there is no such setting; did you mean 'port'?",
        "asterisk:hub:functions: 'test.ping' is not a list of texts",
        "asterisk:hub:tls:days: 0 is not a whole number from 1 to 36500",
    ]


def test_every_fault_is_named_not_only_the_first():
    found = problems({"ami": {"port": "5038", "tls": "yes"}, "odoo": {"api": "xmlrpc"}})
    assert [line.split(": ")[0] for line in found] == [
        "asterisk:ami:port",
        "asterisk:ami:tls",
        "asterisk:odoo:api",
    ]


@pytest.mark.parametrize("port", [0, 65536, True, "5038", 5038.0])
def test_a_port_is_a_whole_number_in_range(port):
    (line,) = problems({"ami": {"port": port}})
    assert repr(port) in line
    assert "1 to 65535" in line


def test_clear_text_to_another_host_is_refused():
    (line,) = problems({"odoo": {"url": "http://odoo.example.com"}})
    assert line.startswith("asterisk:odoo:url: ")
    assert "clear text" in line


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8069", "http://localhost/", "https://o.example/"]
)
def test_an_address_is_taken_without_its_last_slash(url):
    assert settings.resolve({"odoo": {"url": url}})["odoo"]["url"] == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "odoo.example.com",
        "ftp://odoo.example.com",
        "https://",
        "https://odoo.example.com:99999",
        "https://[::1",
        "https://odoo.example.com/?db=prod",
        "https://odoo.example.com\n",
        8069,
    ],
)
def test_what_is_no_address_is_refused(url):
    (line,) = problems({"odoo": {"url": url}})
    assert line.startswith("asterisk:odoo:url: ")


@pytest.mark.parametrize(
    "pillar",
    [
        {"ami": {"secret": 12345678}},
        {"ami": {"secret": "s3cr3t\r\nAction: Command"}},
        {"odoo": {"api_key": "s3cr3t\n"}},
        {"odoo": {"api_key": ["s3cr3t"]}},
        {"odoo": [{"api_key": "s3cr3t"}]},
        {"ami": "s3cr3t"},
        {"endpoints": [{"password": "s3cr3t"}]},
        {"endpoints": {"101": {"auth": {"password": 12345678}}}},
        {"hub": {"password": ["s3cr3t"]}},
        {"odoo": {"url": "https://pbx1:s3cr3t@odoo.example.com"}},
        ["s3cr3t"],
    ],
)
def test_the_error_about_a_secret_does_not_tell_it(pillar):
    text = "\n".join(problems(pillar))
    assert "s3cr3t" not in text
    assert "12345678" not in text
    assert text.startswith("asterisk")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("ami", "ping_interval"),
        ("odoo", "heartbeat"),
        ("odoo", "connect_timeout"),
        ("odoo", "read_timeout"),
        ("outbox", "retry_first"),
        ("outbox", "retry_cap"),
    ],
)
@pytest.mark.parametrize("value", [0, "forever", "30d"])
def test_a_time_that_would_make_a_loop_spin_or_stop_is_refused(section, key, value):
    (line,) = problems({section: {key: value}})
    assert line.startswith(f"asterisk:{section}:{key}: ")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(10, 10), (0.5, 0.5), ("10", 10), ("10s", 10), ("5m", 300), ("2h", 7200), ("1w", 604800)],
)
def test_durations_are_seconds(written, seconds):
    assert settings.duration(written) == seconds


def test_forever_has_no_seconds():
    assert settings.duration("forever") is None


@pytest.mark.parametrize("written", ["", "s", "ten", "-1s", True, None, [], "nan", "inf", "1e11"])
def test_what_is_no_duration_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match="duration"):
        settings.duration(written)


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_any_duration_is_finite_and_not_negative_or_refused(written):
    try:
        seconds = settings.duration(written)
    except ValueError:
        return
    assert seconds is None or 0 <= seconds < 1e10


def test_kept_settings_come_back_and_only_their_owner_reads_them(tmp_path):
    path = str(tmp_path / "asterisk" / "settings.json")
    settings.save(path, {"ami": {"secret": "s3cr3t"}})
    assert settings.load(path) == {"ami": {"secret": "s3cr3t"}}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_a_write_that_fails_leaves_the_kept_settings_and_no_draft(tmp_path):
    path = str(tmp_path / "settings.json")
    settings.save(path, {"good": True})
    with pytest.raises(TypeError):
        settings.save(path, {"bad": object()})
    assert settings.load(path) == {"good": True}
    assert os.listdir(tmp_path) == ["settings.json"]


@pytest.mark.parametrize("text", [None, "", "{", "\xff"])
def test_settings_that_cannot_be_read_are_none(tmp_path, text):
    path = tmp_path / "settings.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert settings.load(str(path)) is None


def test_resolved_settings_are_plain_json():
    found = settings.resolve({"outbox": {"keep": "forever"}})
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{101: {auth: {password: 0471}}}", "101:auth:password"),
        ("{'101': {auth: {password: 0}}}", "101:auth:password"),
        ("{'101': {auth: {username: no}}}", "101:auth:username"),
        ("{no: {}}", "False"),
        ("{~: {}}", "None"),
    ],
)
def test_what_yaml_has_read_otherwise_than_it_was_written_is_to_be_quoted(written, path):
    (line,) = problems({"endpoints": yaml.safe_load(written)})
    assert line.startswith(f"asterisk:endpoints:{path}: ")
    assert line.endswith("put it in quotes")


def test_a_number_is_the_name_of_a_phone_as_people_write_it():
    found = settings.resolve({"endpoints": yaml.safe_load("{101: {auth: {username: 101}}}")})
    assert found["endpoints"] == {101: {"auth": {"username": 101}}}


def test_a_wrong_type_is_told_in_yamls_words_whatever_salt_made_of_it():
    class MaskedList(list):
        pass

    assert problems({"ami": MaskedList()}) == [
        "asterisk:ami: it is a list, not a mapping of settings"
    ]
