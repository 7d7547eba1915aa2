"""Call records from Asterisk's own file: those that no event brought, each once."""

import csv
import gzip
import io
import os
import shutil
import threading

import pytest
from tests.unit.items import event

from pbxlib import cdr, settings
from pbxlib.backoff import Backoff
from pbxlib.cdrfile import CdrFile
from pbxlib.errors import OutboxError
from pbxlib.events import EventMap
from pbxlib.outbox import Outbox

START = 1_699_999_000


def row(number, **others):
    """A line of the file, as Asterisk writes it."""
    values = dict.fromkeys(cdr.COLUMNS, "")
    values.update(
        Source="101",
        Channel=f"PJSIP/101-{number:08x}",
        StartTime=f"{START + number}.250000",
        AnswerTime="0.000000",
        EndTime=f"{START + number + 5}.750000",
        Duration="5",
        BillableSeconds="0",
        Disposition="NO ANSWER",
        UniqueID=f"{START + number}.{number}",
        Sequence=str(number),
        **others,
    )
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(values.values())
    return line.getvalue()


class Bridge:
    """What of the bridge matters here: an event map that leads records to Odoo, and an outbox."""

    def __init__(self, outbox, folder, clock, **route):
        self.outbox = outbox
        self.path = str(folder / "asterisk-formula.csv")
        spec = {"model": "my.call", "method": "on_cdr", "keep": "forever", **route}
        self.map = EventMap.of(settings.resolve({"events": {"Cdr": [spec]}}))
        self.file = CdrFile(self.path, outbox, self.items, clock=clock)
        self.file.wanted = True

    def items(self, event):
        record = cdr.key(event)
        return [
            dict(route.item("Cdr", event), record=record, id=cdr.item_id(record, route.path))
            for route in self.map.routes(event)
        ]

    def write(self, *numbers, **others):
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(row(number, **others) for number in numbers)

    def compress(self, path):
        """As logrotate does: the text by another name, with its time."""
        with open(path, "rb") as file, gzip.open(path + ".gz", "wb") as packed:
            packed.write(file.read())
        shutil.copystat(path, path + ".gz")
        os.unlink(path)
        return path + ".gz"

    def hear(self, *numbers):
        for number in numbers:
            event = cdr.from_row(next(csv.reader([row(number)])))
            self.outbox.put(self.items(event))

    def delivered(self):
        """The sequences of the records in the outbox, in their order."""
        batch = self.outbox.open_batch(10_000, 100_000_000)
        if batch is None:
            return []
        self.outbox.settle(batch.number, {item["id"]: ["done"] for item in batch.items}, 8, float)
        return [int(item["data"]["Sequence"]) for item in batch.items]


@pytest.fixture
def bridge(outbox, tmp_path, clock):
    bridge = Bridge(outbox, tmp_path, clock)
    bridge.write(1, 2)
    bridge.file.read()
    return bridge


def test_the_first_start_begins_at_the_end(bridge):
    assert bridge.delivered() == []
    bridge.write(3)
    bridge.file.read()
    assert bridge.delivered() == [3]


def test_a_file_that_is_not_there_yet_is_read_from_its_beginning(outbox, tmp_path, clock):
    bridge = Bridge(outbox, tmp_path, clock)
    bridge.file.read()
    bridge.write(1)
    bridge.file.read()
    assert bridge.delivered() == [1]


