"""Delivery: what is in the outbox takes effect in Odoo once, whatever breaks."""

import contextlib
import logging
import threading

import pytest
from tests.unit.items import event, numbers

from pbxlib.delivery import LONE_TRIES, Delivery
from pbxlib.doorbell import Doorbell, wake
from pbxlib.errors import (
    OdooBroke,
    OdooConflict,
    OdooFailed,
    OdooRefused,
    OdooTimeout,
    OdooUnreachable,
)


@pytest.fixture
def bell(outbox, path):
    doorbell = Doorbell(path)
    yield doorbell
    doorbell.close()


@pytest.fixture
def serials():
    return []


@pytest.fixture
def delivery(outbox, bell, resolved, serials):
    return Delivery(outbox, bell, "pbx1", resolved, serials.append)


@pytest.fixture
def running(delivery, path):
    """The delivery in a thread of its own."""
    thread = threading.Thread(target=delivery.run)
    thread.start()
    yield delivery
    delivery.stop()
    wake(path)
    thread.join()


def quick(resolved, **odoo):
    """Other settings for Odoo, as a changed pillar brings them."""
    return {**resolved, "odoo": {**resolved["odoo"], **odoo}}


def steps(delivery, count, *expected):
    """Step ``count`` times; errors that are not ``expected`` fail the test."""
    for _ in range(count):
        with contextlib.suppress(*expected):
            delivery.step()


def work(delivery, outbox, *expected):
    """Step until nothing waits; errors that are not ``expected`` fail the test."""
    for _ in range(40):
        if not outbox.status()["depth"]:
            return
        steps(delivery, 1, *expected)
    raise AssertionError(f"items still wait: {outbox.status()}")


# The plain case


def test_items_take_effect_in_their_order(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(3)])
    delivery.step()
    assert numbers(odoo.applied) == [0, 1, 2]
    assert outbox.status()["depth"] == 0


def test_an_item_that_comes_is_sent_without_waiting_for_a_heartbeat(running, outbox, odoo):
    odoo.wait_for(lambda odoo: odoo.heartbeats == 1)
    outbox.put([event(1)])
    odoo.wait_for(lambda odoo: numbers(odoo.applied) == [1])


def test_an_idle_sender_sends_heartbeats_and_they_change_nothing(
    running, outbox, odoo, resolved, path
):
    running.configure(quick(resolved, heartbeat=0.02))
    wake(path)
    odoo.wait_for(lambda odoo: odoo.heartbeats >= 3)
    assert odoo.batches == []


def test_the_serial_of_the_event_map_is_told_with_every_answer(delivery, outbox, odoo, serials):
    outbox.put([event(1)])
    delivery.step()
    odoo.serial = "s2"
    outbox.put([event(2)])
    delivery.step()
    assert serials == ["s1", "s2"]


def test_a_bus_that_does_not_take_the_serial_does_not_stop_the_delivery(
    outbox, bell, resolved, odoo
):
    def broken(_serial):
        raise RuntimeError("the bus is away")

    outbox.put([event(1)])
    Delivery(outbox, bell, "pbx1", resolved, broken).step()
    assert outbox.status()["delivered"] == 1


def test_a_delayed_item_goes_when_its_time_has_come(delivery, outbox, odoo, clock):
    outbox.put([event(1, delay=5), event(2)])
    delivery.step()
    assert numbers(odoo.applied) == [2]
    clock.tick(5)
    delivery.step()
    assert numbers(odoo.applied) == [2, 1]


# Lost answers


@pytest.mark.parametrize("trouble", ["lose", "close"])
def test_after_a_lost_answer_each_item_still_takes_effect_once(delivery, outbox, odoo, trouble):
    outbox.put([event(number) for number in range(4)])
    odoo.then(trouble)
    work(delivery, outbox, OdooBroke)
    assert numbers(odoo.applied) == [0, 1, 2, 3]
    assert outbox.status()["depth"] == outbox.status()["failed"] == 0


