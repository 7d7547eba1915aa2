"""The outbox: what is committed stays, leaves in order, and leaves once."""

import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.items import event, numbers

from pbxlib.doorbell import Doorbell, wake
from pbxlib.errors import OutboxError
from pbxlib.outbox import Outbox
from pbxlib.plain import dumps

UTILS = os.path.join(os.path.dirname(__file__), "..", "..", "_utils")


def sent(outbox, items=200, size=1_000_000):
    """The numbers of the events in the batch that is due, or None."""
    batch = outbox.open_batch(items, size)
    return batch and numbers(batch.items)


def settle(outbox, answer=("done",), tries=8, pause=lambda failures: 10 * failures):
    """Answer every item of the open batch alike; the numbers of its events."""
    batch = outbox.open_batch(200, 1_000_000)
    answers = {item["id"]: list(answer) for item in batch.items}
    outbox.settle(batch.number, answers, tries, pause)
    return numbers(batch.items)


def writer(script, path, *arguments):
    """A process that runs ``script`` with ``outbox`` and ``event`` at hand."""
    head = (
        "import sys; from pbxlib.outbox import Outbox; from tests.unit.items import event\n"
        "outbox = Outbox(sys.argv[1])\n"
    )
    root = os.path.join(UTILS, "..")
    return subprocess.Popen(
        [sys.executable, "-c", head + script, path, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([UTILS, root])},
        stdout=subprocess.PIPE,
        text=True,
    )


# Order and batches


def test_items_leave_in_the_order_in_which_they_came(outbox):
    outbox.put([event(1), event(2)])
    outbox.put([event(3)])
    assert sent(outbox) == [1, 2, 3]


def test_an_item_carries_what_its_handler_needs(outbox):
    outbox.put(
        [event(1, batch=True), {"kind": "result", "name": "test.ping", "data": {"jid": "1"}}]
    )
    one, two = outbox.open_batch(10, 1_000_000).items
    assert {key: one[key] for key in ("kind", "model", "method", "batch", "name", "data")} == {
        "kind": "event",
        "model": "my.channel",
        "method": "on_state",
        "batch": True,
        "name": "Newstate",
        "data": {"number": 1},
    }
    assert set(two) == {"id", "kind", "name", "data"}
    assert len(one["id"]) == 16
    assert one["id"] != two["id"]


def test_a_batch_has_a_limit_in_items_and_the_rest_follows(outbox):
    outbox.put([event(number) for number in range(5)])
    assert sent(outbox, items=2) == [0, 1]
    outbox.settle(1, {}, 8, float)
    assert sent(outbox, items=3) == [0, 1, 2]


def test_a_batch_has_a_limit_in_bytes_of_utf8_but_at_least_one_item(outbox):
    outbox.put([event(number, data={"number": number, "name": "ж" * 500}) for number in range(3)])
    assert sent(outbox, size=1100) == [0]
    outbox.settle(1, {}, 8, float)
    assert sent(outbox, size=2200) == [0, 1]
    outbox.settle(2, {}, 8, float)
    assert sent(outbox, size=1) == [0]


def test_an_unanswered_batch_comes_again_the_same_under_the_same_number(outbox, path, clock):
    outbox.put([event(1)])
    first = outbox.open_batch(10, 1_000_000)
    outbox.put([event(2)])
    reopened = Outbox(path, clock=clock)
    again = reopened.open_batch(10, 1_000_000)
    reopened.close()
    assert (again.outbox, again.number, again.items) == (first.outbox, first.number, first.items)


def test_numbers_rise_also_after_the_sender_started_anew(outbox, path):
    outbox.put([event(1)])
    assert outbox.open_batch(10, 1_000_000).number == 1
    settle(outbox)
    outbox.put([event(2)])
    reopened = Outbox(path)
    assert reopened.open_batch(10, 1_000_000).number == 2
    reopened.close()


def test_there_is_no_batch_when_nothing_is_due(outbox):
    assert outbox.open_batch(10, 1_000_000) is None
    assert outbox.next_due() is None


# Answers


def test_what_is_done_is_gone_and_counted(outbox):
    outbox.put([event(1), event(2)])
    assert settle(outbox) == [1, 2]
    assert outbox.status()["depth"] == 0
    assert outbox.status()["delivered"] == 2