def test_what_no_event_brought_is_delivered_once(bridge):
    bridge.write(3, 4)
    bridge.file.read()
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_a_record_that_came_as_an_event_first_is_not_read_again(bridge):
    bridge.hear(3)
    bridge.write(3, 4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_an_event_that_comes_after_its_record_was_read_is_passed_over(bridge):
    bridge.write(3)
    bridge.file.read()
    bridge.hear(3, 4)
    assert bridge.delivered() == [3, 4]


def test_reading_goes_on_where_it_was_in_another_process(bridge, path, clock, tmp_path):
    bridge.hear(3)
    other = Outbox(path, clock=clock)
    later = Bridge(other, tmp_path, clock)
    later.write(3, 4)
    later.file.read()
    assert later.delivered() == [3, 4]
    other.close()


def test_records_that_both_have_brought_are_not_kept(bridge, outbox):
    bridge.hear(3, 4)
    bridge.write(3, 4, 5)
    bridge.file.read()
    bridge.hear(5)
    assert outbox._read("SELECT * FROM records") == []


def test_records_that_only_one_brought_are_forgotten_after_a_while(bridge, outbox, clock):
    bridge.write(3)
    bridge.hear(4)
    bridge.file.read()
    clock.tick(61)
    bridge.file.read()
    assert [row["source"] for row in outbox._read("SELECT source FROM records")] == ["file"]
    clock.tick(3600)
    bridge.file.read()
    assert outbox._read("SELECT source FROM records") == []


@pytest.fixture
def running(bridge):
    """The bridge with its reader in the background."""
    bridge.file.start()
    yield bridge
    bridge.file.stop()


def test_what_asked_for_a_look_is_read_and_so_is_what_comes_a_moment_later(
    running, outbox, monkeypatch
):
    monkeypatch.setattr("pbxlib.cdrfile.GRACE", 2)
    original, read = outbox.put, threading.Event()

    def put(*args, **named):
        try:
            return original(*args, **named)
        finally:
            read.set()

    monkeypatch.setattr(outbox, "put", put)
    running.write(3)
    running.file.look()
    assert read.wait(10)
    read.clear()
    running.write(4)
    assert read.wait(10)
    assert running.delivered() == [3, 4]


def test_an_outbox_that_cannot_be_written_is_tried_again_and_told_once(
    bridge, outbox, monkeypatch, caplog
):
    monkeypatch.setattr("pbxlib.cdrfile.Backoff", lambda **_: Backoff(0.05, 0.1))
    original, tries, done = outbox.put, [], threading.Event()

    def put(*args, **named):
        tries.append(1)
        if len(tries) < 4:
            raise OutboxError("the disk is full")
        done.set()
        return original(*args, **named)

    monkeypatch.setattr(outbox, "put", put)
    bridge.write(3)
    bridge.file.start()
    bridge.file.look()
    assert done.wait(10)
    bridge.file.stop()
    assert bridge.delivered() == [3]
    assert caplog.text.count("the disk is full") == 1


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("asterisk-formula.csv.1", False),
        ("asterisk-formula.csv-20261123", False),
        ("asterisk-formula.csv.1", True),
    ],
)
def test_a_rotated_file_is_read_to_its_end_under_its_new_name(bridge, name, packed):
    bridge.write(3)
    rotated = os.path.join(os.path.dirname(bridge.path), name)
    os.rename(bridge.path, rotated)
    if packed:
        bridge.compress(rotated)
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]
    bridge.write(5)
    bridge.file.read()
    assert bridge.delivered() == [5]


