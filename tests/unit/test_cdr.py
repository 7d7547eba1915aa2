"""Call records: their times in UTC, also in the hour that a year has twice."""

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbxlib.cdr import in_utc

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
FORMAT = "%Y-%m-%d %H:%M:%S"


def record(start, duration=0, billsec=0, zone=BERLIN, **others):
    """A ``Cdr`` event of a call that started at epoch ``start``, as a PBX in ``zone`` sends it."""

    def local(epoch):
        return datetime.datetime.fromtimestamp(epoch, zone).strftime(FORMAT)

    return {
        "Event": "Cdr",
        "UniqueID": f"{start}.42",
        "StartTime": local(start),
        "AnswerTime": local(start + duration - billsec) if billsec else "",
        "EndTime": local(start + duration),
        "Duration": str(duration),
        "BillableSeconds": str(billsec),
        **others,
    }


def utc(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime(FORMAT)


def test_local_times_become_utc_and_the_rest_stays():
    event = record(1_750_000_000, duration=60, billsec=50, Source="101")
    found = in_utc(event, BERLIN)
    assert found["StartTime"] == "2025-06-15 15:06:40"
    assert found["AnswerTime"] == "2025-06-15 15:06:50"
    assert found["EndTime"] == "2025-06-15 15:07:40"
    assert found["Source"] == "101"
    assert event["StartTime"] == "2025-06-15 17:06:40", "the event itself is left alone"


def test_the_time_of_an_answer_that_never_came_stays_empty():
    assert in_utc(record(1_750_000_000, duration=10), BERLIN)["AnswerTime"] == ""


@given(
    # Around the end of summer time in Berlin: 2025-10-26 01:00 UTC.
    st.integers(1_761_440_400 - 7200, 1_761_440_400 + 7200),
    st.integers(0, 7200),
    st.integers(0, 7200),
)
def test_in_the_hour_that_comes_twice_the_durations_tell_which_it_is(start, duration, billsec):
    billsec = min(billsec, duration)
    found = in_utc(record(start, duration, billsec), BERLIN)
    assert found["StartTime"] == utc(start)
    assert found["EndTime"] == utc(start + duration)
    assert found["AnswerTime"] == (utc(start + duration - billsec) if billsec else "")


def test_a_system_name_before_the_unique_id_is_allowed_for():
    start = 1_761_440_400 + 600
    event = record(start, UniqueID=f"pbx-1-{start}.7")
    assert in_utc(event, BERLIN)["StartTime"] == utc(start)


def test_the_zone_is_the_systems_own_when_none_is_told(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert in_utc({"StartTime": "2025-06-15 05:30:00"})["StartTime"] == "2025-06-15 00:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    ["not a time", "2025-13-01 00:00:00", "0001-01-01 00:00:00", ["a", "b"], "9999-12-31 23:59:59"],
)
def test_what_is_no_time_stays_as_it_is(value):
    zone = datetime.timezone(datetime.timedelta(hours=14 if str(value)[0] == "0" else -12))
    assert in_utc({"UniqueID": "x", "StartTime": value}, zone)["StartTime"] == value


@given(
    st.dictionaries(
        st.sampled_from(["UniqueID", "StartTime", "EndTime", "Duration", "BillableSeconds"]),
        st.one_of(st.text(), st.none(), st.lists(st.text()), st.floats().map(str)),
    )
)
def test_no_record_is_too_odd_to_pass(event):
    assert set(in_utc(event)) == set(event)