def test_what_was_not_reached_goes_into_a_later_batch_in_its_old_place(outbox):
    outbox.put([event(1), event(2)])
    batch = outbox.open_batch(10, 1_000_000)
    outbox.settle(1, {batch.items[0]["id"]: ["done"]}, 8, float)
    outbox.put([event(3)])
    assert sent(outbox) == [2, 3]


def test_a_failed_item_waits_its_pause_and_the_others_do_not_wait_for_it(outbox, clock):
    outbox.put([event(1)])
    settle(outbox, ("failed", "no partner"))
    outbox.put([event(2)])
    assert settle(outbox) == [2]
    assert sent(outbox) is None
    assert outbox.next_due() == 10
    clock.tick(10)
    assert sent(outbox) == [1]


def test_pauses_grow_with_the_failures(outbox, clock):
    outbox.put([event(1)])
    pauses = []
    for _ in range(3):
        settle(outbox, ("failed", "no partner"))
        pauses.append(outbox.next_due())
        clock.tick(pauses[-1])
    assert pauses == [10, 20, 30]


def test_after_its_tries_an_item_is_set_aside_with_its_error(outbox, clock):
    outbox.put([event(1)])
    for _ in range(3):
        settle(outbox, ("failed", "no partner"), tries=3)
        clock.tick(100)
    assert sent(outbox) is None
    (failed,) = outbox.failed()
    assert (failed["data"], failed["error"], failed["tries"]) == ({"number": 1}, "no partner", 3)
    assert (outbox.status()["depth"], outbox.status()["failed"]) == (0, 1)


def test_a_refused_item_is_set_aside_at_once(outbox):
    outbox.put([event(1)])
    settle(outbox, ("refused", "no such route"))
    assert [item["error"] for item in outbox.failed()] == ["no such route"]


def test_a_result_that_was_set_aside_is_told_without_its_token(outbox):
    item = {"kind": "result", "name": "test.ping", "data": {"number": 1, "token": "s3cr3t"}}
    outbox.put([item])
    settle(outbox, ("refused", "the job has its result already"))
    assert "s3cr3t" not in str(outbox.failed())
    assert outbox.retry() == 1
    assert outbox.open_batch(1, 1000).items[0]["data"]["token"] == "s3cr3t"


def test_what_an_item_failed_on_is_told_before_it_is_set_aside(outbox, clock):
    outbox.put([event(1), event(2)])
    settle(outbox, ("failed", "no partner"), pause=lambda failures: 20)
    outbox.put([event(3)])
    settle(outbox)
    status = outbox.status()
    assert (status["depth"], status["failed"]) == (2, 0)
    assert (status["error"], status["next_try"]) == ("no partner", clock() + 20)
    clock.tick(20)
    settle(outbox)
    assert outbox.status().get("error") is None
    assert outbox.status().get("next_try") is None


def test_an_odoo_that_cannot_be_reached_is_told_before_an_items_own_error(outbox):
    outbox.put([event(1)])
    settle(outbox, ("failed", "no partner"))
    outbox.note(error="Odoo is away", next_try=5)
    assert (outbox.status()["error"], outbox.status()["next_try"]) == ("Odoo is away", 5)


def test_a_person_retries_or_drops_what_was_set_aside(outbox):
    outbox.put([event(1), event(2), event(3)])
    settle(outbox, ("refused", "no such route"))
    one, two, three = (item["id"] for item in outbox.failed())
    assert outbox.drop([one]) == 1
    assert outbox.retry([two]) == 1
    assert sent(outbox) == [2]
    assert outbox.retry(["no such id", one]) == 0
    assert outbox.drop() == 1
    assert outbox.failed() == []
    assert three
    assert outbox.status()["dropped"] == 2


def test_retrying_and_dropping_leave_items_alone_that_wait(outbox):
    outbox.put([event(1)])
    waiting = outbox.open_batch(1, 100).items[0]["id"]
    assert outbox.drop() == outbox.drop([waiting]) == outbox.retry() == 0
    assert sent(outbox) == [1]


# Shrinking


def test_a_shrunk_batch_is_its_front_under_its_number(outbox):
    outbox.put([event(number) for number in range(5)])
    outbox.open_batch(10, 1_000_000)
    outbox.shrink(1, 2, "too large")
    batch = outbox.open_batch(10, 1_000_000)
    assert (batch.number, numbers(batch.items)) == (1, [0, 1])
    settle(outbox)
    assert sent(outbox) == [2, 3, 4]


