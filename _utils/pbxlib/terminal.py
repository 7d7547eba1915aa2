"""
A program on a pseudo-terminal of its own, as an unprivileged user, and its certain end.

The program leads a session (``setsid``), so that all that is started from it, by a shell's job
control too, carries its session id and can be ended with it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import pwd
import select
import signal
import struct
import subprocess
import termios

from pbxlib.errors import ConsoleError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = ("/bin/bash", "/bin/sh")


def unprivileged(name):
    """The passwd entry of user ``name``.

    Raises :class:`~pbxlib.errors.ConsoleError` when there is none, and for root under any name.
    """
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise ConsoleError(
            f"There is no user {name!r} for the console: install Asterisk, or set "
            "asterisk:console:user"
        ) from None
    if account.pw_uid == 0:
        raise ConsoleError(
            f"{name!r} is root, and '!' in the console would give its shell: set "
            "asterisk:console:user to the user that Asterisk runs as"
        )
    return account


class Terminal:
    """``command`` (a list) running as ``account`` (a passwd entry) on a new pseudo-terminal.

    Its environment is made anew: none of the caller's variables reach it. :attr:`fd` is the
    terminal's own end, non-blocking, for an event loop to watch.

    Raises :class:`~pbxlib.errors.ConsoleError` when it cannot be started.
    """

    def __init__(self, command, account, rows=24, columns=80):
        self.fd, slave = pty.openpty()
        try:
            os.set_blocking(self.fd, False)
            self.resize(rows, columns)
            identity = {}
            if account.pw_uid != os.geteuid():
                # As a login does: programs open their terminal by its name as well.
                os.fchown(slave, account.pw_uid, -1)
                identity = {
                    "user": account.pw_uid,
                    "group": account.pw_gid,
                    "extra_groups": os.getgrouplist(account.pw_name, account.pw_gid),
                }
            home = account.pw_dir if os.path.isdir(account.pw_dir) else "/"
            # setsid makes the terminal the session's own; doing that between fork and exec in
            # Python is not safe in a process that has threads.
            self._process = subprocess.Popen(
                ["setsid", "-c", *command],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=home,
                env=_environment(account, home),
                **identity,
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(self.fd)
            raise ConsoleError(f"{command[0]} cannot be started: {error}") from error
        finally:
            os.close(slave)
        self.pid = self._process.pid

    def resize(self, rows, columns):
        """Tell the program its window's size in characters."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, size):
        """Up to ``size`` bytes of output; ``None`` when there are none now, ``b""`` at its end."""
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return None
        except OSError as error:
            # What Linux says once no process has the terminal open.
            if error.errno == errno.EIO:
                return b""
            raise

    def write(self, data):
        """How many bytes of ``data`` the terminal took, from none to all; all at its end."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno == errno.EIO:
                return len(data)
            raise

    def hang_up(self):
        """Close the terminal: the kernel sends SIGHUP to the program and the foreground job."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def kill(self, patience=0.0):
        """Kill what is left of the session ``patience`` seconds from now, or once it has ended.

        Blocks for up to ``patience`` seconds. :meth:`hang_up` comes first.
        """
        if self._process.returncode is not None:
            return
        ended = os.pidfd_open(self.pid)
        try:
            select.select([ended], [], [], patience)
            # Before its leader is reaped, no other session can have this id.
            _kill_session(self.pid)
            self._process.send_signal(signal.SIGKILL)
            select.select([ended], [], [], 1.0)
        finally:
            os.close(ended)
        self._process.poll()


def _environment(account, home):
    return {
        "HOME": home,
        "LANG": "C.UTF-8",
        "LOGNAME": account.pw_name,
        "PATH": PATH,
        # Not the account's own, which is often nologin; Asterisk's `!` starts $SHELL.
        "SHELL": next(shell for shell in SHELLS if os.path.exists(shell) or shell == SHELLS[-1]),
        "TERM": "xterm-256color",
        "USER": account.pw_name,
    }


def _kill_session(session):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != session and _session(name) == session:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(name), signal.SIGKILL)


def _session(pid):
    """The session id of process ``pid``, from proc(5)'s ``stat``; ``None`` when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name, in parentheses, can hold anything; the last one closes it.
            return int(file.read().rpartition(b")")[2].split()[3])
    except (FileNotFoundError, ProcessLookupError):
        return None
