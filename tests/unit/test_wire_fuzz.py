"""
Feeds the parser what no Asterisk would send: a bounded while of hostile bytes.

``FUZZ_EXAMPLES`` (environment) sets how many inputs each test tries.
"""

import contextlib
import logging
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbxlib.errors import BadAction, NotAsterisk
from pbxlib.message import MAX_LINES, serialize
from pbxlib.wire import Parser


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """A dropped frame is logged; here that is every other one."""
    logger = logging.getLogger("pbxlib.wire")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1000"))
CAP = 60
bounded = settings(
    max_examples=EXAMPLES, deadline=2000, suppress_health_check=list(HealthCheck), database=None
)

PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b": ",
        b":",
        b"Event: ",
        b"Event: Cdr\r\n",
        b"Event: Hangup",
        b"Response: ",
        b"Response: Follows\r\n",
        b"Response: Success\r\n",
        b"ActionID: 1\r\n",
        b"Privilege: Command\r\n",
        b"--END COMMAND--",
        b"--END COMMAND--\r\n\r\n",
        b"Output: a line\r\n",
        b"ChanVariable: a=b\r\n",
        b"ChanVariable(SIP/1): a=b\r\n",
        b"DestChanVariable: a\r\n",
        b"EventList: start\r\n",
        b"content: x\r\n",
        "Имя: Žaneta".encode(),
        b"x" * 30,
        b"x" * 70,
        b"\xff\xfe",
        b"\0",
    ]
)
STREAMS = st.lists(st.one_of(PIECES, PIECES, PIECES, st.binary(max_size=8)), max_size=40).map(
    b"".join
)
GREETED = STREAMS.map(lambda data: b"Asterisk Call Manager/11.0.0\r\n" + data)
WANTED = st.sampled_from([None, frozenset(), frozenset(["Cdr"])])
IDS = st.sampled_from([set(), {b"1"}])


def outcome(chunks, wanted, ids):
    parser = Parser(CAP, wanted)
    parser.action_ids = ids
    messages = []
    for chunk in chunks:
        messages += parser.feed(chunk)
        assert len(parser._tail) + len(parser._follows or b"") <= CAP + len(chunk) + 64
    return messages, dict(parser.parsed), parser.skipped, dict(parser.oversize)


@bounded
@given(GREETED, WANTED, IDS, st.data())
def test_no_bytes_and_no_split_of_them_make_a_difference(stream, wanted, ids, data):
    whole = outcome([stream], wanted, ids)
    assert outcome([stream[i : i + 1] for i in range(len(stream))], wanted, ids) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]
    assert outcome(pieces, wanted, ids) == whole


@bounded
@given(STREAMS)
def test_a_peer_that_does_not_greet_raises_one_error_only(stream):
    with contextlib.suppress(NotAsterisk):
        outcome([stream], None, set())


@bounded
@given(GREETED)
def test_every_message_has_the_promised_shape(stream):
    for message in outcome([stream], None, set())[0]:
        assert isinstance(message.get("Event", ""), str)
        assert isinstance(message.get("Response", ""), str)
        assert isinstance(message.get("ActionID", ""), str)
        for name, value in message.items():
            assert isinstance(name, str)
            if isinstance(value, dict):
                assert all(isinstance(item, str) for pair in value.items() for item in pair)
            elif isinstance(value, list):
                assert value
                assert all(isinstance(item, str) for item in value)
            else:
                assert isinstance(value, str)
        assert "Event" in message or "content" in message


@bounded
@given(GREETED)
def test_after_any_bytes_the_next_events_come_through(stream):
    event = b"Event: Cdr\r\nA: b\r\n\r\n"
    # Command output that never ends is given up once it is too long.
    after = b"\r\n\r\n" + b"x" * CAP + b"\r\n\r\n" + event * 5
    messages = outcome([stream + after], None, set())[0]
    assert messages[-2:] == [{"Event": "Cdr", "A": "b"}] * 2


TEXT = st.text(max_size=12)
VALUES = st.recursive(
    st.one_of(TEXT, st.integers(), st.booleans(), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@bounded
@given(st.dictionaries(TEXT, VALUES, max_size=6))
def test_no_action_writes_more_headers_than_it_has_values(action):
    try:
        data = serialize(action)
    except BadAction:
        return
    assert data.endswith(b"\r\n\r\n")
    lines = data[:-4].split(b"\r\n")
    assert len(lines) == sum(map(leaves, action.values())) <= MAX_LINES
    for line in lines:
        assert b"\r" not in line
        assert b"\n" not in line
        assert line.split(b": ")[0].decode() in action


def leaves(value):
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1