def test_a_lone_item_is_set_aside_by_shrinking_and_the_next_batch_has_another_number(outbox):
    outbox.put([event(1), event(2)])
    outbox.open_batch(1, 1_000_000)
    outbox.shrink(1, 0, "too large")
    assert [item["error"] for item in outbox.failed()] == ["too large"]
    batch = outbox.open_batch(10, 1_000_000)
    assert (batch.number, numbers(batch.items)) == (2, [2])


def prepared(outbox, answers=None):
    """Prepare two items while the first two are under way; what settling those opens."""
    first = outbox.open_batch(2, 1_000_000)
    following = outbox.prepare(2, 1_000_000)
    yield first
    answers = {item["id"]: ["done"] for item in first.items} if answers is None else answers
    yield outbox.settle(first.number, answers, 8, float, following)


def test_the_batch_that_follows_is_opened_by_the_commit_that_settles_the_one_before(outbox, path):
    outbox.put([event(number) for number in range(5)])
    following = list(prepared(outbox))[1]
    assert (following.number, numbers(following.items)) == (2, [2, 3])
    outbox.close()
    reopened = Outbox(path)
    again = reopened.open_batch(1, 1_000_000)
    assert (again.number, again.items) == (2, following.items)
    reopened.close()


def test_nothing_is_prepared_unless_a_whole_batch_waits(outbox):
    outbox.put([event(number) for number in range(3)])
    outbox.open_batch(2, 1_000_000)
    assert outbox.prepare(2, 1_000_000) is None
    outbox.put([event(3)])
    assert outbox.prepare(2, 1_000_000).ids


def test_what_was_prepared_does_not_go_ahead_of_what_was_not_reached(outbox):
    outbox.put([event(number) for number in range(4)])
    assert list(prepared(outbox, answers={}))[1] is None
    assert sent(outbox) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        lambda outbox, clock: outbox.put([event("newer", latest="key")]),
        lambda outbox, clock: clock.tick(61),
    ],
    ids=["superseded", "stale"],
)
def test_what_was_prepared_and_is_worth_nothing_any_more_is_not_sent(outbox, clock, change):
    outbox.put([event(0), event(1), event(2), event(3, latest="key", keep=60)])
    steps = prepared(outbox)
    next(steps)
    change(outbox, clock)
    assert next(steps) is None
    assert 3 not in sent(outbox)


def test_the_answer_to_the_whole_batch_settles_also_what_shrinking_put_back(outbox):
    outbox.put([event(number) for number in range(4)])
    whole = outbox.open_batch(10, 1_000_000)
    outbox.shrink(1, 2, "timeout")
    answers = {item["id"]: ["done"] for item in whole.items[:3]}
    answers[whole.items[3]["id"]] = ["failed", "no partner"]
    outbox.settle(1, answers, 8, lambda _failures: 60)
    assert sent(outbox) is None
    assert outbox.status()["delivered"] == 3
    assert (outbox.status()["depth"], outbox.next_due()) == (1, 60)


def test_an_answer_that_comes_twice_settles_once(outbox):
    outbox.put([event(1), event(2)])
    batch = outbox.open_batch(10, 1_000_000)
    done, failed = (item["id"] for item in batch.items)
    for _ in range(2):
        outbox.settle(1, {done: ["done"]}, 8, float)
    assert outbox.status()["delivered"] == 1
    assert sent(outbox) == [2]
    assert failed


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_whatever_odoo_answers_nothing_is_lost_and_what_never_failed_keeps_its_order(data):
    done = []
    with _temporary() as outbox:
        outbox.put([event(number) for number in range(12)])
        failed = set()
        batch = None
        for _ in range(60):
            batch = batch or outbox.open_batch(data.draw(st.integers(1, 12)), 1_000_000)
            if batch is None:
                break
            following = outbox.prepare(data.draw(st.integers(1, 6)), 1_000_000)
            if data.draw(st.booleans()) and len(batch.items) > 1:
                outbox.shrink(batch.number, data.draw(st.integers(1, 11)), "timeout")
            # Odoo goes through a batch in order, as far as its time budget reaches.
            reached = batch.items[: data.draw(st.integers(1, len(batch.items)))]
            words = st.sampled_from([["done"], ["failed", "why"]])
            answers = {item["id"]: data.draw(words) for item in reached}
            items = batch.items
            batch = outbox.settle(batch.number, answers, 1000, lambda _failures: 0, following)
            for item in items:
                word = answers.get(item["id"])
                done += [item["data"]["number"]] if word == ["done"] else []
                failed |= {item["data"]["number"]} if word and word != ["done"] else set()
        rest = numbers(outbox.open_batch(100, 1_000_000).items) if len(done) < 12 else []
    assert sorted(done + rest) == list(range(12))
    in_order = [number for number in done if number not in failed]
    assert in_order == sorted(in_order)


