"""The session against a scripted Asterisk: replies, lists, deadlines, breaks."""

import os
import queue
import ssl
import subprocess
import threading
import time

import pytest
from asterisk import manager as pyst2
from tests.fake_ami import GREETING, FakeAMI, frame

from pbxlib.errors import (
    ActionTimeout,
    BadAction,
    ConnectionLost,
    LoginRefused,
    NotAsterisk,
    NotConnected,
    UnknownOutcome,
)
from pbxlib.session import Manager


@pytest.fixture
def ami():
    with FakeAMI() as server:
        yield server


@pytest.fixture
def manager(ami):
    with connected(ami) as session:
        yield session


class connected:
    """A logged-in session that is closed at the end and leaves no thread."""

    def __init__(self, ami, **options):
        self.session = Manager(**{"connect_timeout": 5.0, "action_timeout": 5.0, **options})
        self.ami = ami

    def __enter__(self):
        self.session.connect(self.ami.host, self.ami.port)
        self.session.login("salt", self.ami.secret)
        return self.session

    def __exit__(self, *_):
        self.session.close()
        assert not [thread for thread in threading.enumerate() if thread is self.session._reader]


@pytest.fixture
def events(manager):
    """A queue of the lists that ``on_frames`` is called with."""
    found = queue.Queue()
    manager.on_frames = found.put
    return found


def silence(peer, action):
    """Never answer."""


def submitted(session, action, timeout=None):
    """Submit; returns a function that waits for the outcome."""
    outcome = queue.Queue()
    session.submit(action, timeout, outcome.put)
    return lambda: outcome.get(timeout=30)


# Connecting


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_connects_over_ipv4_and_ipv6(host):
    with FakeAMI(host) as ami, connected(ami) as session:
        assert session.connected()
        assert session.version == "11.0.0"
        assert session.ping().get_header("Ping") == "Pong"


def test_a_peer_that_writes_single_bytes_is_understood(ami):
    ami.step = 1
    ami.answers["QueueStatus"] = lambda peer, action: peer.replay(
        action, "asterisk22-queue-status", "q"
    )
    with connected(ami) as session:
        assert len(session.request({"Action": "QueueStatus"})) == 5


def test_nobody_there_is_said_with_the_address(ami):
    ami.stop_listening()
    with pytest.raises(NotConnected, match=f"127.0.0.1 port {ami.port}.*refused"):
        Manager().connect(ami.host, ami.port)


def test_a_host_without_an_address_is_said():
    with pytest.raises(NotConnected, match=r"'no\.such\.invalid' has no address"):
        Manager().connect("no.such.invalid")


def test_a_peer_that_never_greets_is_given_up():
    with FakeAMI(greeting=b"Asterisk Call") as ami:
        session = Manager(connect_timeout=0.1)
        with pytest.raises(NotConnected, match=r"did not greet within 0\.1 s"):
            session.connect(ami.host, ami.port)
        assert not session.connected()


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail: ready\r\n"])
def test_another_server_is_not_taken_for_asterisk(greeting):
    with FakeAMI(greeting=greeting) as ami, pytest.raises(NotAsterisk):
        Manager().connect(ami.host, ami.port)


def test_a_refused_login_says_what_asterisk_said_and_not_the_secret(ami):
    session = Manager()
    session.connect(ami.host, ami.port)
    with pytest.raises(LoginRefused, match="Authentication failed") as caught:
        session.login("salt", "hunter2")
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, pyst2.ManagerAuthException)
    session.close()


def test_a_login_that_is_not_answered_ends(ami):
    ami.answers["Login"] = silence
    session = Manager(connect_timeout=1)
    session.connect(ami.host, ami.port)
    with pytest.raises(ActionTimeout, match="Login: no answer came within 1 s"):
        session.login("salt", ami.secret)
    session.close()


def test_the_login_says_which_events_to_send(ami):
    session = Manager()
    session.connect(ami.host, ami.port)
    session.login("salt", ami.secret, events="off")
    assert ami.actions[0]["Events"] == "off"
    session.close()


