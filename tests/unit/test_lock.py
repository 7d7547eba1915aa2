"""One engine a minion: the lock, and the end with the parent."""

import os
import signal
import subprocess
import sys

import pytest

from pbxlib.lock import EngineLock

UTILS = os.path.join(os.path.dirname(__file__), "..", "..", "_utils")


def process(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": UTILS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


HOLDER = """
import logging, sys
from pbxlib.lock import EngineLock
logging.basicConfig()
EngineLock(sys.argv[1]).take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "asterisk" / "asterisk_ami.lock")


def test_a_lock_that_nobody_took_is_not_held(path):
    assert not EngineLock.held(path)


def test_a_second_engine_says_so_waits_and_follows_when_the_first_is_killed(path):
    first = process(HOLDER, path)
    assert first.stdout.readline() == "taken\n"
    second = process(HOLDER, path)
    assert "waiting until it ends" in second.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.stdout.readline() == "taken\n"
    assert EngineLock.held(path)
    second.communicate("")
    first.communicate()
    assert not EngineLock.held(path)


def test_asking_whether_it_is_held_takes_it_from_nobody(path):
    first = process(HOLDER, path)
    assert first.stdout.readline() == "taken\n"
    assert [EngineLock.held(path) for _ in range(3)] == [True] * 3
    first.communicate("")


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import signal, sys
from pbxlib.lock import leave_with_parent
leave_with_parent()
print("child", flush=True)
signal.pause()
'''])
sys.stdin.read()
"""


WITHOUT_PIDFD = "import os; vars(os).pop('pidfd_open', None)\n"


@pytest.mark.parametrize("python", ["", WITHOUT_PIDFD], ids=["usual", "built for older kernels"])
def test_an_engine_leaves_when_its_minion_is_killed(python):
    parent = process(PARENT.replace("import signal, sys\n", f"import signal, sys\n{python}", 1))
    assert parent.stdout.readline() == "child\n"
    parent.send_signal(signal.SIGKILL)
    # The child holds the other end of this pipe: it ends with the child.
    parent.communicate(timeout=10)


FAILING = """
import logging, signal
from pbxlib.lock import leave_with
logging.basicConfig()
leave_with(lambda: 1 / 0, "the-bridge")
signal.pause()
"""


def test_an_engine_whose_work_fails_says_why_and_leaves():
    engine = process(FAILING)
    said, _ = engine.communicate(timeout=10)
    assert engine.returncode == -signal.SIGTERM
    assert "the-bridge has failed" in said
    assert "ZeroDivisionError" in said
