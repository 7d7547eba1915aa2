"""A terminal: what runs in it sees a real one, as the right user, and ends with it."""

import os
import pwd
import select

import pytest

from pbxlib.errors import ConsoleError
from pbxlib.terminal import Terminal, unprivileged

ME = pwd.getpwuid(os.getuid())


def until(terminal, wanted):
    """All output up to and with ``wanted`` (bytes), or up to the end when ``wanted`` is None."""
    seen = b""
    while wanted is None or wanted not in seen:
        ready, _, _ = select.select([terminal.fd], [], [], 10)
        assert ready, f"nothing more came after {seen!r}"
        data = terminal.read(4096)
        if data == b"":
            break
        seen += data or b""
    assert wanted is None or wanted in seen
    return seen


def gone(pid):
    """Wait for the end of process ``pid``, which need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def run():
    made = []

    def start(*command, account=ME, **more):
        made.append(Terminal(command, account, **more))
        return made[-1]

    yield start
    for terminal in made:
        terminal.hang_up()
        terminal.kill()


def test_it_is_a_controlling_terminal_of_the_given_size(run):
    shell = run("/bin/sh", "-c", "stty size < /dev/tty; tty; echo $TERM", rows=33, columns=101)
    seen = until(shell, None)
    assert seen.startswith(b"33 101\r\n/dev/pts/")
    assert seen.endswith(b"xterm-256color\r\n")


def test_none_of_the_callers_variables_reach_it(run, monkeypatch):
    monkeypatch.setenv("SALT_API_PASSWORD", "geheim")
    assert b"geheim" not in until(run("env"), None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_it_runs_as_the_user_and_with_none_of_roots_groups(run):
    seen = until(run("id", account=pwd.getpwnam("daemon")), None)
    assert b"uid=1(daemon) gid=1(daemon) groups=1(daemon)" in seen
    assert b"root" not in seen


def test_root_is_refused_as_its_user():
    with pytest.raises(ConsoleError, match="is root"):
        unprivileged("root")


def test_a_user_that_does_not_exist_is_refused():
    with pytest.raises(ConsoleError, match="asterisk:console:user"):
        unprivileged("nobody-by-this-name")


def test_a_program_that_does_not_exist_says_so_on_the_terminal(run):
    assert b"no-such-program" in until(run("no-such-program"), None)


def test_hanging_up_ends_the_program_without_force(run):
    cat = run("cat")
    cat.hang_up()
    assert gone(cat.pid)


def test_killing_ends_what_ignores_the_hangup_and_what_a_shells_job_control_set_apart(run):
    script = "set -m; trap '' HUP; sleep 1000 & echo child $!; while :; do read x || :; done"
    shell = run("/bin/sh", "-c", script)
    child = int(until(shell, b"\n").split()[1])
    assert os.getpgid(child) != os.getpgid(shell.pid)
    assert os.getsid(child) == shell.pid
    shell.hang_up()
    assert os.path.exists(f"/proc/{shell.pid}")
    shell.kill()
    assert gone(child)
    assert not os.path.exists(f"/proc/{shell.pid}")


def test_killing_waits_for_a_program_that_ends_by_itself(run, tmp_path):
    note = tmp_path / "note"
    script = f"trap 'echo saved > {note}; exit' HUP; echo up; while :; do read x || :; done"
    shell = run("/bin/sh", "-c", script)
    until(shell, b"up")
    shell.hang_up()
    shell.kill(patience=10)
    assert note.read_text() == "saved\n"
