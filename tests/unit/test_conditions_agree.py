"""Odoo refuses what a PBX would refuse: two programs, one list of what a route may say."""

import importlib.util
from pathlib import Path

import pytest

from pbxlib import classes, events, settings

ADDON = Path(__file__).resolve().parents[2] / "odoo_glue/asterisk_plus"


def module(name):
    spec = importlib.util.spec_from_file_location(f"addon_{name}", ADDON / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


conditions = module("conditions")


def accepts(check, text):
    try:
        check(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["_METHODS", "_FILTERS", "_TESTS", "_NODES", "MAX_CONDITION"])
def test_the_addon_and_the_bridge_know_the_same_words(name):
    assert getattr(conditions, name) == getattr(events, name)


@pytest.mark.parametrize(
    ("accepted", "condition"),
    [
        (True, "event.Disposition == 'ANSWERED'"),
        (True, "event.A.startswith('x') and not event['B'] in ['c', 'd']"),
        (True, "event.A | int > 3 if event.B is defined else -1"),
        (True, "event.get('A', 'x')"),
        (True, "not " * 39 + "event.A"),
        (False, "not " * 45 + "event.A"),
        (False, "-" * 400 + "1"),
        (False, "(" * 300 + "event.A" + ")" * 300),
        (False, "event.A.startswith(*event.B)"),
        (False, "event.get(**event.B)"),
        (False, "event.A" * 200),
        (False, "event.A ==; event.B"),
        (False, "event.A == 1 %} x"),
        (False, "event.__class__"),
        (False, "event['A'].join(event)"),
        (False, "other.A"),
        (False, "range(10)"),
        (False, "event.A | join"),
        (False, "event.A is callable"),
        (False, "event.A ~ event.B"),
        (False, "event.A * 1000"),
        (False, "{'a': 1}"),
    ],
)
def test_a_condition_is_accepted_by_both_or_by_none(accepted, condition):
    assert accepts(events.compile_condition, condition) is accepted
    assert accepts(conditions.check_condition, condition) is accepted


@pytest.mark.parametrize(
    ("accepted", "keep"),
    [
        (True, "forever"),
        (True, "0s"),
        (True, "10"),
        (True, "1.5d"),
        (True, "16000w"),
        (False, "17000w"),
        (False, "999999999999d"),
        (False, "9" * 400),
        (False, "-1s"),
        (False, "10 years"),
        (False, "long"),
    ],
)
def test_a_duration_is_accepted_by_both_or_by_none(accepted, keep):
    assert accepts(settings.duration, keep) is accepted
    assert accepts(conditions.check_keep, keep) is accepted


@pytest.mark.parametrize(
    ("accepted", "delay"),
    [(True, 0.5), (True, 9e9), (False, 1e10), (False, -1.0), (False, float("nan"))],
)
def test_a_delay_is_accepted_by_both_or_by_none(accepted, delay):
    assert accepts(settings.duration, delay) is accepted
    assert accepts(conditions.check_seconds, delay) is accepted


def test_the_addon_knows_the_names_of_events_that_the_bridge_knows():
    assert set(classes._CLASS_OF) == module("event_names").DOCUMENTED
