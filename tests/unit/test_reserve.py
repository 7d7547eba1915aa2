"""What is set aside for a full disk, on a small disk of its own where there may be one."""

import os
import subprocess

import pytest
from tests.unit.items import event

from pbxlib.errors import OutboxError
from pbxlib.outbox import Outbox
from pbxlib.reserve import Reserve

SIZE = 1024 * 1024


def test_the_space_is_set_aside_once_and_given_up_once(tmp_path):
    reserve = Reserve(str(tmp_path / "reserve"), SIZE)
    assert reserve.make()
    assert reserve.make()
    assert os.stat(tmp_path / "reserve").st_blocks * 512 >= SIZE
    assert reserve.give_up()
    assert not reserve.give_up()


def test_nothing_is_set_aside_on_a_disk_without_twice_as_much(tmp_path):
    disk = os.statvfs(tmp_path)
    reserve = Reserve(str(tmp_path / "reserve"), disk.f_bavail * disk.f_frsize)
    assert not reserve.make()
    assert not os.path.exists(tmp_path / "reserve")


@pytest.fixture
def disk(tmp_path):
    """A disk of 40 MiB."""
    if os.geteuid():
        pytest.skip("only root can mount one")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", tmp_path], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"none can be mounted: {done.stderr.decode()}")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(path):
    """Write to a file until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_on_a_full_disk_the_reserve_serves_and_the_least_worth_keeping_makes_way(
    disk, clock, caplog
):
    outbox = Outbox(str(disk / "box" / "outbox.sqlite"), 10**6, 10**9, 8 * SIZE, clock=clock)
    outbox.put([event(0, keep=None, data={"number": 0})])
    with pytest.raises(OSError, match="No space"):
        fill(disk / "filler")

    for number in range(1, 101):
        text = "x" * 400
        outbox.put(
            [event(number, keep=60, data={"number": number, "text": text}) for _ in range(100)]
        )

    status = outbox.status()
    assert status["depth"] + status["dropped"] == 10_001
    assert 0 < status["dropped"] < 10_000
    assert "its reserve is used now" in caplog.text
    assert "Newstate" in caplog.text
    batch = outbox.open_batch(200, 512 * 1024)
    assert batch.items[0]["data"]["number"] == 0, "what is worth keeping for ever goes last"
    outbox.settle(batch.number, {item["id"]: ["done"] for item in batch.items}, 8, float)

    os.unlink(disk / "filler")
    for number in range(20):
        outbox.put([event(number) for _ in range(100)])
    assert os.path.getsize(disk / "box" / "outbox.sqlite.reserve") == 8 * SIZE
    outbox.close()


def test_what_could_not_be_put_at_all_is_counted_with_the_next_that_can(outbox, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_put", fail)
        with pytest.raises(OutboxError):
            outbox.put([event(1)])
    outbox.lost(1)
    outbox.put([event(2)])
    outbox.put([event(3)])
    assert outbox.status()["dropped"] == 1


def fail(*_):
    raise OutboxError("the disk is full")
