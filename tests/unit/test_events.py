"""The event map: which events are wanted, and what a condition may say."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbxlib.errors import SettingsError
from pbxlib.events import ROUTE_KEYS, EventMap, compile_condition

ROUTE = {"model": "my.channel", "method": "on_state"}


def route(**others):
    return EventMap({"Newstate": [{**ROUTE, **others}]}).events["Newstate"][0]


def problems(events=None, bus_events=None):
    with pytest.raises(SettingsError) as caught:
        EventMap(events, bus_events)
    return caught.value.problems


# Routing


def test_an_event_goes_to_the_routes_of_its_name_in_their_order():
    events = EventMap(
        {"Cdr": [{"model": "a.b", "method": "one"}, {"model": "a.b", "method": "two"}]}
    )
    assert [found.method for found in events.routes({"Event": "Cdr"})] == ["one", "two"]
    assert events.routes({"Event": "Newchannel"}) == []
    assert events.wanted == {"Cdr"}


def test_a_name_may_have_a_hyphen():
    assert list(EventMap({"AOC-D": [{"model": "x.y", "method": "m"}]}).events) == ["AOC-D"]


def test_a_disabled_route_is_not_wanted():
    assert EventMap({"Cdr": [{**ROUTE, "enabled": False}]}).wanted == frozenset()


def test_a_route_without_a_model_matches_for_the_bus_only():
    (found,) = EventMap({"Cdr": [{}]}).routes({"Event": "Cdr"})
    assert found.model is None


def test_bus_events_match_by_glob():
    events = EventMap(bus_events={"salt/minion/*/start": [ROUTE]})
    ((pattern, found),) = events.bus_routes("salt/minion/pbx1/start", {})
    assert pattern == "salt/minion/*/start"
    assert found.method == "on_state"
    assert events.bus_routes("salt/minion/pbx1/stop", {}) == []


def test_a_bus_event_has_its_tag_on_the_way_to_odoo():
    events = EventMap(bus_events={"a/*": [ROUTE, {}]})
    (item,) = events.bus_items("a/b", {"id": "pbx1"})
    assert (item["name"], item["data"]) == ("a/*", {"id": "pbx1", "tag": "a/b"})


def test_fields_choose_what_is_sent():
    found = route(fields=["Channel", "Absent"])
    item = found.item("Newstate", {"Event": "Newstate", "Channel": "PJSIP/1", "Secret": "x"})
    assert item["data"] == {"Channel": "PJSIP/1"}


def test_latest_by_keeps_different_values_apart():
    found = route(latest_by="Channel")
    one, two = (found.item("Newstate", {"Channel": channel})["latest"] for channel in "ab")
    assert one != two
    assert found.item("Newstate", {"Channel": "a", "State": "Up"})["latest"] == one


def test_keep_is_the_routes_own_or_the_default():
    events = EventMap(
        {"A": [{**ROUTE, "keep": "10s"}, ROUTE, {**ROUTE, "keep": "forever"}]}, keep=9
    )
    assert [found.keep for found in events.events["A"]] == [10, 9, None]


# Faults


def test_every_fault_is_named_with_its_path():
    assert [
        line.rsplit(": ", 1)[0].split(": ")[0]
        for line in problems(
            {
                "Cdr": [{"model": "a.b", "method": "c", "condition": "event.", "keep": "soon"}],
                "Hangup": {"model": "a.b", "method": "c"},
                "No such": [ROUTE],
            },
            {"a/*": [{"model": "a.b", "batch": "yes", "colour": 1}, "x"]},
        )
    ] == [
        "asterisk:events:Cdr:0:keep",
        "asterisk:events:Cdr:0:condition",
        "asterisk:events:Hangup",
        "asterisk:events:No such",
        "asterisk:bus_events:a/*:0:colour",
        "asterisk:bus_events:a/*:0",
        "asterisk:bus_events:a/*:0:batch",
        "asterisk:bus_events:a/*:1",
    ]


def test_a_delay_without_end_is_refused():
    (line,) = problems({"Cdr": [{**ROUTE, "delay": "forever"}]})
    assert line.startswith("asterisk:events:Cdr:0:delay: ")


# Conditions


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("event.ChannelStateDesc == 'Up'", True),
        ("event.ChannelStateDesc == 'Down'", False),
        ("event.ChannelStateDesc == 'Up' and not event.Channel.startswith('Local/')", True),
        ("event.Duration | int > 5", True),
        ("event.Exten in ('100', '101')", True),
        ("event['Caller-ID'] == 'x'", True),
        ("event.Missing is defined", False),
        ("event.Missing == 'x'", False),
        ("event.get('Missing', 'y') == 'y'", True),
        ("'up' if event.Exten else 'down'", True),
    ],
)
def test_a_condition_is_an_expression_over_the_event(condition, matches):
    event = {
        "Event": "Newstate",
        "ChannelStateDesc": "Up",
        "Channel": "PJSIP/100-00000001",
        "Duration": "7",
        "Exten": "100",
        "Caller-ID": "x",
    }
    assert route(condition=condition).matches(event) is matches


@pytest.mark.parametrize(
    "condition",
    [
        "event.__class__",
        "event['a'].__class__.__mro__",
        "''.join.__globals__",
        "event.keys()",
        "event.pop('a')",
        "event.x.format(event)",
        "cycler.__init__.__globals__.os.popen('id')",
        "range(1000000000)",
        "lipsum(10000)",
        "namespace(a=1)",
        "'x' * 1000000000",
        "'x' ~ 'y'",
        "2 ** 100000",
        "event.A + event.A",
        "event.A % (1,)",
        "event.A[0:9]",
        "event.A | replace('a', 'aaaa')",
        "event.A | attr('__class__')",
        "event.A | map('upper')",
        "event.A | format(1)",
        "event.A | center(100000000)",
        "event.A | indent(100000000)",
        "event.A is callable",
        "{'a': event}",
        "event.get(**event)",
        "event.get(*event.A)",
        "(" * 480 + "1" + ")" * 480,
        "not " * 240 + "1",
        "-" * 900 + "1",
        "1 if 1 else " * 80 + "1",
        "x" * 2000,
        "event.A == ",
        "event.A == 'a' 'b'; import os",
        "{% for a in event %}{% endfor %}",
        "}} {{ event",
        "",
    ],
)
def test_a_hostile_or_broken_condition_is_refused(condition):
    with pytest.raises(ValueError, match=r"\w"):
        compile_condition(condition)


@pytest.mark.parametrize("condition", ["event['__class__']", "event['A']['__class__']['__mro__']"])
def test_the_sandbox_shows_no_attributes_by_way_of_items(condition):
    assert not route(condition=condition).matches({"A": "x"})


@pytest.mark.parametrize("condition", [7, True, ["event.A"], {"a": 1}])
def test_a_condition_that_is_no_text_is_refused(condition):
    (line,) = problems({"Cdr": [{**ROUTE, "condition": condition}]})
    assert line.startswith("asterisk:events:Cdr:0:condition: ")


def test_a_condition_that_fails_counts_as_not_matched_and_is_logged_once(caplog):
    found = route(condition="event.Missing.startswith('x')")
    with caplog.at_level(logging.WARNING):
        assert [found.matches({"Event": "Newstate"}) for _ in range(3)] == [False] * 3
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == [
        "asterisk:events:Newstate:0:condition"
    ]


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text):
    try:
        condition = compile_condition(text)
    except ValueError:
        return
    EventMap({"A": [{**ROUTE, "condition": text}]}).routes({"Event": "A", "B": "c"})
    assert condition is not None


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(ROUTE_KEYS) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON)
def test_any_shape_of_a_map_is_a_map_or_refused_by_path(shape):
    lines = []
    try:
        EventMap({"Cdr": shape})
    except SettingsError as error:
        lines = error.problems
    assert all(line.startswith("asterisk:events:Cdr") for line in lines)