def test_a_second_connect_is_refused_and_another_after_close_is_not(ami, manager):
    with pytest.raises(pyst2.ManagerException, match="connected already"):
        manager.connect(ami.host, ami.port)
    manager.close()
    manager.connect(ami.host, ami.port)
    manager.login("salt", ami.secret)
    assert manager.request({"Action": "Ping"})[0]["Ping"] == "Pong"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Path of a certificate for localhost, its key beside it in the same file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {path}.key -out {path}",
        shell=True,
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def tls_ami(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    with FakeAMI(tls=context) as server:
        yield server


def test_it_talks_tls_to_a_server_that_it_can_verify(tls_ami, certificate):
    session = Manager()
    session.connect("localhost", tls_ami.port, tls=ssl.create_default_context(cafile=certificate))
    session.login("salt", tls_ami.secret)
    outcomes = [submitted(session, {"Action": "Ping"}) for _ in range(200)]
    assert all(outcome()[0]["Ping"] == "Pong" for outcome in outcomes)
    session.close()


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("127.0.0.1", True)])
def test_a_server_that_it_cannot_verify_is_refused(tls_ami, certificate, host, trusted):
    context = ssl.create_default_context(cafile=certificate if trusted else None)
    session = Manager()
    with pytest.raises(NotConnected, match="certificate verify failed"):
        session.connect(host, tls_ami.port, tls=context)


# Replies


def test_replies_find_their_action_whatever_their_order(ami, manager):
    held = []
    ami.answers["Getvar"] = lambda peer, action: held.append((peer, action))
    outcomes = [
        submitted(manager, {"Action": "Getvar", "Variable": str(number)}) for number in range(100)
    ]
    ami.received("Getvar", 100)
    for peer, action in reversed(held):
        peer.reply(action, Value=action["Variable"])
    assert [outcome()[0]["Value"] for outcome in outcomes] == [str(n) for n in range(100)]


def test_pings_do_not_wait_for_a_slow_action(ami, manager):
    ami.answers["Slow"] = silence
    slow = submitted(manager, {"Action": "Slow"})
    for _ in range(50):
        assert manager.request({"Action": "Ping"})[0]["Ping"] == "Pong"
    peer, action = ami.peers[-1], ami.received("Slow")[0]
    peer.reply(action, Done="yes")
    assert slow()[0]["Done"] == "yes"


def test_an_error_of_asterisk_is_a_reply(manager):
    (reply,) = manager.request({"Action": "Nonsense"})
    assert reply["Response"] == "Error"
    assert reply["content"] == ""


def test_an_action_id_of_the_caller_is_kept(ami, manager):
    (reply,) = manager.request({"Action": "Ping", "ActionID": "mine"})
    assert reply["ActionID"] == "mine"
    manager.request({"Action": "Ping", "actionid": "other"})
    assert "ActionID" not in ami.actions[-1]


def test_an_action_id_that_is_in_flight_is_refused(ami, manager):
    ami.answers["Slow"] = silence
    manager.submit({"Action": "Slow", "ActionID": "mine"})
    with pytest.raises(BadAction, match="'mine' is in flight already"):
        manager.submit({"Action": "Ping", "ActionID": "mine"})


def test_the_callers_dict_is_not_written_to(manager):
    action = {"Action": "Ping"}
    manager.request(action)
    manager.send_action(action, Extra="x")
    assert action == {"Action": "Ping"}


def test_a_header_cannot_be_injected_and_nothing_is_sent(ami, manager):
    with pytest.raises(BadAction, match="'Exten'"):
        manager.request({"Action": "Redirect", "Exten": ["1\r\nAction: Originate"]})
    manager.request({"Action": "Ping"})
    assert [action["Action"] for action in ami.actions] == ["Login", "Ping"]


def test_a_reply_of_nobody_is_counted_and_goes_nowhere(ami, manager, events):
    ami.send(frame("Response: Success", ActionID="who", Message="x"))
    assert manager.request({"Action": "Ping"})[0]["Ping"] == "Pong"
    assert manager.counters["strays"] == 1
    assert events.empty()


def test_an_error_that_names_no_action_belongs_to_the_only_one(ami, manager):
    ami.answers["Odd"] = lambda peer, action: peer.send(
        frame("Response: Error", Message="Failed to parse message: line too long")
    )
    assert manager.request({"Action": "Odd"})[0]["Message"].startswith("Failed to parse")


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan")])
def test_a_time_to_wait_that_is_none_is_refused(manager, timeout):
    with pytest.raises(BadAction, match="The time to wait"):
        manager.request({"Action": "Ping"}, timeout)


# Event lists


