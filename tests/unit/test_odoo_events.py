"""The external pillar: what a PBX can use of the map that Odoo answers."""

import importlib.util
import logging
from pathlib import Path

import pytest

from pbxlib.errors import PbxError

SOURCE = Path(__file__).resolve().parents[2] / "_pillar/odoo_events.py"
OWN = {"model": "asterisk_plus.call", "method": "create_cdrs", "batch": True, "keep": "forever"}
THEIRS = {"model": "my.call", "method": "on_cdr"}


@pytest.fixture(scope="module")
def pillar():
    spec = importlib.util.spec_from_file_location("odoo_events", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(**maps):
    return {"serial": "1", "events": {}, "bus_events": {}, **maps}


@pytest.mark.parametrize(
    "fault",
    [
        {"condition": "event.A.startswith(*event.B)"},
        {"keep": "999999999999d"},
        {"delay": 1e11},
        {"unknown": 1},
    ],
)
def test_a_route_that_is_wrong_is_left_out_alone_and_said(pillar, caplog, fault):
    given = answer(events={"Cdr": [OWN, {**THEIRS, **fault}], "Hangup": [THEIRS]})

    with caplog.at_level(logging.WARNING):
        known = pillar._checked(given)

    assert known == answer(events={"Cdr": [OWN], "Hangup": [THEIRS]})
    assert "route of Cdr to ('my.call', 'on_cdr') is left out" in caplog.text


def test_a_name_without_a_usable_route_is_left_out(pillar):
    bad = {**THEIRS, "condition": "event.A =="}
    given = answer(events={"Cdr": [bad], "AOC D": [OWN]}, bus_events={"salt/*": [bad]})
    assert pillar._checked(given, any_name=True) == answer()


def test_an_event_that_asterisk_does_not_document_takes_an_account_that_may_read_it(pillar, caplog):
    given = answer(events={"DongleStatus": [THEIRS]}, bus_events={"any/tag": [THEIRS]})

    with caplog.at_level(logging.WARNING):
        known = pillar._checked(given)

    assert known == answer(bus_events={"any/tag": [THEIRS]})
    assert "DongleStatus are left out: Asterisk has no such event" in caplog.text
    assert pillar._checked(given, any_name=True) == given


@pytest.mark.parametrize(
    "other", [None, {"serial": 1}, answer(events=[]), answer(events={"Cdr": OWN})]
)
def test_an_answer_of_another_form_is_refused(pillar, other):
    with pytest.raises(PbxError, match="in another form"):
        pillar._checked(other)
