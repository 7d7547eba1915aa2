"""What a person reads about ages, times and the outbox."""

import pytest

from pbxlib import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.4, "59 s"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7503, "2 h 5 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds, text):
    assert words.span(seconds) == text


def test_an_empty_outbox_is_told_with_its_last_batch():
    status = {"depth": 0, "failed": 0, "oldest": None, "answered": 1000.0}
    assert words.of_outbox(status, 1008.0) == "0 items wait; Odoo took the last batch 8 s ago"


def test_trouble_is_told_with_the_next_try(monkeypatch):
    monkeypatch.setattr(words, "moment", lambda epoch: f"@{epoch:.0f}")
    status = {
        "depth": 3,
        "failed": 2,
        "oldest": 75.0,
        "answered": 900.0,
        "error": "Odoo at https://odoo cannot be reached",
        "next_try": 1030.0,
    }
    assert words.of_outbox(status, 1000.0) == (
        "3 items wait, the oldest for 1 min 15 s; 2 are set aside: see asterisk.outbox_failed; the "
        "last try failed: Odoo at https://odoo cannot be reached; the next is at @1030, in 30 s"
    )


def test_the_rate_is_that_of_the_last_minute(outbox, clock):
    from tests.unit.items import event

    for _ in range(3):
        outbox.put([event(number) for number in range(20)])
        batch = outbox.open_batch(100, 1_000_000)
        outbox.settle(batch.number, {item["id"]: ["done"] for item in batch.items}, 8, float)
        clock.tick(1)
    assert outbox.status()["rate"] == 1.0
    clock.tick(60)
    assert outbox.status()["rate"] == 0
