"""The bridge between a scripted Asterisk, the outbox and a bus that only takes notes."""

import logging
import re
import threading
import time

import pytest
from tests.fake_ami import FakeAMI, frame
from tests.unit.items import numbers

from pbxlib import cdr, settings
from pbxlib.bridge import Bridge
from pbxlib.doorbell import Doorbell
from pbxlib.errors import OutboxError

ROUTE = {"model": "my.channel", "method": "on_state"}


class Bus:
    """What would have gone out on the minion bus."""

    def __init__(self):
        self.sent = []
        self.matched = []
        self._changed = threading.Condition()

    def send(self, tag, data):
        with self._changed:
            self.sent.append((tag, data))
            self._changed.notify_all()

    def events(self, events):
        with self._changed:
            self.matched += events
            self._changed.notify_all()

    def wait_for(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, 10), (self.sent, self.matched)

    @property
    def states(self):
        return [data["state"] for tag, data in self.sent if tag == "asterisk/ami/state"]

    def reached(self, *states):
        """Wait until the bridge told of these states, in this order."""
        self.wait_for(lambda: self.states == list(states))

    def reply(self, channel):
        """Wait for the reply to an action; its messages."""
        tag = f"ami_reply/{channel}"
        self.wait_for(lambda: any(sent == tag for sent, _data in self.sent))
        return next(data["Reply"] for sent, data in self.sent if sent == tag)


@pytest.fixture
def ami():
    with FakeAMI() as server:
        yield server


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def bell(outbox, path):
    doorbell = Doorbell(path)
    yield doorbell
    doorbell.close()


def resolved(ami, events=("Newstate",), **others):
    return settings.resolve(
        {
            "ami": {"host": ami.host, "port": ami.port, "secret": ami.secret, **others},
            "events": {name: [ROUTE] for name in events},
        }
    )


@pytest.fixture
def start(outbox, bus):
    """Run a bridge with these settings until the test ends."""
    running = []

    def run(found):
        bridge = Bridge(found, lambda: bridge._settings["ami"]["secret"], outbox, bus)
        thread = threading.Thread(target=bridge.run)
        thread.start()
        running.append((bridge, thread))
        return bridge

    yield run
    for bridge, thread in running:
        bridge.stop()
        thread.join(10)
        assert not thread.is_alive()


# Events


def test_a_matched_event_is_in_the_outbox_before_it_is_on_the_bus(start, ami, bus, outbox):
    start(resolved(ami))
    bus.reached("connected")
    ami.send(frame("Event: Newstate", Channel="PJSIP/1") + frame("Event: Newexten", Channel="x"))
    bus.wait_for(lambda: bus.matched)
    assert bus.matched == [{"Event": "Newstate", "Channel": "PJSIP/1"}]
    (item,) = outbox.open_batch(10, 1_000_000).items
    assert (item["model"], item["name"], item["data"]) == ("my.channel", "Newstate", bus.matched[0])


def test_the_events_of_one_read_keep_their_order(start, ami, bus, outbox):
    start(resolved(ami))
    bus.reached("connected")
    ami.send(b"".join(frame("Event: Newstate", number=number) for number in range(50)))
    bus.wait_for(lambda: len(bus.matched) == 50)
    assert numbers(outbox.open_batch(100, 1_000_000).items) == [str(n) for n in range(50)]