class _temporary:
    """An outbox in a folder of its own, for tests that hypothesis repeats."""

    def __enter__(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.outbox = Outbox(os.path.join(self.folder.name, "outbox.sqlite"), clock=lambda: 1e9)
        return self.outbox

    def __exit__(self, *_exception):
        self.outbox.close()
        self.folder.cleanup()


# Worth keeping


def test_a_stale_item_is_dropped_and_counted(outbox, clock):
    outbox.put([event(1, keep=10), event(2, keep=None), event(3, keep=20)])
    clock.tick(15)
    assert sent(outbox) == [2, 3]
    assert outbox.status()["stale"] == 1


def test_an_item_that_goes_stale_in_an_open_batch_stays_there_marked(outbox, clock):
    outbox.put([event(1, keep=10), event(2)])
    first = outbox.open_batch(10, 1_000_000)
    clock.tick(15)
    again = outbox.open_batch(10, 1_000_000)
    assert again.number == first.number
    assert [item.get("stale", False) for item in again.items] == [True, False]
    outbox.settle(1, {item["id"]: ["stale"] for item in again.items[:1]}, 8, float)
    assert outbox.status()["stale"] == 1
    assert outbox.status()["delivered"] == 0


def test_what_was_set_aside_does_not_go_stale(outbox, clock):
    outbox.put([event(1, keep=10)])
    settle(outbox, ("refused", "no such route"))
    clock.tick(100)
    assert sent(outbox) is None
    assert numbers(outbox.failed()) == [1]


def test_of_a_key_only_the_newest_item_waits(outbox):
    outbox.put([event(1, latest="a"), event(2, latest="b"), event(3, latest="a")])
    outbox.put([event(4, latest="b"), event(5)])
    assert sent(outbox) == [3, 4, 5]
    assert outbox.status()["superseded"] == 2


def test_an_item_that_is_under_way_is_not_replaced(outbox):
    outbox.put([event(1, latest="a")])
    assert sent(outbox) == [1]
    outbox.put([event(2, latest="a")])
    assert sent(outbox) == [1]
    settle(outbox)
    assert sent(outbox) == [2]


def test_a_failed_item_does_not_come_again_after_the_newer_one_of_its_key(outbox, clock):
    outbox.put([event(1, latest="a")])
    batch = outbox.open_batch(10, 1_000_000)
    outbox.put([event(2, latest="a")])
    outbox.settle(1, {batch.items[0]["id"]: ["failed", "busy"]}, 8, float)
    clock.tick(100)
    assert sent(outbox) == [2]
    assert outbox.status()["superseded"] == 1


def test_a_newer_item_of_a_key_replaces_one_that_waits_for_its_next_try(outbox):
    outbox.put([event(1, latest="a")])
    settle(outbox, ("failed", "busy"))
    outbox.put([event(2, latest="a")])
    assert sent(outbox) == [2]
    assert outbox.status()["depth"] == 1


def test_a_delayed_item_waits_and_the_others_go_ahead(outbox, clock):
    outbox.put([event(1, delay=5), event(2)])
    assert settle(outbox) == [2]
    assert outbox.next_due() == 5
    clock.tick(5)
    assert sent(outbox) == [1]


def test_a_stream_of_items_of_one_key_does_not_put_off_a_delay_for_ever(outbox, clock):
    for number in range(10):
        outbox.put([event(number, latest="a", delay=1.0)])
        clock.tick(0.4)
        if sent(outbox):
            break
    assert number == 2
    assert sent(outbox) == [2]


def test_a_clock_that_is_set_back_keeps_nothing_waiting(outbox, clock):
    outbox.put([event(1)])
    clock.tick(-86400 * 365)
    assert sent(outbox) == [1]


# Limits


def test_past_the_limit_the_least_worth_keeping_goes_first_and_it_is_said(path, clock, caplog):
    outbox = Outbox(path, 1000, 100_000_000, clock=clock)
    outbox.put([event("forever", keep=None) for _ in range(400)])
    outbox.put([event("day", keep=86400) for _ in range(400)])
    with caplog.at_level(logging.WARNING):
        outbox.put([event("minute", keep=60) for _ in range(1200)])
    left = numbers(outbox.open_batch(10_000, 100_000_000).items)
    assert (left.count("forever"), left.count("day"), left.count("minute")) == (400, 400, 200)
    assert outbox.status()["dropped"] == 1000
    assert "1000 items" in caplog.text
    assert "asterisk:outbox:max_rows" in caplog.text
    outbox.close()


def test_past_the_limit_an_open_batch_stays_whole(path, clock):
    outbox = Outbox(path, 1000, 100_000_000, clock=clock)
    outbox.put([event(number, keep=1) for number in range(10)])
    assert sent(outbox) == list(range(10))
    outbox.put([event("new", keep=None) for _ in range(3000)])
    assert sent(outbox) == list(range(10))
    assert outbox.status()["depth"] == 1010 - 10
    outbox.close()


def test_the_limit_in_bytes_holds_too(path, clock):
    outbox = Outbox(path, 1_000_000, 1_000_000, clock=clock)
    for _ in range(8):
        outbox.put([event(1, data={"number": 1, "text": "x" * 1000}) for _ in range(500)])
    assert 400 < outbox.status()["depth"] < 1600
    assert outbox.status()["dropped"] == 4000 - outbox.status()["depth"]
    outbox.close()


def test_other_limits_hold_from_the_next_item_on(outbox):
    outbox.put([event(number) for number in range(3000)])
    outbox.limit(1000, 100_000_000)
    outbox.put([event("last", keep=None)])
    assert outbox.status()["depth"] == 1000


# Text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_any_data_becomes_json_that_postgresql_takes(data):
    text = dumps(data)
    text.encode()
    decoded = json.loads(text)
    assert "\0" not in json.dumps(decoded, ensure_ascii=False)
    assert "\\u0000" not in text.replace("\\\\", "")


@given(st.text(st.sampled_from("\\u0\0ab\"'"), max_size=30))
def test_a_nul_becomes_a_replacement_character_and_text_that_looks_like_one_stays(text):
    assert json.loads(dumps(text)) == text.replace("\0", "\ufffd")


def test_bytes_outside_utf8_pass_in_every_field(outbox):
    odd = b"J\xf6rg".decode("utf-8", "surrogateescape")
    outbox.put([event(1, name=odd, model=odd, method=odd, latest=odd, data={"number": odd})])
    (item,) = outbox.open_batch(10, 1_000_000).items
    assert item["data"] == {"number": "J\ufffdrg"}
    outbox.settle(1, {item["id"]: ["failed", odd]}, 1, float)
    assert [failed["error"] for failed in outbox.failed()] == ["J\ufffdrg"]


# Several processes


def test_processes_that_write_at_once_lose_nothing(path):
    script = "[outbox.put([event(f'{sys.argv[2]}-{n}')]) for n in range(200)]"
    writers = [writer(script, path, name) for name in "abc"]
    assert [process.wait(30) for process in writers] == [0, 0, 0]
    outbox = Outbox(path)
    found = numbers(outbox.open_batch(1000, 10_000_000).items)
    outbox.close()
    assert sorted(found) == sorted(f"{name}-{n}" for name in "abc" for n in range(200))
    for name in "abc":
        ours = [number for number in found if number.startswith(name)]
        assert ours == [f"{name}-{n}" for n in range(200)]


def test_threads_that_write_at_once_through_one_outbox_lose_nothing(outbox):
    def write(name):
        for number in range(100):
            outbox.put([event(f"{name}-{number}")])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent(outbox, items=1000)) == 300


