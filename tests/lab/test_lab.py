"""The lab itself, from a copy of it, which is another clone with hosts of its own."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")


class Copy:
    """A clone of its own with the lab in it."""

    def __init__(self, path):
        self.path = path
        self.id = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        shutil.copytree(HERE, path / "tests" / "lab")

    def start(self, *arguments):
        command = [str(self.path / "tests" / "lab" / "lab"), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments):
        """The command's exit code and output."""
        running = self.start(*arguments)
        output, _ = running.communicate(timeout=900)
        return running.returncode, output

    def traces(self):
        """All that bears this lab's name: processes, mounts, links, firewall, groups, files."""
        listings = [
            subprocess.run(command.split(), stdout=subprocess.PIPE, text=True, check=True).stdout
            for command in (
                "ps -eo pid,cgroup,args -ww",
                "ip -o link",
                "ip -4 -o route",
                "nft list tables",
            )
        ]
        lines = [line for listing in listings for line in listing.splitlines()]
        lines += Path("/proc/self/mounts").read_text().splitlines()
        for top in ("/sys/fs/cgroup", "/run", "/var/lib/asterisk-formula-lab"):
            lines += (os.path.join(at, name) for at, ds, fs in os.walk(top) for name in [*ds, *fs])
        return [line for line in lines if self.id in line]


@pytest.fixture
def copy(tmp_path):
    made = Copy(tmp_path)
    yield made
    made.run("down")


def test_commands_on_a_host_get_input_and_give_output_and_exit_code(copy):
    code, output = copy.run("up", "pbx2")
    assert code == 0, output
    assert copy.run("exec", "pbx2", "--", "sh", "-c", "hostname; exit 7") == (7, "pbx2\n")
    code, output = copy.run("exec", "pbx2", "--", "systemctl", "is-active", "salt-minion")
    assert (code, output) == (0, "active\n")


def test_a_disk_outlives_a_power_cut_but_not_down(copy):
    copy.run("up", "pbx2")
    copy.run("exec", "pbx2", "--", "sh", "-c", "echo kept > /root/note; sync")
    copy.run("kill", "pbx2")
    assert copy.run("exec", "pbx2", "--", "true")[0] == 1
    copy.run("up", "pbx2")
    assert copy.run("exec", "pbx2", "--", "cat", "/root/note") == (0, "kept\n")
    copy.run("down", "pbx2")
    copy.run("up", "pbx2")
    assert copy.run("exec", "pbx2", "--", "cat", "/root/note")[0] == 1


def test_a_minion_with_a_new_disk_is_no_stranger_to_the_hub(copy):
    copy.run("up", "hub", "pbx2")
    copy.run("down", "pbx2")
    code, output = copy.run("up", "pbx2")
    assert code == 0, output
    assert "hears from pbx2" in output


def test_a_cut_host_is_not_reached_until_it_is_mended(copy):
    copy.run("up", "pbx2")
    link = Path(f"/sys/class/net/l{copy.id}-pbx2/carrier")
    assert link.read_text() == "1\n"
    copy.run("cut", "pbx2")
    assert " cut " in copy.run("status")[1]
    copy.run("mend", "pbx2")
    assert link.read_text() == "1\n"


def test_down_leaves_nothing_behind(copy):
    code, output = copy.run("up", "pbx2")
    assert code == 0, output
    assert copy.traces()
    assert copy.run("down")[0] == 0
    assert copy.traces() == []


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8, 1.2])
def test_up_works_after_one_that_was_killed(copy, seconds):
    killed = copy.start("up", "pbx2")
    time.sleep(seconds)  # anywhere in it: the point is that it does not matter where
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    code, output = copy.run("up", "pbx2")
    assert code == 0, output
    assert copy.run("down")[0] == 0
    assert copy.traces() == []