def test_while_odoo_is_away_the_batch_stays_as_it_is_under_its_number(delivery, outbox, odoo):
    outbox.put([event(1)])
    odoo.then("lose")
    steps(delivery, 1, OdooBroke)
    odoo.stop()
    outbox.put([event(2)])
    steps(delivery, 3, OdooUnreachable)
    odoo.start()
    delivery.step()
    (one, first, ids), (two, second, again) = odoo.batches[:2]
    assert (one, first, ids) == (two, second, again)
    delivery.step()
    assert numbers(odoo.applied) == [1, 2]


def test_a_sender_that_starts_anew_repeats_the_unanswered_batch(outbox, bell, resolved, odoo):
    outbox.put([event(1), event(2)])
    odoo.then("lose")
    steps(Delivery(outbox, bell, "pbx1", resolved, print), 1, OdooBroke)
    Delivery(outbox, bell, "pbx1", resolved, print).step()
    assert [number for _outbox, number, _items in odoo.batches] == [1, 1]
    assert numbers(odoo.applied) == [1, 2]


def test_after_a_shrunk_batch_the_answer_to_the_whole_one_settles_all(
    delivery, outbox, odoo, resolved
):
    delivery.configure(quick(resolved, read_timeout=1.0))
    outbox.put([event(number) for number in range(4)])
    odoo.then("apply and hang")
    delivery.step()
    delivery.step()
    assert [len(items) for _outbox, _number, items in odoo.batches] == [4, 1]
    assert numbers(odoo.applied) == [0, 1, 2, 3]
    assert outbox.status()["delivered"] == 4
    outbox.put([event(number) for number in range(4, 6)])
    delivery.step()
    assert len(odoo.batches[-1][2]) == 2, "nothing of the batch is left to go alone"


# Batches that are to blame


def test_a_batch_that_is_too_large_is_halved_until_it_passes(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(4)])
    odoo.then(413, 413)
    work(delivery, outbox)
    assert numbers(odoo.applied) == [0, 1, 2, 3]
    assert [len(items) for _outbox, _number, items in odoo.batches] == [1, 2, 1]


def test_batches_grow_again_after_one_was_shrunk(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(600)])
    odoo.then(413, 413, 413)
    work(delivery, outbox)
    sizes = [len(items) for _outbox, _number, items in odoo.batches]
    assert sizes == [25, 50, 100, 200, 200, 25]
    assert numbers(odoo.applied) == list(range(600))


def test_an_item_that_alone_is_too_large_is_set_aside(delivery, outbox, odoo):
    outbox.put([event(1), event(2)])
    odoo.then(413, 413)
    work(delivery, outbox)
    assert numbers(odoo.applied) == [2]
    (failed,) = outbox.failed()
    assert failed["data"] == {"number": 1}
    assert "size" in failed["error"]


def test_the_items_of_a_batch_that_times_out_go_alone_until_the_one_that_hangs_is_set_aside(
    delivery, outbox, odoo, resolved
):
    delivery.configure(quick(resolved, read_timeout=1.0))
    outbox.put([event(number) for number in range(16)])
    odoo.then("hang", "ok", "ok", "ok", *["hang"] * LONE_TRIES)
    work(delivery, outbox, OdooTimeout)
    assert numbers(odoo.applied) == [0, 1, 2, *range(4, 16)]
    assert numbers(outbox.failed()) == [3]
    assert [len(items) for _outbox, _number, items in odoo.batches] == [1, 1, 1, 1, 2, 4, 5]


def test_after_a_batch_that_timed_out_and_has_no_item_that_hangs_batches_grow_again(
    delivery, outbox, odoo, resolved
):
    delivery.configure(quick(resolved, read_timeout=1.0))
    outbox.put([event(number) for number in range(3)])
    odoo.then("hang")
    delivery.step()
    outbox.put([event(number) for number in range(3, 8)])
    work(delivery, outbox, OdooTimeout)
    assert numbers(odoo.applied) == list(range(8))
    assert [len(items) for _outbox, _number, items in odoo.batches] == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("trouble", [502, "close", 500])