def test_a_thread_that_still_writes_when_the_outbox_is_closed_gets_an_error(path):
    outbox = Outbox(path)
    written, ends = threading.Event(), []

    def write():
        try:
            while True:
                outbox.put([event(1)])
                written.set()
        except OutboxError as error:
            ends.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    written.wait(10)
    outbox.close()
    thread.join(10)
    assert len(ends) == 1


def test_a_writer_killed_in_mid_write_leaves_whole_commits_and_all_that_it_told_of(path):
    script = (
        "for n in range(10**9):\n"
        "    outbox.put([event((n, part)) for part in range(20)])\n"
        "    print(n, flush=True)\n"
    )
    for _ in range(3):
        process = writer(script, path)
        told = [int(process.stdout.readline()) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
        process.wait()
        process.stdout.close()
        outbox = Outbox(path)
        found = [tuple(number) for number in numbers(outbox.open_batch(10**6, 10**9).items)]
        commits = sorted({number for number, _part in found})
        assert found == [(number, part) for number in commits for part in range(20)]
        assert commits[: len(told)] == told
        outbox.settle(outbox.open_batch(1, 1).number, {}, 8, float)
        outbox._db.execute("DELETE FROM items")
        outbox.close()


def test_only_their_owner_reads_the_files(outbox, path):
    outbox.put([event(1)])
    Doorbell(path).close()
    folder = os.path.dirname(path)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert {
        stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)
    } == {0o600}


