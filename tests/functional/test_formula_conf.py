"""Pillar sections become .conf files in Asterisk's own words."""

import pytest
from formula_host import FormulaHost


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return FormulaHost(tmp_path_factory.mktemp("host"))


def body(text):
    return [line for line in text.splitlines() if line and not line.startswith(";")]


def test_a_file_that_no_default_names_is_written_key_by_key_in_order(host):
    host.set_pillar({"config": {"rtp.conf": {"general": {"rtpstart": 20000, "rtpend": 20100}}}})
    assert body(host.conf("rtp.conf")) == ["[general]", "rtpstart = 20000", "rtpend = 20100"]


def test_lists_repeat_their_key_and_truth_becomes_yes_and_no(host):
    host.set_pillar(
        {"config": {"x.conf": {"a(!)": {"allow": ["ulaw", "alaw"], "on": True, "off": False}}}}
    )
    assert body(host.conf("x.conf")) == [
        "[a](!)",
        "allow = ulaw",
        "allow = alaw",
        "on = yes",
        "off = no",
    ]


def test_a_list_of_mappings_keeps_order_and_raw_lines_stay_as_they_are(host):
    dialplan = [{"exten": "100,1,Answer()"}, {"same": "n,Hangup()"}, "include => parkedcalls"]
    host.set_pillar({"config": {"extensions.conf": {"general": None, "inside": dialplan}}})
    assert body(host.conf("extensions.conf")) == [
        "[inside]",
        "exten = 100,1,Answer()",
        "same = n,Hangup()",
        "include => parkedcalls",
    ]


def test_null_takes_a_file_of_the_defaults_away(host):
    host.set_pillar({"config": {"cdr.conf": None, "cel.conf": None}})
    names = host.low("asterisk-formula.config")
    assert "asterisk-cdr_custom.conf" in names
    assert not {"asterisk-cdr.conf", "asterisk-cel.conf"} & set(names)


def test_null_is_as_if_it_was_not_set_where_it_is_no_files_section(host):
    nothing = dict.fromkeys(("username", "read", "write", "port"))
    host.set_pillar(
        {
            "ami": nothing,
            "install": {"method": None, "packages": None, "source": None},
            "restart": {"wait": None},
            "hub": {"tls": {"names": None}},
        }
    )
    assert host.call("asterisk.settings_errors") == []
    assert "[salt]" in body(host.conf("manager.conf"))
    low = host.low("asterisk-formula")
    assert low["asterisk-package"]["pkgs"] == ["asterisk"]
    assert low["asterisk-restart"]["wait"] == 60


def test_sections_of_one_name_are_written_as_often_as_they_are_listed(host):
    host.set_pillar({"config": {"y.conf": [{"x": {"type": "aor"}}, {"x": {"type": "auth"}}]}})
    assert body(host.conf("y.conf")) == ["[x]", "type = aor", "[x]", "type = auth"]


def test_a_semicolon_in_a_value_does_not_begin_a_comment(host):
    host.set_pillar({"config": {"x.conf": {"a": {"password": "se;cret"}}}})
    assert "password = se\\;cret" in host.conf("x.conf")


@pytest.mark.parametrize("value", ["one\ntwo", {"deep": "er"}], ids=["two lines", "a mapping"])
def test_a_value_that_a_conf_file_cannot_hold_is_refused_with_its_path(host, value):
    host.set_pillar({"config": {"x.conf": {"a": {"key": value}}}})
    with pytest.raises(AssertionError, match=r"asterisk:config:x\.conf:a:key"):
        host.conf("x.conf")


def test_an_endpoint_has_an_auth_and_an_aor_of_its_own_name(host):
    host.set_pillar(
        {"endpoints": {"101": {"callerid": "Alice <101>", "auth": {"password": "given"}}}}
    )
    lines = body(host.conf("pjsip.conf"))
    assert lines[lines.index("[101](phone)") :] == [
        "[101](phone)",
        "auth = 101",
        "aors = 101",
        "callerid = Alice <101>",
        "[101](phone-auth)",
        "username = 101",
        "password = given",
        "[101](phone-aor)",
    ]


def test_a_password_that_the_pillar_lacks_is_generated_once(host):
    host.set_pillar({"endpoints": {"102": None}})
    first = host.conf("pjsip.conf")
    (password,) = [line for line in body(first) if line.startswith("password = ")]
    assert len(password) > 30
    assert host.conf("pjsip.conf") == first


def test_the_ami_account_reads_only_the_classes_that_the_event_map_needs(host):
    host.set_pillar({"events": {"Cdr": [{}], "AgentCalled": [{}], "NEWSTATE": [{}]}})
    text = host.conf("manager.conf")
    assert "read = system,call,agent,cdr\n" in text
    assert "write = system,call,originate,reporting,agent\n" in text
    assert "bindaddr = 127.0.0.1\n" in text


def test_the_cdr_event_carries_sequence_and_linkedid(host):
    host.set_pillar({})
    lines = body(host.conf("cdr_manager.conf"))
    assert lines[-2:] == ["sequence = Sequence", "linkedid = LinkedID"]


def test_a_trunk_by_registration_logs_in_and_is_asked_for_no_login(host):
    trunk = {
        "template": "trunk",
        "auth": {"username": "4420", "password": "given"},
        "aor": {"contact": "sip:sip.example.com"},
        "registration": {"server_uri": "sip:sip.example.com"},
    }
    host.set_pillar({"endpoints": {"provider": trunk}})
    lines = body(host.conf("pjsip.conf"))
    assert lines[lines.index("[provider](trunk)") :] == [
        "[provider](trunk)",
        "outbound_auth = provider",
        "aors = provider",
        "[provider](trunk-auth)",
        "username = 4420",
        "password = given",
        "[provider](trunk-aor)",
        "contact = sip:sip.example.com",
        "[provider](trunk-registration)",
        "endpoint = provider",
        "outbound_auth = provider",
        "server_uri = sip:sip.example.com",
    ]


def test_a_trunk_by_address_has_no_login(host):
    host.set_pillar(
        {"endpoints": {"carrier": {"template": "trunk", "identify": {"match": ["::1", "::2"]}}}}
    )
    lines = body(host.conf("pjsip.conf"))
    assert lines[lines.index("[carrier](trunk)") :] == [
        "[carrier](trunk)",
        "aors = carrier",
        "[carrier](trunk-aor)",
        "[carrier](trunk-identify)",
        "endpoint = carrier",
        "match = ::1",
        "match = ::2",
    ]


def test_no_password_is_made_up_for_a_login_elsewhere(host):
    trunk = {"template": "trunk", "auth": {"username": "x"}, "registration": {"server_uri": "y"}}
    host.set_pillar({"endpoints": {"provider": trunk}})
    with pytest.raises(AssertionError, match="asterisk:endpoints:provider:auth:password"):
        host.conf("pjsip.conf")