@pytest.mark.parametrize(
    ("action", "transcript", "recorded", "count"),
    [
        ("QueueStatus", "asterisk22-queue-status", "q", 5),
        ("QueueStatus", "asterisk16-queue-status", "q", 5),
        ("PJSIPShowEndpoints", "asterisk22-pjsip-endpoints", "e", 7),
        ("PJSIPShowEndpoints", "asterisk16-pjsip-endpoints", "e", 7),
    ],
)
def test_an_event_list_comes_whole_with_its_reply(
    ami, manager, events, action, transcript, recorded, count
):
    ami.answers[action] = lambda peer, got: peer.replay(got, transcript, recorded)
    manager.set_wanted({"Cdr"})
    messages = manager.request({"Action": action})
    assert len(messages) == count
    assert messages[0]["EventList"] == "start"
    assert messages[-1]["EventList"] == "Complete"
    assert events.empty()


def test_lists_and_events_that_are_mixed_are_told_apart(ami, manager, events):
    def mixed(peer, action):
        name, key = action["Action"], action["ActionID"]
        peer.send(frame("Response: Success", ActionID=key, EventList="start"))
        for number in range(3):
            peer.send(frame(f"Event: {name}Entry", ActionID=key, Number=number))
            peer.send(frame("Event: Cdr", Source=f"{name}{number}"))
        open_lists.append((peer, name, key))
        if len(open_lists) == 2:
            for peer, name, key in open_lists:
                peer.send(frame(f"Event: {name}Complete", ActionID=key, EventList="Complete"))

    open_lists = []
    ami.answers["A"] = ami.answers["B"] = mixed
    a, b = submitted(manager, {"Action": "A"}), submitted(manager, {"Action": "B"})
    assert [message.get("Event") for message in a()[1:]] == ["AEntry"] * 3 + ["AComplete"]
    assert [message.get("Event") for message in b()[1:]] == ["BEntry"] * 3 + ["BComplete"]
    sources = []
    while len(sources) < 6:
        sources += [event["Source"] for event in events.get(timeout=5)]
    assert sources == ["A0", "A1", "A2", "B0", "B1", "B2"]


def test_the_outcome_of_an_originate_is_an_event_and_not_part_of_a_list(ami, manager, events):
    ami.answers["Originate"] = lambda peer, action: peer.replay(
        action, "asterisk22-originate-failed", "o"
    )
    messages = manager.request({"Action": "Originate", "ActionID": "call"})
    assert messages[0]["Message"] == "Originate successfully queued"
    assert len(messages) == 1
    (event,) = events.get(timeout=5)
    assert (event["Event"], event["ActionID"], event["Reason"]) == (
        "OriginateResponse",
        "call",
        "0",
    )


def test_an_unwanted_event_with_the_action_id_of_one_in_flight_stays_out(ami, manager, events):
    def answer(peer, action):
        peer.send(
            frame("Event: OriginateResponse", ActionID=action["ActionID"])
            + frame("Event: Cdr", Source="101")
            + frame("Response: Success", ActionID=action["ActionID"])
        )

    ami.answers["Originate"] = answer
    manager.set_wanted({"Cdr"})
    assert len(manager.request({"Action": "Originate"})) == 1
    assert events.get(timeout=5) == [{"Event": "Cdr", "Source": "101"}]


# Time


def test_an_action_that_is_not_answered_ends_in_its_time_and_others_go_on(ami, manager):
    ami.answers["Slow"] = silence
    began = time.monotonic()
    with pytest.raises(ActionTimeout, match=r"Slow: no answer came within 0\.1 s"):
        manager.request({"Action": "Slow"}, 0.1)
    assert 0.1 <= time.monotonic() - began < 4  # other actions have 5 s
    assert manager.request({"Action": "Ping"})[0]["Ping"] == "Pong"


def test_a_shorter_time_is_kept_although_a_longer_one_is_waited_for(ami, manager):
    ami.answers["Slow"] = silence
    long = submitted(manager, {"Action": "Slow"}, 60)
    with pytest.raises(ActionTimeout):
        manager.request({"Action": "Slow"}, 0.05)
    manager.close()
    assert isinstance(long(), UnknownOutcome)