def test_a_copy_that_starts_anew_sends_its_items_under_another_id_from_number_one(outbox):
    outbox.put([event(1)])
    settle(outbox)
    outbox.put([event(2)])
    before = outbox.open_batch(10, 1_000_000)
    outbox.renew()
    after = outbox.open_batch(10, 1_000_000)
    assert after.outbox == outbox.id != before.outbox
    assert (after.number, after.items) == (1, before.items)


# Trouble


def test_a_file_that_is_no_outbox_is_an_error_that_names_it(path):
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write("this is not a database, whatever its name says" * 100)
    with pytest.raises(OutboxError, match=r"outbox\.sqlite"):
        Outbox(path)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"file/outbox\.sqlite"):
        Outbox(str(tmp_path / "file" / "outbox.sqlite"))


def test_an_item_that_cannot_be_kept_takes_no_other_with_it(outbox):
    outbox.put([event(1)])
    with pytest.raises(OutboxError):
        outbox.put([event(2), event(3, kind=object())])
    with pytest.raises(TypeError):
        outbox.put([event(4), event(5, keep="long")])
    outbox.put([event(6)])
    assert sent(outbox) == [1, 6]


def test_each_commit_is_written_through_to_the_disk(outbox):
    assert outbox._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert outbox._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_after_a_full_disk_the_outbox_works_on(outbox):
    outbox.put([event(1)])
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's way to a full disk
    for _ in range(2):
        with pytest.raises(OutboxError, match="full"):
            outbox.put([event(number, data={"text": "x" * 500}) for number in range(500)])
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    outbox.put([event(2)])
    assert sent(outbox) == [1, 2]


def test_a_writer_that_waits_for_another_is_told_when_it_waits_too_long(outbox, path):
    outbox._db.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match="locked"):
        outbox.put([event(1)])
    other.execute("ROLLBACK")
    other.close()
    outbox.put([event(2)])
    assert sent(outbox) == [2]


# The doorbell


def test_an_item_rings_the_bell_of_a_sender_in_another_thread(outbox, path):
    bell = Doorbell(path)
    heard = []
    listener = threading.Thread(target=lambda: heard.append(bell.wait(10)))
    listener.start()
    outbox.put([event(1)])
    listener.join()
    assert heard == [True]
    bell.close()


def test_the_bell_rings_once_for_many_rings_and_times_out_in_silence(path):
    os.makedirs(os.path.dirname(path))
    bell = Doorbell(path)
    for _ in range(3):
        wake(path)
    assert bell.wait(0) is True
    start = time.monotonic()
    assert bell.wait(0.02) is False
    assert time.monotonic() - start >= 0.02
    bell.close()


def test_a_full_pipe_or_no_sender_stops_no_writer(outbox, path):
    outbox.put([event(1)])
    bell = Doorbell(path)
    for _ in range(70_000):  # a pipe takes 65,536
        wake(path)
    outbox.put([event(2)])
    bell.close()
    outbox.put([event(3)])
    assert sent(outbox) == [1, 2, 3]


def test_a_bell_that_cannot_be_rung_stops_no_writer(outbox, path):
    os.makedirs(path + ".wake")
    assert outbox.put([event(1)]) == 1