def test_a_call_record_goes_out_in_utc(start, ami, bus, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        start(resolved(ami, events=["Cdr"]))
        bus.reached("connected")
        ami.send(frame("Event: Cdr", StartTime="2025-06-15 05:30:00"))
        bus.wait_for(lambda: bus.matched)
        assert bus.matched[0]["StartTime"] == "2025-06-15 00:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def cdr_file(tmp_path):
    return tmp_path / "asterisk-formula.csv"


def a_record(sequence):
    """A call record as the event and as the line of Asterisk's file."""
    headers = dict.fromkeys(cdr.COLUMNS, "")
    headers.update(UniqueID="1700000000.1", Sequence=str(sequence))
    line = ",".join(f'"{value}"' for value in headers.values()) + "\n"
    return frame("Event: Cdr", **headers), line


def await_position(outbox):
    """The first start begins where the file ends: wait until it has looked."""
    end = time.monotonic() + 10
    while outbox.position is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def delivered(outbox, bell, count):
    """The sequences of the call records in the outbox, once there are ``count`` of them."""
    while outbox.status()["depth"] < count:
        assert bell.wait(10)
    batch = outbox.open_batch(100, 1_000_000)
    return [item["data"]["Sequence"] for item in batch.items]


def test_call_records_of_the_time_without_a_bridge_come_from_asterisks_file(
    start, ami, bus, outbox, bell, cdr_file
):
    found = resolved(ami, events=["Cdr"], cdr_file=str(cdr_file))
    first = start(found)
    bus.reached("connected")
    await_position(outbox)
    first.stop()
    for sequence in (1, 2):
        with open(cdr_file, "a") as file:
            file.write(a_record(sequence)[1])
    start(found)
    assert delivered(outbox, bell, 2) == ["1", "2"]


def test_a_call_record_that_could_not_be_written_is_read_from_the_file_later(
    start, ami, bus, outbox, bell, cdr_file, monkeypatch, caplog
):
    original, full = outbox.put, [True]

    def put(*args, **named):
        if full:
            raise OutboxError("the disk is full")
        return original(*args, **named)

    monkeypatch.setattr(outbox, "put", put)
    start(resolved(ami, events=["Cdr", "Newstate"], cdr_file=str(cdr_file)))
    bus.reached("connected")
    event, line = a_record(1)
    await_position(outbox)
    cdr_file.write_text(line)
    for count in range(1, 4):
        ami.send((event if count == 1 else b"") + frame("Event: Newstate"))
        bus.wait_for(lambda count=count: len(bus.matched) == count + 1)
    full.clear()
    assert delivered(outbox, bell, 1) == ["1"]
    outbox.put([])
    assert outbox.status()["dropped"] == 3
    assert caplog.text.count("1 items of call records wait in Asterisk's file") == 1
    assert caplog.text.count("are lost") == 1, "not once for each read"


def test_bytes_outside_utf8_in_the_key_of_latest_by_lose_no_event(start, ami, bus, outbox):
    found = resolved(ami)
    found["events"]["Newstate"][0] = {**ROUTE, "latest_by": "CallerIDName"}
    bridge = start(found)
    bus.reached("connected")
    ami.send(b"Event: Newstate\r\nCallerIDName: J\xf6rg\r\n\r\n")
    bus.wait_for(lambda: bus.matched)
    assert outbox.status()["depth"] == 1
    assert bridge.counters["lost"] == 0


def test_what_else_keeps_an_event_out_of_the_outbox_is_counted_and_said_too(
    start, ami, bus, outbox, monkeypatch, caplog
):
    def put(*_, **__):
        raise UnicodeEncodeError("utf-8", "\udcf6", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(outbox, "put", put)
    bridge = start(resolved(ami))
    bus.reached("connected")
    ami.send(frame("Event: Newstate"))
    bus.wait_for(lambda: bus.matched)
    assert bridge.counters["lost"] == 1
    assert "1 events for Odoo are lost" in caplog.text
    assert "Traceback" in caplog.text


def test_a_unique_id_outside_utf8_loses_nothing_of_its_read(start, ami, bus, outbox):
    bridge = start(resolved(ami, events=["Newstate", "Cdr"]))
    bus.reached("connected")
    ami.send(
        frame("Event: Newstate") + b"Event: Cdr\r\nUniqueID: Z\xfcrich-1.1\r\nSequence: 1\r\n\r\n"
    )
    bus.wait_for(lambda: len(bus.matched) == 2)
    assert outbox.status()["depth"] == 2
    assert bridge.counters["lost"] == 0


def test_events_that_the_outbox_cannot_keep_are_counted_said_and_still_on_the_bus(
    start, ami, bus, outbox, caplog
):
    bridge = start(resolved(ami))
    bus.reached("connected")
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    ami.send(b"".join(frame("Event: Newstate", text="x" * 500) for _ in range(200)))
    bus.wait_for(lambda: len(bus.matched) == 200)
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    assert bridge.counters["lost"] + outbox.status()["depth"] == 200
    assert bridge.counters["lost"] > 0
    assert "events for Odoo are lost" in caplog.text


# What Asterisk is asked for


def asked(ami):
    """The names in the filters that Asterisk was given."""
    return {
        re.search(r"\((\w+)\)", action["MatchCriteria"]).group(1)
        for action in ami.actions
        if action["Action"] == "Filter"
    }


def test_asterisk_is_asked_for_the_wanted_events_before_it_sends_any(start, ami, bus):
    start(resolved(ami, events=["Cdr", "Hangup"]))
    bus.reached("connected")
    assert asked(ami) == {"Cdr", "Hangup", "OriginateResponse"}
    first, *filters, last = (action["Action"] for action in ami.actions)
    assert (first, set(filters), last) == ("Login", {"Filter"}, "Events")
    assert ami.actions[0]["Events"] == "off"


def test_an_event_that_a_new_map_wants_is_asked_for_in_the_open_session(start, ami, bus):
    bridge = start(resolved(ami, events=[]))
    bus.reached("connected")
    assert asked(ami) == {"OriginateResponse"}
    bridge.configure(resolved(ami, events=["Hangup"]))
    ami.received("Filter", count=2)
    assert asked(ami) == {"OriginateResponse", "Hangup"}
    assert len(ami.received("Login")) == 1


def test_a_map_that_changes_while_the_session_is_opened_is_not_forgotten(start, ami, bus):
    login, made, bridges = ami.answers["Login"], threading.Event(), []

    def change_first(peer, action):
        made.wait(10)
        bridges[0].configure(resolved(ami, events=["Newstate", "Hangup"]))
        login(peer, action)

    ami.answers["Login"] = change_first
    bridges.append(start(resolved(ami)))
    made.set()
    bus.reached("connected")
    ami.received("Filter", count=3)
    assert asked(ami) == {"Newstate", "Hangup", "OriginateResponse"}


def test_a_route_that_is_taken_away_is_no_longer_matched(start, ami, bus):
    bridge = start(resolved(ami, events=["Newstate", "Hangup"]))
    bus.reached("connected")
    bridge.configure(resolved(ami, events=["Hangup"]))
    ami.send(frame("Event: Newstate") + frame("Event: Hangup"))
    bus.wait_for(lambda: bus.matched)
    assert [event["Event"] for event in bus.matched] == ["Hangup"]


def test_a_filter_that_asterisk_does_not_take_is_told_with_what_to_do(start, ami, bus, caplog):
    ami.answers["Filter"] = lambda peer, action: peer.refuse(action, "Permission denied")
    start(resolved(ami))
    bus.reached("disconnected")
    assert "write=system" in caplog.text


# Connecting


def test_a_refused_login_is_said_once_and_new_settings_are_tried_at_once(start, ami, bus, caplog):
    bridge = start(resolved(ami, secret="wr0ng"))
    bus.reached("refused")
    assert len(caplog.records) == 1
    assert "asterisk:ami:secret" in caplog.text
    assert "wr0ng" not in caplog.text
    bridge.configure(resolved(ami))
    bus.reached("refused", "connected")


def test_after_a_break_it_connects_again_and_tells_how_long_it_heard_nothing(start, ami, bus):
    start(resolved(ami))
    bus.reached("connected")
    ami.peers[-1].close()
    bus.reached("connected", "disconnected", "connected")
    gaps = [data["gap"] for tag, data in bus.sent if tag == "asterisk/ami/state"]
    assert gaps[0] is None
    assert 0 <= gaps[1] <= gaps[2] < 10


def test_of_the_states_that_wait_for_odoo_the_newest_is_kept(start, ami, bus, outbox):
    found = resolved(ami)
    route = {"model": "my.pbx", "method": "on_state", "latest_by": "tag"}
    found["bus_events"] = {"asterisk/ami/*": [route], "salt/*": [ROUTE]}
    start(found)
    bus.reached("connected")
    ami.peers[-1].close()
    bus.reached("connected", "disconnected", "connected")
    (item,) = outbox.open_batch(10, 1_000_000).items
    assert (item["model"], item["method"]) == ("my.pbx", "on_state")
    assert (item["data"]["tag"], item["data"]["state"]) == ("asterisk/ami/state", "connected")
    assert outbox.status()["superseded"] == 2


def test_the_gap_after_a_silence_begins_when_asterisk_was_last_heard(start, ami, bus):
    ami.answers["Ping"] = lambda peer, action: None
    start(resolved(ami, ping_interval=1))
    bus.reached("connected", "disconnected")
    gap = [data["gap"] for tag, data in bus.sent if tag == "asterisk/ami/state"][1]
    assert 1 <= gap <= 3


def test_other_ami_settings_open_another_session(start, ami, bus):
    with FakeAMI(secret="other") as another:
        bridge = start(resolved(ami))
        bus.reached("connected")
        bridge.configure(resolved(another))
        another.received("Events")


def test_an_asterisk_that_is_away_is_said_once_with_its_address(start, bus, caplog):
    with FakeAMI() as gone:
        found = resolved(gone)
    caplog.set_level(logging.ERROR)
    bridge = start(found)
    bus.reached("disconnected")
    for _ in range(3):
        bridge._changed.set()
    assert len(caplog.records) == 1
    assert f"{gone.host}:{gone.port}" in caplog.text


# Actions


def test_an_action_is_performed_and_its_reply_goes_to_its_channel(start, ami, bus):
    bridge = start(resolved(ami))
    bus.reached("connected")
    bridge.perform({"Action": "Ping", "reply_channel": "a", "timeout": 5, "_stamp": "now"})
    (reply,) = bus.reply("a")
    assert reply["Ping"] == "Pong"
    assert set(ami.received("Ping")[0]) == {"Action", "ActionID"}


def test_an_action_without_a_session_is_answered_with_the_reason(start, bus):
    with FakeAMI() as gone:
        found = resolved(gone)
    bridge = start(found)
    bus.reached("disconnected")
    bridge.perform({"Action": "Ping", "reply_channel": "a", "ActionID": "mine"})
    (reply,) = bus.reply("a")
    assert (reply["Response"], reply["ActionID"]) == ("Error", "mine")
    assert "cannot be reached" in reply["Message"]


@pytest.mark.parametrize(
    "request_",
    [
        {"Action": "Ping", "timeout": "soon"},
        {"Action": "Ping", "timeout": 0},
        {"Action": "Ping", "timeout": [1]},
        {"Action": "Ping", "ActionID": 7},
        {"Action": "Ping", "Variable": {"a": object()}},
        {"Action": "Ping", 1: 2},
        {"Action": "Ping", "ActionID": {"a": "b"}},
        {"Action": None},
        {},
        {"Action": "Originate", "Exten": 100},
        {"Action": "Ping\r\nAction: Command"},
    ],
)
def test_a_bad_action_is_answered_with_an_error_and_the_next_one_works(start, ami, bus, request_):
    bridge = start(resolved(ami))
    bus.reached("connected")
    bridge.perform({**request_, "reply_channel": "bad"})
    assert bus.reply("bad")[0]["Response"] == "Error"
    bridge.perform({"Action": "Ping", "reply_channel": "good"})
    assert bus.reply("good")[0]["Response"] == "Success"