def test_an_answer_that_comes_late_is_nobodys(ami, manager, events):
    ami.answers["Slow"] = silence
    with pytest.raises(ActionTimeout):
        manager.request({"Action": "Slow", "ActionID": "late"}, 0.05)
    ami.send(
        frame("Response: Success", ActionID="late", EventList="start")
        + frame("Event: Entry", ActionID="late")
        + frame("Event: EntryComplete", ActionID="late", EventList="Complete")
        + frame("Event: Cdr", Source="101")
    )
    assert events.get(timeout=5) == [{"Event": "Cdr", "Source": "101"}]
    assert manager.request({"Action": "Ping", "ActionID": "late"})[0]["Ping"] == "Pong"


def test_a_list_that_does_not_end_ends_in_its_time_and_its_rest_is_nobodys(ami, manager, events):
    ami.answers["List"] = lambda peer, action: peer.send(
        frame("Response: Success", ActionID="list", EventList="start")
        + frame("Event: Entry", ActionID="list")
    )
    with pytest.raises(ActionTimeout, match=r"its event list did not end within 0\.05 s"):
        manager.request({"Action": "List", "ActionID": "list"}, 0.05)
    ami.send(frame("Event: Entry", ActionID="list") + frame("Event: Cdr", Source="101"))
    assert events.get(timeout=5) == [{"Event": "Cdr", "Source": "101"}]


def test_a_late_list_whose_items_nobody_wants_is_forgotten_when_it_ends(ami, manager):
    manager.set_wanted({"Cdr"})
    ami.answers["List"] = lambda peer, action: peer.send(
        frame("Response: Success", ActionID="list", EventList="start")
    )
    with pytest.raises(ActionTimeout):
        manager.request({"Action": "List", "ActionID": "list"}, 0.05)
    ami.send(frame("Event: EntryComplete", ActionID="list", EventList="Complete"))
    manager.ping()
    assert manager.request({"Action": "Ping", "ActionID": "list"})[0]["Ping"] == "Pong"


def test_many_actions_leave_nothing_behind(manager):
    for _ in range(3000):
        manager.request({"Action": "Ping"})
    in_flight = manager._in_flight
    assert not in_flight._actions
    assert not in_flight.wire_ids
    assert len(in_flight._deadlines) <= 1002


def test_a_quiet_peer_is_pinged_and_kept(ami):
    with connected(ami, ping_interval=0.5) as session:
        ami.received("Ping", 3)
        assert session.connected()


def test_a_peer_that_went_silent_is_noticed_within_two_ping_intervals(ami):
    ami.answers["Ping"] = silence
    with connected(ami, ping_interval=5) as session:
        began = time.monotonic()
        assert session.wait_closed(30)
        assert time.monotonic() - began <= 10
        assert isinstance(session.close_reason, ConnectionLost)
        assert "said nothing for" in str(session.close_reason)


def test_a_busy_reader_does_not_take_waiting_bytes_for_silence(ami):
    with connected(ami, ping_interval=0.5) as session:
        held = threading.Event()
        session.on_frames = lambda events: held.wait(1.5)
        ami.send(frame("Event: Cdr"))
        ami.send(frame("Event: Cdr"))
        assert not session.wait_closed(2.5)
        assert session.request({"Action": "Ping"})[0]["Ping"] == "Pong"


# Breaks


def test_an_action_in_flight_when_the_connection_breaks_has_an_unknown_outcome(ami, manager):
    ami.answers["Originate"] = lambda peer, action: peer.close()
    with pytest.raises(UnknownOutcome, match="Originate was sent and not answered") as caught:
        manager.request({"Action": "Originate"})
    assert not isinstance(caught.value, ActionTimeout)
    assert "not sent again" in str(caught.value)
    assert manager.wait_closed(5)
    assert str(manager.close_reason) == "Asterisk closed the connection"


def test_nothing_is_sent_again_after_a_reconnect(ami, manager):
    ami.answers["Originate"] = lambda peer, action: peer.close()
    with pytest.raises(UnknownOutcome):
        manager.request({"Action": "Originate"})
    manager.wait_closed(5)
    manager.connect(ami.host, ami.port)
    manager.login("salt", ami.secret)
    manager.request({"Action": "Ping"})
    assert [action["Action"] for action in ami.actions] == ["Login", "Originate", "Login", "Ping"]