def test_a_file_that_is_just_being_compressed_is_read_once(bridge):
    bridge.write(3)
    os.rename(bridge.path, bridge.path + ".1")
    with gzip.open(bridge.path + ".1.gz", "wb") as packed:
        packed.write(b'"half')
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_a_compressed_file_that_is_cut_short_is_said_and_the_next_ones_are_read(bridge, caplog):
    bridge.write(*range(3, 2000))
    os.rename(bridge.path, bridge.path + ".1")
    packed = bridge.compress(bridge.path + ".1")
    with open(packed, "r+b") as file:
        file.truncate(os.path.getsize(packed) * 3 // 4)
    bridge.write(2000)
    bridge.file.read()
    numbers = bridge.delivered()
    assert 1000 < len(numbers) < 1997
    assert numbers == [*range(3, 2 + len(numbers)), 2000]
    assert "broken" in caplog.text


def test_a_file_that_was_copied_and_emptied_is_read_in_the_copy_and_in_place(bridge):
    bridge.write(3)
    shutil.copy2(bridge.path, bridge.path + ".1")
    os.truncate(bridge.path, 0)
    bridge.write(*range(4, 20))  # past where it was read up to
    bridge.file.read()
    assert bridge.delivered() == list(range(3, 20))


def test_a_copy_that_somebody_put_beside_it_is_not_read(bridge):
    shutil.copy(bridge.path, bridge.path + ".bak")
    bridge.write(3)
    os.rename(bridge.path, bridge.path + ".1")
    os.utime(bridge.path + ".1", (START, START))
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_files_between_two_rotations_are_read_too(bridge):
    bridge.write(3)
    os.rename(bridge.path, bridge.path + ".2")
    os.utime(bridge.path + ".2", (START, START))
    bridge.write(4)
    os.rename(bridge.path, bridge.path + ".1")
    os.utime(bridge.path + ".1", (START + 60, START + 60))
    bridge.write(5)
    bridge.file.read()
    assert bridge.delivered() == [3, 4, 5]


def test_a_rotated_file_is_read_while_there_is_no_new_one(bridge):
    bridge.write(3)
    os.rename(bridge.path, bridge.path + ".1")
    bridge.file.read()
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_a_rotated_file_that_is_gone_is_said_and_the_new_one_is_read_whole(bridge, caplog):
    bridge.write(3)
    os.rename(bridge.path, bridge.path + ".1")
    os.unlink(bridge.path + ".1")
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [4]
    assert "is not delivered" in caplog.text


def test_another_file_with_the_same_inode_is_told_by_its_text(bridge):
    inode = os.stat(bridge.path).st_ino
    with open(bridge.path, "w", encoding="utf-8"):
        pass  # emptied in place, as by copytruncate
    bridge.write(3, 4, 5, 6)
    assert os.stat(bridge.path).st_ino == inode
    bridge.file.read()
    assert bridge.delivered() == [3, 4, 5, 6]


def test_half_a_line_waits_for_its_other_half(bridge):
    line = row(3)
    with open(bridge.path, "a", encoding="utf-8") as file:
        file.write(line[:20])
        file.flush()
        bridge.file.read()
        file.write(line[20:])
    bridge.file.read()
    assert bridge.delivered() == [3]


def test_a_line_end_inside_quotes_belongs_to_the_value(bridge):
    bridge.write(3, UserField='two\nlines, and a "quote"')
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_a_broken_line_is_said_and_passed_over(bridge, caplog):
    with open(bridge.path, "a", encoding="utf-8") as file:
        file.write('"half a rec')
        file.write("\n")
    bridge.write(*range(3, 60))
    bridge.file.read()
    assert bridge.delivered() == list(range(3, 60))
    assert "is no call record" in caplog.text


def test_bytes_outside_utf8_pass(bridge):
    with open(bridge.path, "ab") as file:
        file.write(row(3).encode().replace(b"PJSIP", b"PJ\xffIP"))
    bridge.file.read()
    assert bridge.delivered() == [3]


def test_a_record_of_the_file_has_its_times_in_utc():
    event = cdr.from_row(next(csv.reader([row(3, LinkedID="1.1")])))
    assert event["StartTime"] == "2023-11-14 21:56:43"
    assert event["AnswerTime"] == ""
    assert event["EndTime"] == "2023-11-14 21:56:48"
    assert event["LinkedID"] == "1.1"


def test_what_was_worth_keeping_for_less_than_its_age_is_counted_stale(outbox, tmp_path, clock):
    bridge = Bridge(outbox, tmp_path, clock, keep="10m")
    bridge.file.read()
    bridge.write(3)  # ended some 16 minutes ago
    bridge.write(900)
    bridge.file.read()
    clock.tick(1)
    assert bridge.delivered() == [900]
    assert outbox.status()["stale"] == 1


def test_many_records_are_read_in_order_and_not_all_at_once(bridge, outbox, monkeypatch):
    sizes = []
    put = outbox.put
    monkeypatch.setattr(
        outbox, "put", lambda items, **named: sizes.append(len(items)) or put(items, **named)
    )
    bridge.write(*range(3, 1303))
    bridge.file.read()
    assert bridge.delivered() == list(range(3, 1303))
    assert max(sizes) == 500


def test_an_outbox_that_cannot_be_written_skips_nothing(bridge, outbox, monkeypatch):
    bridge.write(3)
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "put", fail)
        with pytest.raises(OutboxError):
            bridge.file.read()
    bridge.file.read()
    assert bridge.delivered() == [3]


def fail(*_, **__):
    raise OutboxError("the disk is full")


def test_without_a_route_the_position_is_forgotten(bridge):
    bridge.file.follow(bridge.path, False)
    bridge.file.read()
    bridge.write(3)
    bridge.file.follow(bridge.path, True)
    bridge.file.read()
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [4]


def test_beside_events_that_have_no_sequence_the_file_is_not_read_and_it_is_said(bridge, caplog):
    bridge.file.heard(1, known=False)
    bridge.write(3)
    bridge.file.read()
    assert bridge.delivered() == []
    assert "cdr_manager.conf" in caplog.text
    bridge.file.heard(1, known=True)
    bridge.file.read()
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [4]


