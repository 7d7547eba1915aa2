"""An action becomes bytes that Asterisk reads as they were meant, or is refused by its header."""

import pytest

from pbxlib.errors import BadAction
from pbxlib.message import serialize


def test_an_action_is_written_in_its_order_with_lists_as_repeated_headers():
    action = {
        "Action": "Originate",
        "Channel": "PJSIP/+4420",
        "Timeout": 60000,
        "Async": True,
        "Variable": ["A=1", ["B=Žaneta"]],
        "Other": {"C": "2"},
    }
    before = dict(action)
    assert serialize(action).decode() == (
        "Action: Originate\r\nChannel: PJSIP/+4420\r\nTimeout: 60000\r\nAsync: true\r\n"
        "Variable: A=1\r\nVariable: B=Žaneta\r\nOther: C=2\r\n\r\n"
    )
    assert action == before


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\nAction: Originate"])
@pytest.mark.parametrize(
    "shape",
    [
        lambda bad: {"Exten": f"100{bad}"},
        lambda bad: {"Exten": ["1", ["2", f"3{bad}4"]]},
        lambda bad: {"Exten": {"A": f"b{bad}c"}},
        lambda bad: {"Exten": {f"A{bad}c": "b"}},
        lambda bad: {f"Exten{bad}X": "100"},
    ],
    ids=["value", "nested list", "dict", "name in dict", "header"],
)
def test_a_header_cannot_be_injected(bad, shape):
    with pytest.raises(BadAction, match="Exten"):
        serialize({"Action": "Ping", **shape(bad)})


@pytest.mark.parametrize("name", ["", " Exten", "Exten ", "Exten: 1", "Ex:ten", 5, None])
def test_what_is_no_header_name_is_refused(name):
    with pytest.raises(BadAction, match="cannot be the name"):
        serialize({"Action": "Ping", name: "x"})


@pytest.mark.parametrize("value", [None, b"x", {1, 2}, "\ud800"])
def test_what_is_no_value_is_refused(value):
    with pytest.raises(BadAction, match="'Exten'"):
        serialize({"Action": "Ping", "Exten": value})


def test_what_asterisk_would_not_read_is_refused():
    assert len(serialize({"A": "x" * 1019})) == 1022 + 4
    with pytest.raises(BadAction, match="'A' makes a line of 1023 bytes"):
        serialize({"A": "x" * 1020})
    assert serialize({"A": ["x"] * 128})
    with pytest.raises(BadAction, match="129 headers"):
        serialize({"A": ["x"] * 129})
    with pytest.raises(BadAction, match="empty"):
        serialize({})