def test_a_connection_that_breaks_within_a_list_gives_no_half_of_it(ami, manager):
    def half(peer, action):
        peer.send(frame("Response: Success", ActionID=action["ActionID"], EventList="start"))
        peer.send(b"Event: Entry\r\nActionID: " + action["ActionID"].encode())
        peer.close()

    ami.answers["List"] = half
    with pytest.raises(UnknownOutcome):
        manager.request({"Action": "List"})


def test_what_could_not_be_sent_is_said_to_be_not_sent(ami, manager):
    stuck, go = threading.Event(), threading.Event()

    def hold(peer, action):
        stuck.set()
        go.wait(60)

    ami.answers["Hold"] = hold
    manager.submit({"Action": "Hold"})
    assert stuck.wait(5)
    padding = ["x" * 1000] * 100
    outcomes = []

    def fill():
        for _ in range(1000):
            outcomes.append(submitted(manager, {"Action": "Fill", "H": padding}, 60))

    with pytest.raises(NotConnected, match="does not read what it is sent"):
        fill()
    manager.close()
    go.set()
    kinds = [type(outcome()) for outcome in outcomes]
    assert kinds[0] is UnknownOutcome
    assert kinds[-1] is NotConnected
    assert kinds == sorted(kinds, key=[UnknownOutcome, NotConnected].index)


def test_a_peer_that_reads_slowly_gets_everything_in_order(ami):
    gate = threading.Event()
    ami.answers["First"] = lambda peer, action: gate.wait(60)
    ami.answers["Fill"] = silence
    # No deadline shall wake the reader: only what is left to send.
    with connected(ami, connect_timeout=60.0, action_timeout=60.0) as session:
        session.submit({"Action": "First"})
        count = 0
        while not session._link._backlog:
            session.submit({"Action": "Fill", "Number": str(count), "H": ["x" * 1000] * 100})
            count += 1
        last = submitted(session, {"Action": "Ping"})
        gate.set()
        assert last()[0]["Ping"] == "Pong"
    numbers = [action["Number"] for action in ami.actions if "Number" in action]
    assert numbers == [str(number) for number in range(count)]


def test_without_a_connection_an_action_fails_at_once():
    with pytest.raises(NotConnected, match="nothing was sent"):
        Manager().request({"Action": "Ping"})


def test_on_close_is_told_the_reason_once(ami, manager):
    reasons = queue.Queue()
    manager.on_close = reasons.put
    ami.peers[-1].close()
    assert isinstance(reasons.get(timeout=5), ConnectionLost)
    manager.close()
    assert reasons.empty()


def test_closing_here_is_no_error_and_may_be_repeated(ami, manager):
    reasons = queue.Queue()
    manager.on_close = reasons.put
    manager.close()
    manager.close()
    assert reasons.get(timeout=5) is None
    assert manager.close_reason is None
    assert not manager.connected()


def test_close_after_logoff_does_nothing(manager):
    assert repr(manager.logoff()) == "Goodbye"
    assert manager.wait_closed(5)
    manager.close()


def test_a_session_leaves_no_thread_and_no_file_descriptor(ami):
    with connected(ami):
        pass
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with connected(ami) as session:
            session.request({"Action": "Ping"})
    ami.received("Ping", 20)
    for thread in ami._threads[1:]:
        thread.join(5)
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= files


# Events


def test_events_of_one_read_come_as_one_list_in_order(ami, manager, events):
    ami.send(b"".join(frame("Event: Newexten", Number=number) for number in range(50)))
    numbers = []
    while len(numbers) < 50:
        numbers += [event["Number"] for event in events.get(timeout=5)]
    assert numbers == [str(number) for number in range(50)]
    assert manager.counters["read"] == {"Newexten": 50}


def test_only_wanted_events_come_and_the_others_are_counted(ami, manager, events):
    manager.set_wanted({"Cdr"})
    ami.send(frame("Event: Newexten") + frame("Event: Cdr", Source="101"))
    assert events.get(timeout=5) == [{"Event": "Cdr", "Source": "101"}]
    counters = manager.counters
    assert counters["read"] == {"Cdr": 1, "Newexten": 1}
    assert counters["skipped"] == {"Newexten": 1}


def test_a_dropped_frame_is_counted_by_name(ami):
    with connected(ami, max_frame=500) as session:
        ami.send(frame("Event: UserEvent", Text="x" * 1000))
        session.request({"Action": "Ping"})
        assert session.counters["dropped"] == {"UserEvent": 1}


