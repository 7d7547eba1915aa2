"""The filters that let only wanted events through."""

import re

import pytest

from pbxlib.errors import AmiError, BadAction
from pbxlib.filters import check, filter_actions

EVENTS = [
    "Event: Cdr\r\nPrivilege: cdr,all\r\n",
    "Event: Hangup\r\nPrivilege: call,all\r\n",
    "Event: HangupRequest\r\nPrivilege: call,all\r\n",
    "Event: UserEvent\r\nText: Event: Cdr\r\n",
]


def test_from_version_12_on_a_filter_names_the_event():
    assert filter_actions("12.0.0", ["Hangup", "Cdr"]) == [
        {"Action": "Filter", "Operation": "Add", "MatchCriteria": "name(Cdr)"},
        {"Action": "Filter", "Operation": "Add", "MatchCriteria": "name(Hangup)"},
    ]


@pytest.mark.parametrize("version", ["5.0.4", "11.0.0", "", None])
def test_before_the_text_of_the_event_decides(version):
    patterns = [action["Filter"] for action in filter_actions(version, {"Cdr", "Hangup"})]
    passed = [event for event in EVENTS if any(re.search(pattern, event) for pattern in patterns)]
    assert passed == EVENTS[:2]


def test_a_name_with_a_hyphen_is_one():
    (action,) = filter_actions("11.0.0", ["AOC-D"])
    assert re.search(action["Filter"], "Event: AOC-D\r\n")
    (action,) = filter_actions("11.0.0", ["AOC"])
    assert not re.search(action["Filter"], "Event: AOC-D\r\n")


@pytest.mark.parametrize("name", ["", "Cdr)", "a,b", "Cdr.*", "C dr", "Cdr\r\nX: y"])
def test_what_is_no_event_name_is_refused(name):
    with pytest.raises(BadAction, match="event"):
        filter_actions("12.0.0", [name])


def test_a_filter_that_asterisk_refuses_is_said_with_what_is_missing():
    check([{"Response": "Success"}])
    with pytest.raises(AmiError, match=r"Permission denied.*write=system"):
        check([{"Response": "Error", "Message": "Permission denied"}])
