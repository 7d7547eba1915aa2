"""The wire format: any split of the bytes, every header, hard limits."""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbxlib.errors import NotAsterisk
from pbxlib.message import MAX_KEPT_LINES, Lines, serialize
from pbxlib.wire import MAX_NAMES, OTHER_NAMES, Parser

TRANSCRIPTS = {
    path.stem: path.read_bytes()
    for path in sorted((pathlib.Path(__file__).parent / "transcripts").glob("*.txt"))
}
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


def read(stream, *, parser=None):
    parser = parser or Parser()
    return parser.feed(GREETING + stream)


def only(stream):
    (message,) = read(stream)
    return message


def last(name):
    return Parser().feed(TRANSCRIPTS[name])[-1]


def frames(*lines):
    return "\r\n".join((*lines, "", "")).encode()


# Splits


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_a_byte_at_a_time_gives_the_same_messages(name):
    stream = TRANSCRIPTS[name]
    parser = Parser()
    messages = []
    for place in range(len(stream)):
        messages += parser.feed(stream[place : place + 1])
    assert messages == Parser().feed(stream)
    assert len(messages) == stream.count(b"\r\n\r\n") - name.startswith("asterisk13")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_transcript_split_anywhere_gives_the_same_messages(data):
    stream = TRANSCRIPTS[data.draw(st.sampled_from(sorted(TRANSCRIPTS)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    parser = Parser()
    messages = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)]):
        messages += parser.feed(stream[start:end])
    assert messages == Parser().feed(stream)


def test_utf8_that_is_split_between_reads_stays_whole():
    stream = GREETING + frames("Event: Newstate", "CallerIDName: Žaneta ☎️ Мария")
    for place in range(len(GREETING), len(stream)):
        parser = Parser()
        messages = parser.feed(stream[:place]) + parser.feed(stream[place:])
        assert messages == [{"Event": "Newstate", "CallerIDName": "Žaneta ☎️ Мария"}]


def test_a_long_frame_in_many_reads_is_not_searched_again_and_again():
    parser = Parser()
    parser.feed(GREETING + b"Event: UserEvent\r\nText: ")
    searched = []

    class Tail(bytearray):
        def find(self, what, start=0):
            searched.append(len(self) - start)
            return super().find(what, start)

    parser._tail = Tail(parser._tail)
    for _ in range(1000):
        assert parser.feed(b"x" * 100) == []
    (event,) = parser.feed(b"\r\n\r\n")
    assert len(event["Text"]) == 100_000
    assert max(searched) <= 103


# The greeting


@pytest.mark.parametrize(("version", "stream"), [("22", "11.0.0"), ("16", "5.0.4")])
def test_the_greeting_tells_the_version(version, stream):
    parser = Parser()
    parser.feed(TRANSCRIPTS[f"asterisk{version}-ping"])
    assert parser.version == stream


def test_a_transcript_without_its_greeting_is_read_too():
    parser = Parser()
    assert parser.feed(frames("Event: Cdr", "Source: 101")) == [{"Event": "Cdr", "Source": "101"}]
    assert parser.version is None


@pytest.mark.parametrize("stream", [b"SSH-2.0-OpenSSH_9.2\r\n", b"x" * 2000, b"\xff\xfe\r\n"])
def test_another_server_is_told_from_asterisk(stream):
    with pytest.raises(NotAsterisk, match="not Asterisk's manager interface"):
        Parser().feed(stream)


# Headers


def test_a_ping_has_the_shape_that_the_developer_guide_shows():
    assert last("asterisk22-ping") == {
        "Response": "Success",
        "ActionID": "p",
        "Ping": "Pong",
        "Timestamp": last("asterisk22-ping")["Timestamp"],
        "content": "",
    }


@pytest.mark.parametrize("version", ["16", "22"])
def test_an_event_that_has_a_response_header_is_an_event(version):
    message = last(f"asterisk{version}-originate-failed")
    assert (message["Event"], message["Response"]) == ("OriginateResponse", "Failure")
    assert "content" not in message


def test_a_reply_that_has_an_event_header_is_a_reply():
    message = only(frames("Response: Success", "Value: one", "Event: Hangup"))
    assert "Event" not in message
    assert message["content"] == ["Event: Hangup"]


def test_a_repeated_header_is_a_list():
    message = only(frames("Event: X", "Variable: a=1", "Other: y", "Variable: b=2", "Variable: "))
    assert message == {"Event": "X", "Variable": ["a=1", "b=2", ""], "Other": "y"}


def test_a_user_event_cannot_pose_as_another_event():
    message = only(frames("Event: UserEvent", "UserEvent: x", "Event: Cdr", "ActionID: 1"))
    assert (message["Event"], message["content"]) == ("UserEvent", ["Event: Cdr"])