def test_functions_that_are_registered_as_with_pyst2_get_its_events(ami, manager):
    seen = queue.Queue()

    def on_hangup(event, who):
        seen.put((event.name, event.get_header("Cause"), event["ChanVariable"], who))

    manager.register_event("Hangup", on_hangup)
    manager.register_event("*", lambda event, who: seen.put(event.headers))
    ami.send(frame("Event: Hangup", "ChanVariable: A=1", Cause="16"))
    assert seen.get(timeout=5) == ("Hangup", "16", {"A": "1"}, manager)
    assert seen.get(timeout=5)["Event"] == "Hangup"
    manager.unregister_event("Hangup", on_hangup)
    ami.send(frame("Event: Hangup"))
    assert seen.get(timeout=5) == {"Event": "Hangup"}


def test_a_registered_function_that_returns_true_is_the_last_one(ami, manager):
    seen = queue.Queue()
    manager.register_event("Hangup", lambda event, who: True)
    manager.register_event("*", lambda event, who: seen.put(event.name))
    ami.send(frame("Event: Hangup") + frame("Event: Cdr"))
    assert seen.get(timeout=5) == "Cdr"


def test_a_function_that_raises_is_logged_and_the_session_goes_on(ami, manager, events, caplog):
    def fail(event, who):
        raise ValueError("mine")

    manager.register_event("*", fail)
    ami.send(frame("Event: Cdr"))
    assert events.get(timeout=5)
    assert manager.request({"Action": "Ping"})[0]["Ping"] == "Pong"
    assert "ValueError: mine" in caplog.text


def test_a_registered_function_may_send_actions_and_events_stay_in_order(ami, manager):
    seen = queue.Queue()

    def on_event(event, who):
        who.ping()
        seen.put(event["Number"])

    manager.register_event("X", on_event)
    for number in range(20):
        ami.send(frame("Event: X", Number=number))
    assert [seen.get(timeout=5) for _ in range(20)] == [str(number) for number in range(20)]


def test_events_before_a_break_are_told_although_a_function_waits_for_an_answer(ami, manager):
    seen = queue.Queue()
    ami.answers["Ask"] = lambda peer, action: (
        peer.send(frame("Event: X", Number=2)),
        peer.close(),
    )

    def on_event(event, who):
        seen.put(event["Number"])
        who.request({"Action": "Ask"})

    manager.register_event("X", on_event)
    ami.send(frame("Event: X", Number=1))
    assert [seen.get(timeout=5), seen.get(timeout=5)] == ["1", "2"]


def test_an_actions_callback_may_send_the_next_one(ami, manager):
    outcome = queue.Queue()
    manager.submit(
        {"Action": "Ping"}, None, lambda _: outcome.put(manager.request({"Action": "Ping"}))
    )
    assert outcome.get(timeout=5)[0]["Ping"] == "Pong"


def test_pyst2s_own_calls_work(ami, manager):
    assert isinstance(manager, pyst2.Manager)
    for name in ("Originate", "Hangup", "Command", "Redirect"):
        ami.answers[name] = lambda peer, action: peer.reply(action, Message="done")
    manager.originate("SIP/101", "100", context="default", variables={"A": "1", "B": "2"})
    assert ami.received("Originate")[0]["Variable"] == ["A=1", "B=2"]
    assert manager.hangup("SIP/101-1").get_header("Message") == "done"
    assert repr(manager.redirect("SIP/101-1", "100")) == "Success"


def test_command_output_is_the_data_of_pyst2s_message(ami, manager):
    ami.answers["Command"] = lambda peer, action: peer.replay(action, "asterisk22-command", "c")
    message = manager.command("dialplan show")
    assert message.data.splitlines()[-1] == "-= 1 extension (6 priorities) in 1 context. =-"


def test_the_list_of_a_pyst2_call_is_with_its_message(ami, manager):
    ami.answers["QueueStatus"] = lambda peer, action: peer.replay(
        action, "asterisk22-queue-status", "q"
    )
    message = manager.send_action({"Action": "QueueStatus"})
    assert [event["Event"] for event in message.events][-1] == "QueueStatusComplete"


def test_the_greeting_is_what_connect_returns(ami):
    session = Manager()
    greeting = session.connect(ami.host, ami.port)
    assert greeting.data == GREETING.decode().strip()
    assert session.title == "Asterisk Call Manager"
    session.close()