def test_the_items_of_a_batch_that_breaks_odoo_go_alone_and_one_is_at_last_set_aside(
    delivery, outbox, odoo, trouble
):
    outbox.put([event(1), event(2)])
    odoo.then(*[trouble] * (1 + LONE_TRIES))
    work(delivery, outbox, OdooBroke, OdooFailed)
    assert numbers(odoo.applied) == [2]
    assert numbers(outbox.failed()) == [1]


def test_an_item_in_conflict_with_something_lets_the_others_pass_and_comes_again(
    delivery, outbox, odoo, clock
):
    outbox.put([event(1), event(2)])
    locked = {"name": "psycopg2.errors.LockNotAvailable", "message": "could not obtain lock"}
    odoo.then(*[{"status": 500, "error": locked}] * 2)
    steps(delivery, 5, OdooConflict)
    assert numbers(odoo.applied) == [2]
    assert outbox.status()["failed"] == 0
    clock.tick(60)
    work(delivery, outbox)
    assert numbers(odoo.applied) == [2, 1]


def test_a_restart_of_odoo_in_mid_batch_sets_no_item_aside(delivery, outbox, odoo):
    outbox.put([event(1)])
    odoo.then("close")
    steps(delivery, 1, OdooBroke)
    odoo.stop()
    steps(delivery, 10, OdooUnreachable)
    odoo.start()
    delivery.step()
    assert numbers(odoo.applied) == [1]


def test_a_proxy_that_answers_while_odoo_is_away_sets_no_item_aside(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(4)])
    odoo.away = 502
    steps(delivery, 20, OdooBroke)
    assert outbox.status()["failed"] == 0
    odoo.away = None
    work(delivery, outbox, OdooBroke)
    assert numbers(odoo.applied) == [0, 1, 2, 3]


def test_an_unreachable_odoo_shrinks_nothing(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(4)])
    odoo.stop()
    steps(delivery, 5, OdooUnreachable)
    odoo.start()
    delivery.step()
    assert [len(items) for _outbox, _number, items in odoo.batches] == [4]


# Items that fail


def test_a_failed_item_stops_nobody_and_comes_again_after_its_pause(delivery, outbox, odoo, clock):
    odoo.handler = lambda item: ["failed", "busy"] if item["data"]["number"] == 1 else ["done"]
    outbox.put([event(number) for number in range(3)])
    delivery.step()
    assert numbers(odoo.applied) == [0, 2]
    odoo.handler = lambda item: ["done"]
    clock.tick(1)
    delivery.step()
    assert numbers(odoo.applied) == [0, 2, 1]


def test_an_item_that_fails_too_often_is_set_aside_with_odoos_words(delivery, outbox, odoo, clock):
    odoo.handler = lambda item: ["failed", "no partner"]
    outbox.put([event(1)])
    for _ in range(8):
        delivery.step()
        clock.tick(10)
    assert outbox.open_batch(10, 1000) is None
    assert [item["error"] for item in outbox.failed()] == ["no partner"]


def test_failures_are_logged_once_a_batch_with_the_first_of_them(delivery, outbox, odoo, caplog):
    odoo.handler = lambda item: ["failed", f"no partner for {item['data']['number']}"]
    outbox.put([event(number) for number in range(20)])
    with caplog.at_level(logging.WARNING):
        delivery.step()
    (record,) = caplog.records
    assert "no partner for 0" in record.getMessage()
    assert "20 items" in record.getMessage()


def test_what_odoo_had_no_time_for_is_sent_next(delivery, outbox, odoo):
    odoo.handler = lambda item: ["done"] if item["data"]["number"] < 2 else None
    outbox.put([event(number) for number in range(4)])
    delivery.step()
    odoo.handler = lambda item: ["done"]
    delivery.step()
    assert [number for _outbox, number, _items in odoo.batches] == [1, 2]
    assert numbers(odoo.applied) == [0, 1, 2, 3]


