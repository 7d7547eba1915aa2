"""Batches: to send one costs what is in it, not what waits behind it."""

from tests.unit.items import event

from pbxlib.outbox import Outbox


def steps_of_a_batch(path, clock, rows, aside=0):
    """How many hundred steps SQLite's machine takes for two batches of 100, with a backlog, and
    with so many items set aside before it."""
    outbox = Outbox(path, clock=clock)
    outbox.put([event(number) for number in range(aside)])
    outbox._db.execute("UPDATE items SET failed = 1")
    outbox.put([event(number, keep=60 if number % 2 else None) for number in range(rows)])
    hundreds = 0

    def count():
        nonlocal hundreds
        hundreds += 1

    outbox._db.set_progress_handler(count, 100)
    batch = outbox.open_batch(100, 10**6)
    following = outbox.prepare(100, 10**6)
    answers = {item: ["done"] for item in batch.ids}
    batch = outbox.settle(batch.number, answers, 8, float, following)
    outbox.settle(batch.number, {item: ["done"] for item in batch.ids}, 8, float)
    outbox._db.set_progress_handler(None, 0)
    assert (outbox.status()["delivered"], outbox.status()["depth"]) == (200, rows - 200)
    outbox.close()
    return hundreds


def test_a_batch_costs_the_same_whatever_waits_behind_it(tmp_path, clock):
    few = steps_of_a_batch(str(tmp_path / "few"), clock, 1_000)
    many = steps_of_a_batch(str(tmp_path / "many"), clock, 20_000)
    assert many < 1.2 * few


def test_a_batch_costs_the_same_whatever_was_set_aside(tmp_path, clock):
    none = steps_of_a_batch(str(tmp_path / "none"), clock, 1_000)
    many = steps_of_a_batch(str(tmp_path / "many"), clock, 1_000, aside=20_000)
    assert many < 1.2 * none
