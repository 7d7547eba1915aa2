"""Room in the outbox: to make it costs what is dropped, not what is there."""

import os
import re
import sqlite3

import pytest
from tests.unit.items import event

from pbxlib.outbox import Outbox


def steps_of_a_full_outbox(path, clock, rows, keep):
    """How many hundred steps SQLite's machine takes to write 1,000 items more, once it is full."""
    outbox = Outbox(path, rows, 10**9, clock=clock)
    outbox.put([event(number, keep=keep) for number in range(rows)])
    outbox.put([event(number, keep=keep) for number in range(1000)])
    hundreds = 0

    def count():
        nonlocal hundreds
        hundreds += 1

    queries = set()
    outbox._db.set_progress_handler(count, 100)
    outbox._db.set_trace_callback(queries.add)
    outbox.put([event(number, keep=keep) for number in range(1000)])
    outbox._db.set_trace_callback(None)
    outbox._db.set_progress_handler(None, 0)
    # Counting all rows is a single step, however many pages it reads.
    for query in [query for query in queries if query.startswith("SELECT")]:
        assert "Count" not in [row["opcode"] for row in outbox._db.execute(f"EXPLAIN {query}")]
    status = outbox.status()
    outbox.close()
    assert (status["depth"], status["dropped"]) == (rows, 2000)
    return hundreds


@pytest.mark.parametrize("keep", [60, None], ids=["a minute", "forever"])
def test_a_full_outbox_of_any_size_makes_room_for_the_same_price(tmp_path, clock, keep):
    small = steps_of_a_full_outbox(str(tmp_path / "small"), clock, 2_000, keep)
    large = steps_of_a_full_outbox(str(tmp_path / "large"), clock, 20_000, keep)
    assert large < 1.2 * small


def test_a_limit_that_is_lowered_by_much_holds_at_once(outbox):
    outbox.put([event(number, keep=60 if number % 2 else None) for number in range(5000)])
    outbox.limit(100, 100_000_000)
    outbox.put([event("last", keep=None)])
    assert outbox.status()["depth"] == 100


def test_all_that_was_dropped_is_told_in_the_end_and_not_twice_a_minute(outbox, clock, caplog):
    outbox.limit(1000, 100_000_000)
    for seconds in (0, 20, 30, 31):
        clock.tick(seconds)
        outbox.put([event(number) for number in range(1 if seconds == 31 else 1000)])
    told = [int(count) for count in re.findall(r"the (\d+) items least worth", caplog.text)]
    assert told == [1000, 1000]
    assert outbox.status()["dropped"] == sum(told)


def test_a_file_whose_rows_were_not_counted_yet_is_counted_once(outbox, path, clock):
    outbox.put([event(1), event(2)])
    outbox.close()
    before = sqlite3.connect(path)
    before.executescript(
        "DROP TRIGGER items_come; DROP TRIGGER items_go; DELETE FROM meta WHERE key = 'rows'"
    )
    before.close()
    reopened = Outbox(path, clock=clock)
    reopened.put([event(3)])
    assert reopened.status()["depth"] == 3
    reopened.close()


ROWS = 30_000


def stale(outbox, clock):
    clock.tick(61)
    outbox.open_batch(200, 512 * 1024)
    assert outbox.status()["stale"] == ROWS


def stale_beside_a_batch(outbox, clock):
    outbox.put([event(number) for number in range(200)])
    first = outbox.open_batch(100, 512 * 1024)
    clock.tick(61)
    following = outbox.prepare(50, 512 * 1024)
    outbox.settle(first.number, {item: ["done"] for item in first.ids}, 8, float, following)
    assert outbox.status()["stale"] == ROWS - 100


def past_a_limit(outbox, clock):
    outbox.limit(100, 100_000_000)
    outbox.put([event("last")])
    assert outbox.status()["depth"] == 100


def retried(outbox, clock):
    set_aside(outbox)
    assert outbox.retry() == ROWS
    assert outbox.status()["depth"] == ROWS


def dropped_by_a_person(outbox, clock):
    set_aside(outbox)
    assert outbox.drop() == ROWS
    assert outbox.status()["dropped"] == ROWS


def set_aside(outbox):
    outbox._db.execute("UPDATE items SET failed = 1")
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    "change", [stale, stale_beside_a_batch, past_a_limit, retried, dropped_by_a_person]
)
def test_a_change_of_the_whole_file_takes_no_room_as_large_as_the_file(path, clock, change):
    outbox = Outbox(path, 10**6, 10**9, clock=clock)
    outbox.put([event(number, keep=60, data={"text": "x" * 400}) for number in range(ROWS)])
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    change(outbox, clock)
    assert os.path.getsize(path + "-wal") < os.path.getsize(path) / 3
    outbox.close()


def test_the_log_of_a_large_commit_gives_its_room_back(path):
    outbox = Outbox(path)
    outbox.put([event(number, data={"text": "x" * 400}) for number in range(ROWS)])
    assert os.path.getsize(path + "-wal") > 10 * 1024 * 1024
    outbox.put([event("next")])
    assert os.path.getsize(path + "-wal") <= 8 * 1024 * 1024
    outbox.close()
