"""One host: its disk, its start, its end, and commands in it.

A host is a systemd-nspawn container over an overlay of its root. Its folder has
  disk/      upper side of the overlay     archives/  packages that it downloaded itself
  lower      its root's layers, as they were when the disk was made
  seed/      files that are put on the disk before the first boot; `set-up` is there afterwards
  supervisor pid and start time of systemd-nspawn     console.log
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path

from labhosts import authority, cgroups, network, roots
from labhosts.carried import carried_files
from labhosts.inventory import Host
from labhosts.places import CACHE, Lab
from labhosts.say import LabError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROLES = Path(__file__).resolve().parent.parent / "roles"


class Machine:
    """A host of a clone's lab."""

    def __init__(self, lab: Lab, host: Host):
        self.lab, self.host = lab, host
        self.folder = lab.hosts() / host.name
        self.group = f"{lab.cgroup}/{host.name}"

    def supervisor(self) -> int:
        """Pid of the host's systemd-nspawn, 0 when it is off."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, started = (self.folder / "supervisor").read_text().split()
            if _started(int(pid)) == started:
                return int(pid)
        return 0

    def leader(self) -> int:
        """Pid, as seen from outside, of the host's process 1; 0 when it has none."""
        pid = self.supervisor()
        with contextlib.suppress(FileNotFoundError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text() if pid else ""
            for child in children.split():
                status = Path(f"/proc/{child}/status").read_text()
                if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                    return int(child)
        return 0

    def make_disk(self) -> None:
        """Make the host's folder, unless it is there: in one step, from a whole root."""
        shutil.rmtree(new := self.folder.with_name(f".new-{self.host.name}"), ignore_errors=True)
        if self.folder.exists():
            return
        (new / "disk").mkdir(parents=True)
        (new / "lower").write_text(_lower(self.host))
        files = {
            **carried_files(),
            "etc/hosts": network.hosts_file(self.lab).encode(),
            "usr/local/share/ca-certificates/lab.crt": authority.certificate(self.lab),
        }
        if self.host.role == "odoo":
            address = network.address(self.lab, self.host)
            signed = authority.sign(self.lab, self.host.name, address)
            files["etc/ssl/lab/host.key"], files["etc/ssl/lab/host.crt"] = signed
        else:
            # Else a disk made anew would be a stranger to those that it was known to.
            kind = "master" if self.host.role == "hub" else "minion"
            private, public = (f"etc/salt/pki/{kind}/{kind}.{end}" for end in ("pem", "pub"))
            files[private], files[public] = authority.salt_keys(self.lab, self.host.name)
        for path, content in files.items():
            target = new / "seed" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(0o600 if path.endswith((".key", ".pem")) else 0o644)
            target.write_bytes(content)
        new.rename(self.folder)

    def is_outdated(self) -> bool:
        """Whether the recipe of its root has changed since its disk was made."""
        return (self.folder / "lower").read_text() != _lower(self.host)

    def start(self) -> None:
        """Boot; returns when systemd-nspawn has been started, not when the host answers."""
        cgroups.remove(self.group)
        ready, tell_ready = os.pipe()
        archives = [str(roots.archives(name)) for name in roots.chain(self.host.root)]
        groups = [str(cgroups.make(top / self.group)) for top in cgroups.hierarchies()]
        (CACHE / "ccache").mkdir(exist_ok=True)
        role = ROLES / f"{self.host.role}.sh"
        environment = {
            "PATH": PATH,
            "HOST": self.host.name,
            "TIMEZONE": self.host.timezone,
            "FOLDER": str(self.folder),
            "LOWER": (self.folder / "lower").read_text(),
            "GROUP_FOLDERS": " ".join(groups),
            "CLONE": str(self.lab.clone),
            "PIP_CACHE": str(CACHE / "pip"),
            "CCACHE": str(CACHE / "ccache"),
            "ARCHIVES": ":".join(archives),
            "ROLE": str(role),
            "READY": str(tell_ready),
        }
        with (self.folder / "console.log").open("ab") as console:
            booting = subprocess.Popen(
                ["unshare", "--mount", "--net", str(Path(__file__).with_name("boot.sh"))],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                pass_fds=[tell_ready],
                start_new_session=True,
            )
        os.close(tell_ready)
        with open(ready, "rb") as told:
            if told.readline() != b"ready\n":
                raise LabError(f"{self.host.name}: cannot be set up:\n{self.console()}")
        network.plug_in(self.lab, self.host, booting.pid)
        (self.folder / "supervisor").write_text(f"{booting.pid} {_started(booting.pid)}")
        booting.stdin.write(b"go\n")
        booting.stdin.close()

    def stop(self, seconds: float = 60) -> None:
        """Shut down as by the power button. Raises LabError if that takes too long."""
        pid = self.supervisor()
        if pid:
            waiting = select.poll()
            waiting.register(handle := os.pidfd_open(pid), select.POLLIN)
            os.kill(pid, signal.SIGTERM)
            ended = waiting.poll(seconds * 1000)
            os.close(handle)
            if not ended:
                raise LabError(f"{self.host.name} is not off after {seconds} s:\n{self.console()}")
        self.kill()

    def kill(self) -> None:
        """End the host as by a power cut."""
        network.unplug(self.lab, self.host)
        cgroups.remove(self.group)

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in the host and in its control group."""
        leader = self.leader()
        if not leader:
            raise LabError(f"{self.host.name} is not running: `lab up {self.host.name}` starts it")
        # Beside process 1, not with it: systemd wants its own group for itself.
        groups = [
            folder.with_name("lab-exec") if folder.name == "init.scope" else folder
            for folder in cgroups.of(leader)
        ]
        folders = " ".join(str(cgroups.make(group)) for group in groups)
        enter = 'for group in $0; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
        inside = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        # Whoever waits for the command may be killed: then it should not go on.
        ended = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        return ["sh", "-c", enter, folders, "nsenter", f"--target={leader}", *inside, *ended]

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        """Run a command in the host; options as for subprocess.run, without check."""
        return subprocess.run(
            self.command(*command),
            env=environment(),
            check=False,
            **({} if "input" in options else {"stdin": subprocess.DEVNULL}),
            **options,
        )

    def console(self, lines: int = 25) -> str:
        """The last lines of its console."""
        log = self.folder / "console.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def environment() -> dict[str, str]:
    """What a command in a host finds in its environment."""
    terminal = os.environ.get("TERM", "dumb")
    return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": terminal}


def _lower(host: Host) -> str:
    """The overlay's lower folders for a new disk."""
    return ":".join(map(str, roots.layers(host.root)))


def _started(pid: int) -> str:
    """A process's start time in clock ticks since boot, '' if there is none: tells pids apart."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return ""
    return "" if state in "ZX" else fields[18]