@pytest.mark.parametrize("version", ["16", "22"])
def test_channel_variables_are_a_dict(version):
    message = last(f"asterisk{version}-user-event")
    message = next(
        message
        for message in Parser().feed(TRANSCRIPTS[f"asterisk{version}-user-event"])
        if message.get("UserEvent") == "Odd"
    )
    assert message["ChanVariable"]["CHANNEL(language)"] == "en"
    assert message["K"] == "v: w"
    assert message["Empty"] == ""
    assert message["UTF"] == "☎️"


@pytest.mark.parametrize("version", ["16", "22"])
def test_variables_of_the_called_channel_are_a_dict_of_their_own(version):
    dials = [
        message
        for message in Parser().feed(TRANSCRIPTS[f"asterisk{version}-call"])
        if message.get("Event") == "DialBegin" and "ChanVariable" in message
    ]
    assert dials
    for dial in dials:
        assert set(dial["DestChanVariable"]) == {"FOO", "UTF8VAR", "CHANNEL(language)"}
        assert dial["ChanVariable"]["FOO"] == "one=1"


@pytest.mark.parametrize("version", ["16", "22"])
def test_variables_that_name_their_channel_are_under_the_same_name(version):
    message = last(f"asterisk{version}-originate-answered")
    assert message["ChanVariable"] == {"FOO": "", "UTF8VAR": "", "CHANNEL(language)": "en"}


def test_variables_of_a_second_channel_keep_the_name_of_the_channel():
    message = only(
        frames(
            "Event: Link",
            "ChanVariable(SIP/1): A=1",
            "ChanVariable(SIP/2): A=2",
            "ChanVariable(SIP/1): B=3",
        )
    )
    assert message == {
        "Event": "Link",
        "ChanVariable": {"A": "1", "B": "3"},
        "ChanVariable(SIP/2)": {"A": "2"},
    }


def test_one_variable_without_a_value_is_a_dict_too():
    assert only(frames("Event: X", "ChanVariable: A"))["ChanVariable"] == {"A": ""}


def test_no_header_of_a_recorded_call_is_lost():
    for name in ("asterisk22-call", "asterisk16-queue-call"):
        messages = Parser().feed(TRANSCRIPTS[name])
        lines = TRANSCRIPTS[name].decode().partition("\r\n")[2].strip().split("\r\n\r\n")
        assert len(messages) == len(lines)
        for message, frame in zip(messages, lines):
            values = 0
            for value in message.values():
                values += len(value) if isinstance(value, (dict, list)) else 1
            values -= message.get("content") == ""
            assert values == len(frame.split("\r\n"))


def test_values_keep_their_spaces_and_bare_line_feeds():
    message = only(frames("Event: X", "A:  two ", "B: one\ntwo", "C:", "D:no space", "E: "))
    assert message == {
        "Event": "X",
        "A": " two ",
        "B": "one\ntwo",
        "C": "",
        "D": "no space",
        "E": "",
    }


def test_bytes_that_are_not_utf8_survive_a_round_trip():
    message = only(b"Event: X\r\nCallerIDName: \xff\xfeM\xfcller\r\n\r\n")
    assert serialize({"CallerIDName": message["CallerIDName"]}) == (
        b"CallerIDName: \xff\xfeM\xfcller\r\n\r\n"
    )


# Command output


@pytest.mark.parametrize("version", ["16", "22"])
def test_the_lines_of_a_command_are_all_there_in_order(version):
    message = last(f"asterisk{version}-command")
    assert message["Message"] == "Command output follows"
    assert message["content"][0] == "[ Context 'default' created by 'pbx_lua' ]"
    assert "Set(UTF8VAR=žluťoučký kůň)" in message["content"][3]
    assert message["content"][3].startswith("      ")
    assert message["content"][-2:] == ["", "-= 1 extension (6 priorities) in 1 context. =-"]
    assert "Output" not in message


@pytest.mark.parametrize("version", ["16", "22"])
def test_an_unknown_command_is_an_error_with_output(version):
    message = last(f"asterisk{version}-command-unknown")
    assert message["Response"] == "Error"
    assert message["content"][0].startswith("No such command 'nonsense'")


def test_command_output_of_old_asterisk_may_hold_blank_lines_and_colons():
    _, reply, event = Parser().feed(TRANSCRIPTS["asterisk13-command"])
    assert reply == {
        "Response": "Follows",
        "Privilege": "Command",
        "ActionID": "c",
        "content": [
            "Name/username             Host                Status",
            "maria/Мария: desk         192.0.2.7           OK (12 ms)",
            "",
            "Event: this is no event",
            "",
            "",
            "  2 sip peers [Monitored: 1 online]",
        ],
    }
    assert event["Event"] == "Hangup"