def test_an_odoo_that_answers_for_no_item_is_not_asked_without_a_pause(delivery, outbox, odoo):
    odoo.handler = lambda item: None
    outbox.put([event(1)])
    with pytest.raises(OdooFailed, match="none of its items"):
        delivery.step()
    assert outbox.status()["depth"] == 1


def test_an_item_that_went_stale_while_odoo_was_away_is_not_sent_late(
    delivery, outbox, odoo, clock
):
    outbox.put([event(1, keep=10), event(2)])
    odoo.stop()
    steps(delivery, 1, OdooUnreachable)
    clock.tick(60)
    odoo.start()
    delivery.step()
    assert numbers(odoo.applied) == [2]
    assert outbox.status()["stale"] == 1


# The batch that follows


def test_a_backlog_goes_in_order_in_whole_batches_of_rising_numbers(delivery, outbox, odoo):
    outbox.put([event(number) for number in range(900)])
    work(delivery, outbox)
    assert numbers(odoo.applied) == list(range(900))
    assert [(number, len(ids)) for _outbox, number, ids in odoo.batches] == [
        (1, 200), (2, 200), (3, 200), (4, 200), (5, 100)
    ]  # fmt: skip


def test_a_backlog_keeps_its_order_when_odoo_has_no_time_for_all_of_a_batch(delivery, outbox, odoo):
    passed = iter([50])
    odoo.handler = lambda item: (
        None if item["data"]["number"] == 150 and next(passed, None) else ["done"]
    )
    outbox.put([event(number) for number in range(600)])
    work(delivery, outbox)
    assert sorted(numbers(odoo.applied)) == list(range(600))
    assert numbers(odoo.applied)[199] == 150


def test_the_batch_that_follows_is_sent_again_after_a_kill(outbox, bell, resolved, odoo):
    outbox.put([event(number) for number in range(400)])
    Delivery(outbox, bell, "pbx1", resolved, print).step()
    work(Delivery(outbox, bell, "pbx1", resolved, print), outbox)
    assert numbers(odoo.applied) == list(range(400))
    assert [number for _outbox, number, _ids in odoo.batches] == [1, 2]


# Copies


def test_a_restored_outbox_starts_anew_and_delivers_what_odoo_lacks(delivery, outbox, odoo, caplog):
    outbox.put([event(1)])
    delivery.step()
    mark, answers = odoo._mailboxes[outbox.id]
    odoo._mailboxes[outbox.id] = (mark + 5, answers)
    outbox.put([event(2)])
    before = outbox.id
    delivery.step()
    delivery.step()
    assert outbox.id != before
    assert numbers(odoo.applied) == [1, 2]
    assert "restored or copied" in caplog.text


def test_of_two_clones_neither_swallows_what_the_other_sent(delivery, outbox, odoo, caplog):
    outbox.put([event(1)])
    # The clone used this outbox id and this number for an item of its own.
    odoo._mailboxes[outbox.id] = (1, {"0123456789abcdef": ["done"]})
    before = outbox.id
    steps(delivery, 2)
    assert outbox.id != before
    assert numbers(odoo.applied) == [1]


# Trouble that a person mends


def test_an_odoo_that_is_away_is_logged_once_and_its_return_too(running, outbox, odoo, caplog):
    caplog.set_level(logging.INFO, "pbxlib.delivery")
    odoo.wait_for(lambda odoo: odoo.heartbeats == 1)
    odoo.stop()
    outbox.put([event(1)])
    _until(lambda: outbox.status().get("error"))
    failures = outbox.status()["next_try"]
    _until(lambda: outbox.status()["next_try"] > failures)
    odoo.start()
    odoo.wait_for(lambda odoo: numbers(odoo.applied) == [1])
    _until(lambda: outbox.status()["error"] is None)
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "cannot be reached" in text]) == 1
    assert texts[-1] == "Odoo answers again"