def test_a_restored_outbox_reads_records_again_under_the_same_item_ids(bridge, outbox):
    kept = outbox.position
    bridge.write(3)
    bridge.file.read()
    first = outbox.open_batch(10, 1_000_000)
    outbox.settle(first.number, {item["id"]: ["done"] for item in first.items}, 8, float)
    outbox.position = kept
    outbox.forget_records(event=float("inf"), file=float("inf"))
    bridge.file.read()
    again = outbox.open_batch(10, 1_000_000)
    assert [item["id"] for item in again.items] == [item["id"] for item in first.items]


def test_other_events_have_nothing_to_do_with_records(outbox):
    assert outbox.put([event(1)]) == 1
    assert outbox.position is None


@pytest.mark.parametrize(
    "line",
    [
        b'"a"\r"b",x\n',
        b"\0" * 512 + b"\n",
        b'"' + b"a" * 140_000 + b'",x\n',
        row(3).encode().replace(b"1699999003.25", b"1e400"),
        row(3).encode().replace(b"1699999003.25", b"1e20"),
    ],
    ids=["a carriage return", "NULs", "a value that is too long", "no time", "the far future"],
)
def test_an_odd_line_is_passed_over_and_the_next_ones_are_read(bridge, line):
    bridge.write(3)
    with open(bridge.path, "ab") as file:
        file.write(line)
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_what_nobody_thought_of_is_told_and_tried_again(bridge, monkeypatch, caplog):
    monkeypatch.setattr("pbxlib.cdrfile.Backoff", lambda **_: Backoff(0.05, 0.1))
    original, tries, done = bridge.outbox.put, [], threading.Event()

    def put(*args, **named):
        tries.append(1)
        if len(tries) < 3:
            raise ZeroDivisionError("nobody thought of this")
        done.set()
        return original(*args, **named)

    monkeypatch.setattr(bridge.outbox, "put", put)
    bridge.write(3)
    bridge.file.start()
    bridge.file.look()
    assert done.wait(10)
    bridge.file.stop()
    assert bridge.delivered() == [3]
    assert caplog.text.count("Traceback") == 1


def test_a_unique_id_outside_utf8_is_known_from_event_and_file(bridge):
    line = row(3).encode().replace(b'"1699999003.3"', b'"Z\xfcrich-1699999003.3"')
    bridge.outbox.put(
        bridge.items(cdr.from_row(next(csv.reader([line.decode("utf-8", "surrogateescape")]))))
    )
    with open(bridge.path, "ab") as file:
        file.write(line)
    bridge.file.read()
    assert bridge.delivered() == [3]


def test_a_file_that_came_back_from_a_backup_is_read_on(bridge):
    shutil.copy2(bridge.path, bridge.path + ".restored")
    os.replace(bridge.path + ".restored", bridge.path)
    bridge.write(3)
    bridge.file.read()
    assert bridge.delivered() == [3]


def test_another_path_begins_at_its_files_end(bridge):
    os.rename(bridge.path, bridge.path[:-4] + "-elsewhere.csv")
    bridge.path = bridge.path[:-4] + "-elsewhere.csv"
    bridge.write(3)
    bridge.file.follow(bridge.path, True)
    bridge.file.read()
    bridge.write(4)
    bridge.file.read()
    assert bridge.delivered() == [4]


def test_a_file_that_is_rotated_between_look_and_open_is_read_at_the_next_try(bridge, monkeypatch):
    bridge.write(3)
    original = bridge.file._files

    def files(kept):
        found = original(kept)
        os.rename(bridge.path, bridge.path + ".1")
        bridge.write(4)
        return found

    monkeypatch.setattr(bridge.file, "_files", files)
    with pytest.raises(OSError, match="rotated"):
        bridge.file.read()
    monkeypatch.undo()
    bridge.file.read()
    assert bridge.delivered() == [3, 4]


def test_after_a_line_that_was_torn_the_whole_ones_are_read_at_once(bridge):
    with open(bridge.path, "a", encoding="utf-8") as file:
        file.write(row(3)[:25])
    bridge.write(4, 5)
    bridge.file.read()
    assert bridge.delivered() == [5]


def test_a_value_that_holds_what_looks_like_a_record_is_one_value(bridge):
    for number, text in enumerate([row(9), row(9).replace('"', ""), f'",{row(9)}'], 3):
        bridge.write(number, UserField=f"two lines\n{text}")
    bridge.file.read()
    assert bridge.delivered() == [3, 4, 5]