def test_a_command_with_thousands_of_lines_comes_whole():
    lines = [f"Output: line {number}" for number in range(5000)]
    message = only(frames("Response: Success", "Message: Command output follows", *lines))
    assert message["content"] == [f"line {number}" for number in range(5000)]


# Limits


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_frame_past_the_cap_is_dropped_and_the_stream_goes_on(step, caplog):
    parser = Parser(max_frame=100)
    stream = GREETING + frames("Event: UserEvent", "Text: " + "x" * 500)
    stream += frames("Event: Cdr", "Source: 101")
    messages = []
    for place in range(0, len(stream), step):
        messages += parser.feed(stream[place : place + step])
    assert messages == [{"Event": "Cdr", "Source": "101"}]
    assert parser.oversize == {"UserEvent": 1}
    assert "Event: UserEvent" in caplog.text


def test_a_frame_as_long_as_the_cap_is_taken():
    frame = b"Event: X\r\nA: " + b"x" * 87
    assert len(frame) == 100
    assert len(read(frame + b"\r\n\r\n", parser=Parser(max_frame=100))) == 1
    assert len(read(frame + b"x\r\n\r\n", parser=Parser(max_frame=100))) == 0


def test_a_frame_without_an_end_holds_no_more_memory_than_the_cap():
    parser = Parser(max_frame=1000)
    parser.feed(GREETING + b"Event: UserEvent\r\nText: ")
    for _ in range(100):
        parser.feed(b"x" * 500)
        assert len(parser._tail) < 2000


def test_command_output_without_an_end_is_given_up_at_the_cap():
    parser = Parser(max_frame=100)
    stream = b"Response: Follows\r\nPrivilege: Command\r\nfor ever\n" + b"\r\n\r\nmore" * 30
    stream += b"\r\n\r\n" + frames("Event: Cdr", "Source: 101")
    assert read(stream, parser=parser) == [{"Event": "Cdr", "Source": "101"}]
    assert parser.oversize == {"Response: Follows": 1}


def test_a_peer_that_invents_names_does_not_fill_the_counters():
    stream = b"".join(b"Event: E%d\r\n\r\n" % number for number in range(MAX_NAMES + 500))
    for wanted in (None, {"Cdr"}):
        parser = Parser(wanted=wanted)
        read(stream, parser=parser)
        counts = parser.skipped if wanted else parser.parsed
        assert len(counts) == MAX_NAMES + 1
        assert counts[OTHER_NAMES] == 500


def test_lines_that_never_come_again_do_not_fill_the_memory():
    headers = Lines()
    for number in range(MAX_KEPT_LINES * 2 + 100):
        headers[b"Uniqueid: %d" % number]
        headers[b"Text: %d " % number + b"x" * 1000]
    assert len(headers) == 100


# The fast path


def test_events_that_nobody_wants_are_counted_and_passed_over():
    parser = Parser(wanted={"Cdr"})
    stream = TRANSCRIPTS["asterisk22-call"]
    everything = Parser().feed(stream)
    assert parser.feed(stream) == [
        message for message in everything if message.get("Event", "Cdr") == "Cdr"
    ]
    names = [message["Event"] for message in everything if "Event" in message]
    assert sum(parser.skipped.values()) + sum(parser.parsed.values()) == len(names)
    assert parser.skipped["Newexten"] == names.count("Newexten")
    assert parser.parsed == {"Cdr": names.count("Cdr")}


def test_a_name_is_not_taken_for_a_longer_one_that_begins_with_it():
    parser = Parser(wanted={"Hangup"})
    stream = frames("Event: HangupRequest", "A: b") + frames("Event: Hangup") + b"Event: HangupX"
    messages = read(stream + b"\r\n\r\n", parser=parser)
    assert messages == [{"Event": "Hangup"}]
    assert parser.skipped == {"HangupRequest": 1, "HangupX": 1}


def test_items_of_an_event_list_in_flight_come_through_the_fast_path():
    parser = Parser(wanted={"Cdr"})
    parser.action_ids = {b"q"}
    messages = parser.feed(TRANSCRIPTS["asterisk22-queue-status"])
    assert [message.get("Event") for message in messages][2:] == [
        "QueueParams",
        "QueueMember",
        "QueueParams",
        "QueueStatusComplete",
    ]


def test_what_is_wanted_can_change_between_reads():
    parser = Parser(wanted=())
    event = frames("Event: Cdr", "Source: 101")
    assert read(event, parser=parser) == []
    parser.want({"Cdr"})
    assert len(parser.feed(event)) == 1
    parser.want(None)
    assert len(parser.feed(event + frames("Event: Hangup"))) == 2