def _until(condition, timeout=30):
    """Wait for what another process's eyes would see: there is no event for it."""
    deadline = threading.Event()
    for _ in range(int(timeout / 0.005)):
        if condition():
            return
        deadline.wait(0.005)
    raise AssertionError(f"not within {timeout} s")


def test_a_changed_setting_is_tried_at_once(outbox, bell, resolved, odoo, path):
    wrong = quick(resolved, api_key="wrong")
    wrong["outbox"] = {**resolved["outbox"], "retry_first": 3600.0, "retry_cap": 3600.0}
    delivery = Delivery(outbox, bell, "pbx1", wrong, print)
    thread = threading.Thread(target=delivery.run)
    thread.start()
    outbox.put([event(1)])
    _until(lambda: "asterisk:odoo:api_key" in (outbox.status().get("error") or ""))
    delivery.configure(resolved)
    wake(path)
    odoo.wait_for(lambda odoo: numbers(odoo.applied) == [1])
    delivery.stop()
    wake(path)
    thread.join()


def test_a_changed_setting_is_tried_at_once_with_nothing_to_send(
    running, outbox, odoo, resolved, path
):
    odoo.wait_for(lambda odoo: odoo.heartbeats == 1)
    running.configure(quick(resolved, api_key="wrong"))
    wake(path)
    _until(lambda: "asterisk:odoo:api_key" in (outbox.status().get("error") or ""))


def test_items_that_come_do_not_shorten_a_pause(outbox, bell, resolved, odoo, path):
    resolved["outbox"].update(retry_first=3600.0, retry_cap=3600.0)
    odoo.then(*[403] * 10)
    delivery = Delivery(outbox, bell, "pbx1", resolved, print)
    thread = threading.Thread(target=delivery.run)
    outbox.put([event(1)])
    thread.start()
    _until(lambda: outbox.status().get("error"))
    for number in range(5):
        outbox.put([event(number)])
    delivery.stop()
    wake(path)
    thread.join()
    assert len(odoo.requests) == 1


def test_the_same_fault_after_a_change_of_settings_is_said_again(
    delivery, outbox, resolved, caplog
):
    delivery._await_retry = lambda _seconds: None
    for key in ("wrong", "wrong", "wrong too"):
        delivery.configure(quick(resolved, api_key=key))
        with pytest.raises(OdooRefused) as caught:
            delivery.step()
        delivery._failed(caught.value)
    assert len([r for r in caplog.records if "asterisk:odoo:api_key" in r.getMessage()]) == 2


def test_an_error_that_an_earlier_process_left_is_cleared_by_the_first_answer(
    delivery, outbox, odoo
):
    outbox.note(error="Odoo cannot be reached", next_try=1.0)
    outbox.put([event(1)])
    delivery.step()
    assert outbox.status()["error"] is None
    assert outbox.status()["next_try"] is None


@pytest.mark.parametrize(
    "result",
    [
        None,
        False,
        [],
        {},
        {"mark": 1},
        {"mark": 1, "answers": []},
        {"mark": 1, "answers": {"a": "done"}},
    ],
)
def test_an_answer_of_another_form_is_an_error_not_a_crash(delivery, outbox, odoo, result):
    outbox.put([event(1)])
    odoo.then({"result": result})
    with pytest.raises(OdooFailed, match="versions"):
        delivery.step()
    assert outbox.status()["depth"] == 1


def test_a_full_disk_is_waited_out(running, outbox, odoo, caplog):
    odoo.wait_for(lambda odoo: odoo.heartbeats == 1)
    with outbox._lock:
        outbox._db.execute(
            "CREATE TEMP TRIGGER full BEFORE UPDATE ON items BEGIN"
            " SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    outbox.put([event(1)])
    _until(lambda: "disk is full" in caplog.text)
    with outbox._lock:
        outbox._db.execute("DROP TRIGGER full")
    odoo.wait_for(lambda odoo: numbers(odoo.applied) == [1])
