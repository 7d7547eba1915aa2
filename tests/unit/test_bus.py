"""The bridge's mouth on the minion bus: batches, urgent replies, and a bus that cannot keep up."""

import json
import queue
import threading
import time

import pytest

from pbxlib import bus
from pbxlib.bus import BusWriter


class Bus:
    """What Salt's ``fire_event`` would have sent; ``gate`` holds it up."""

    def __init__(self):
        self.fired = []
        self.times = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.changed = threading.Condition()

    def fire(self, tag, data):
        self.entered.set()
        self.gate.wait(10)
        with self.changed:
            self.fired.append((tag, data))
            self.times.append(time.monotonic())
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.fired), 10), self.fired

    @property
    def events(self):
        return [
            event
            for tag, data in self.fired
            if tag == "asterisk/ami/events"
            for event in data["events"]
        ]


@pytest.fixture
def salt():
    return Bus()


@pytest.fixture
def writer(salt):
    found = BusWriter(salt.fire, "pbx1")
    yield found
    salt.gate.set()
    found.stop()


def test_matched_events_go_out_together_in_order_with_the_minions_name(salt, writer):
    salt.gate.clear()
    writer.send("asterisk/ami/state", {})
    salt.entered.wait(10)
    writer.events([{"n": 1}, {"n": 2}])
    writer.events([{"n": 3}])
    salt.gate.set()
    salt.wait_for(lambda fired: len(fired) == 2)
    assert salt.fired[1] == (
        "asterisk/ami/events",
        {"server": "pbx1", "events": [{"n": 1}, {"n": 2}, {"n": 3}]},
    )


def test_batches_of_events_keep_their_distance(salt, writer, monkeypatch):
    monkeypatch.setattr(bus, "INTERVAL", 0.4)
    for number in range(4):
        writer.events([{"n": number}])
        salt.wait_for(lambda _fired, count=number + 1: len(salt.events) == count)
    gaps = [later - sooner for sooner, later in zip(salt.times, salt.times[1:])]
    assert all(gap > bus.INTERVAL * 0.8 for gap in gaps)


def test_a_reply_does_not_wait_for_a_batch(salt, writer, monkeypatch):
    monkeypatch.setattr(bus, "INTERVAL", 1)
    writer.events([{"n": 1}])
    salt.wait_for(lambda fired: len(fired) == 1)
    writer.events([{"n": 2}])
    writer.send("ami_reply/x", {"Reply": []})
    salt.wait_for(lambda fired: len(fired) == 3)
    assert [tag for tag, _data in salt.fired[1:]] == ["ami_reply/x", "asterisk/ami/events"]


def test_a_batch_has_a_limit_and_the_rest_follows(salt, writer):
    writer.events([{"n": number} for number in range(bus.MAX_BATCH + 1)])
    salt.wait_for(lambda _fired: len(salt.events) == bus.MAX_BATCH + 1)
    assert [len(data["events"]) for _tag, data in salt.fired] == [bus.MAX_BATCH, 1]


def test_what_a_slow_bus_cannot_take_is_dropped_and_counted_and_memory_stays_bounded(salt, writer):
    salt.gate.clear()
    writer.send("asterisk/ami/state", {})
    salt.entered.wait(10)
    writer.events([{"n": number} for number in range(bus.MAX_WAITING + 5)])
    writer.events([{"n": -1}])
    assert writer.dropped == 6


def test_an_error_of_the_bus_is_counted_and_the_next_event_goes_out(salt, caplog):
    def fire(tag, data):
        if tag == "bad":
            raise RuntimeError("the bus is away")
        salt.fire(tag, data)

    writer = BusWriter(fire, "pbx1")
    writer.send("bad", {})
    writer.send("good", {})
    writer.stop()
    assert [tag for tag, _data in salt.fired] == ["good"]
    assert writer.dropped == 1
    assert "the bus is away" in caplog.text


def test_stopping_sends_what_waits(salt):
    writer = BusWriter(salt.fire, "pbx1")
    writer.events([{"n": number} for number in range(3 * bus.MAX_BATCH)])
    writer.send("ami_reply/x", {})
    writer.stop()
    assert len(salt.events) == 3 * bus.MAX_BATCH
    assert ("ami_reply/x", {}) in salt.fired


def test_what_is_no_utf_8_reaches_the_bus_with_a_replacement_character():
    fired = queue.Queue()

    def fire(tag, data):
        json.dumps(data, ensure_ascii=False).encode()  # as strict as Salt's serializer
        fired.put((tag, data))

    writer = BusWriter(fire, "pbx1")
    writer.send("ami_reply/1", {"Reply": [{"CallerIDName": "J\udcfcrgen"}]})
    writer.stop()
    assert fired.get_nowait() == ("ami_reply/1", {"Reply": [{"CallerIDName": "J\ufffdrgen"}]})
