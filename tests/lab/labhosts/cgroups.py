"""Control groups of the hosts: the same group in each hierarchy that systemd uses.

Those are the cgroup2 mount, wherever it is, and the v1 hierarchy named systemd where there is one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from labhosts.say import LabError


def hierarchies() -> list[Path]:
    """Mount points, cgroup2 first."""
    unified, named = [], []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options = line.split()[:4]
        if kind == "cgroup2":
            unified.append(Path(point))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(Path(point))
    if not unified:
        raise LabError("No cgroup2 file system is mounted: the lab's systemd hosts need one")
    return unified[:1] + named[:1]


def make(folder: Path) -> Path:
    """Create a group's folder in a hierarchy, if need be, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def of(pid: int) -> list[Path]:
    """Folders of a process's group in each hierarchy."""
    paths = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controllers] = path.lstrip("/")
    return [top / paths[name] for top, name in zip(hierarchies(), ("", "name=systemd"))]


def processes(group: str) -> list[int]:
    """Pids of all processes in a group and in those below it."""
    pids = set()
    for top in hierarchies():
        for folder, _, _ in os.walk(top / group):
            with contextlib.suppress(OSError):
                pids.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return sorted(pids)


def remove(group: str, seconds: float = 10) -> None:
    """Kill what is in a group and remove it. Raises LabError if that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        for pid in processes(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for top in hierarchies():
            for folder, _, _ in os.walk(top / group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if not any((top / group).exists() for top in hierarchies()):
            return
        if time.monotonic() > deadline:
            raise LabError(f"Control group {group} is still in use by {processes(group)}")
        time.sleep(0.02)
