"""What may be in an action of a job."""

import pytest

from pbxlib.actions import blocks, check
from pbxlib.errors import ActionForbidden, BadAction

ORIGINATE = {
    "Action": "Originate",
    "Context": "from-internal",
    "Priority": "1",
    "Timeout": 60000,
    "Channel": "SIP/101",
    "Exten": "100",
    "Async": "true",
}


def test_the_click_to_call_of_the_developer_guide_is_allowed():
    check(ORIGINATE)


@pytest.mark.parametrize("name", ["Ping", "ping", "QueueStatus", "PJSIPShowEndpoints", "Hangup"])
def test_everyday_actions_are_allowed_in_any_case(name):
    check({"Action": name})


@pytest.mark.parametrize(
    "name", ["Command", "UpdateConfig", "ModuleLoad", "CreateConfig", "AGI", "MixMonitor", "Nope"]
)
def test_other_actions_are_refused_until_a_setting_names_them(name):
    with pytest.raises(ActionForbidden, match=f"{name}.*asterisk:ami:allow_actions"):
        check({"Action": name})
    check({"Action": name}, also_actions=[name.lower()])


@pytest.mark.parametrize("name", ["System", "TrySystem", "AGI", "Exec", "MixMonitor", "Queue"])
def test_other_applications_are_refused_until_a_setting_names_them(name):
    action = {**ORIGINATE, "Application": name, "Data": "x"}
    with pytest.raises(ActionForbidden, match=f"{name}.*asterisk:ami:allow_applications"):
        check(action)
    check(action, also_applications=[name])
    check({**action, "Application": "Playback"})


@pytest.mark.parametrize(
    "action",
    [
        {"Action": "Ping", "action": "Command"},
        {"action": "Command", "Action": "Ping"},
        {"action": "Command"},
        {"Action": ["Ping", "Command"]},
        {"Action": "Ping", "Action: Command\r\nX": "y"},
        {"Action": "Ping", "X": "y\r\n\r\nAction: Command"},
        {"Action": " Command "},
        {"ACTION": "Originate", "Channel": "SIP/1", "APPLICATION": "System"},
        {"Action": "Originate", "Channel": "SIP/1", "application": ["Playback", "System"]},
    ],
)
def test_the_allow_list_cannot_be_walked_round(action):
    with pytest.raises((ActionForbidden, BadAction)):
        check(action)


@pytest.mark.parametrize(
    "variable",
    [
        "FILE(/etc/passwd)=x",
        ["A=1", "shell(id)=x"],
        {"FILE(/tmp/x)": "y"},
        [{"FILE(/tmp/x)": "y"}],
        "A=1,FILE (/tmp/x)=y",
    ],
)
def test_dialplan_functions_that_reach_the_host_are_refused(variable):
    with pytest.raises(ActionForbidden, match="Variable"):
        check({**ORIGINATE, "Variable": variable})


def test_other_dialplan_functions_are_not():
    check({**ORIGINATE, "Variable": ["CALLERID(name)=Žaneta", "PJSIP_HEADER(add,X-A)=b"]})


@pytest.mark.parametrize("number", [4420, 101, 970, 4.42e9, True])
@pytest.mark.parametrize("name", ["Exten", "CallerID", "Channel", "exten", "Number", "Mailbox"])
def test_a_bare_number_where_a_telephone_number_belongs_is_refused(name, number):
    action = {key: value for key, value in ORIGINATE.items() if key.lower() != name.lower()}
    with pytest.raises(BadAction, match=f"'{name}' came as the bare number.*Quote it"):
        check({**action, name: number})


def test_a_bare_number_within_a_list_or_dict_is_refused_too():
    for value in (["A=1", 5], {"NUMBER": 4420}, [{"NUMBER": 4420}]):
        with pytest.raises(BadAction, match="Variable"):
            check({**ORIGINATE, "Variable": value})


def test_counts_and_times_may_be_bare_numbers():
    check({**ORIGINATE, "Priority": 1, "Timeout": 30000})
    check({"Action": "QueuePenalty", "Interface": "SIP/1", "Penalty": 5})


@pytest.mark.parametrize("action", [{}, {"Exten": "1"}, {"Action": ""}, {"Action": 5}, [], "Ping"])
def test_what_names_no_action_is_refused(action):
    with pytest.raises(BadAction):
        check(action)


def test_injection_is_refused_with_the_name_of_the_header():
    with pytest.raises(BadAction, match="'CallerID'"):
        check({**ORIGINATE, "CallerID": "x\r\nApplication: System"})


@pytest.mark.parametrize("value", ["true", "Yes", "1", " on ", True, 1])
def test_an_asynchronous_originate_holds_up_nobody(value):
    assert not blocks({**ORIGINATE, "Async": value})


def test_an_originate_that_is_waited_for_holds_up_its_session():
    for value in ("false", "no", "", False):
        assert blocks({**ORIGINATE, "async": value, "Async": value})
    assert blocks({"action": "originate", "Channel": "SIP/101"})
    assert not blocks({"Action": "Ping"})
