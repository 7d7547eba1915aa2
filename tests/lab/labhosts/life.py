"""What lab commands do to several hosts: up, down, stop, kill; and the state of one."""

from __future__ import annotations

import contextlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from labhosts import cgroups, locks, network, odoo, packages, ready, roots
from labhosts.inventory import HOSTS, Host
from labhosts.machine import Machine
from labhosts.places import RUN, Lab
from labhosts.say import say


def build_roots(hosts: list[Host]) -> None:
    """Build the roots of hosts that are missing."""
    packages.install_missing()
    roots.ensure([host.root for host in hosts])


def up(lab: Lab, hosts: list[Host]) -> None:
    """Bring hosts to where they answer, from wherever they, or an earlier `up`, stopped."""
    with _alone(lab):
        machines = [Machine(lab, host) for host in hosts]
        build_roots([machine.host for machine in machines if not machine.folder.exists()])
        lab.hosts().mkdir(parents=True, exist_ok=True)
        (lab.state / "clone").write_text(f"{lab.clone}\n")
        _name_orphans(lab)
        network.up(lab)
        _collect_archives(lab)
        for machine in machines:
            machine.make_disk()
        began = time.monotonic()
        _each(_boot, machines)
        ready.together(lab)
        names = " ".join(host.name for host in hosts)
        say(f"up: {names} ({time.monotonic() - began:.1f} s to boot)")


def _boot(machine: Machine) -> None:
    if machine.is_outdated():
        name = machine.host.name
        say(f"{name}: its disk is on an older root; for a new one, first `lab down {name}`")
    if not machine.supervisor():
        machine.start()
    network.switch(machine.lab, machine.host, "up")
    ready.alone(machine)
    if machine.host.role == "odoo":
        odoo.bring_up(machine)


def down(lab: Lab, hosts: list[Host] | None) -> None:
    """End hosts and remove their disks; for None all of them and all else that the lab made."""
    with _alone(lab):
        _collect_archives(lab)
        for host in hosts or HOSTS.values():
            Machine(lab, host).kill()
            shutil.rmtree(Machine(lab, host).folder, ignore_errors=True)
        if hosts:
            say(f"down: {' '.join(host.name for host in hosts)}")
            return
        network.down(lab)
        cgroups.remove(lab.cgroup)
        shutil.rmtree(lab.state, ignore_errors=True)
        lab.lock.unlink()
        say("down: all hosts of this clone and its network")
    for folder in (RUN, lab.state.parent, Path("/run/systemd/nspawn")):
        with contextlib.suppress(OSError):
            folder.rmdir()


def stop(lab: Lab, hosts: list[Host]) -> None:
    """Shut hosts down and keep their disks."""
    with _alone(lab):
        _each(Machine.stop, [Machine(lab, host) for host in hosts])


def kill(lab: Lab, hosts: list[Host]) -> None:
    """End hosts at once and keep their disks."""
    with _alone(lab):
        for host in hosts:
            Machine(lab, host).kill()


def status(lab: Lab, host: Host) -> str:
    """One line: name, state, and for a host with a disk its address and root."""
    machine = Machine(lab, host)
    if not machine.folder.exists():
        return f"{host.name:8} down"
    state = "off"
    if machine.leader():
        state = "cut" if network.is_cut(lab, host) else "running"
    layer = (machine.folder / "lower").read_text().split(":")[0].split("/")[-2]
    return f"{host.name:8} {state:8} {network.address(lab, host):15} {layer}"


def _alone(lab: Lab):
    return locks.exclusive(lab.lock, "another lab command of this clone is under way, waiting")


def _each(action: Callable[[Machine], None], machines: list[Machine]) -> None:
    """Do something for all at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        for done in [pool.submit(action, machine) for machine in machines]:
            done.result()


def _name_orphans(lab: Lab) -> None:
    """Tell of labs whose clone was deleted: nobody else will take them down."""
    for file in lab.state.parent.glob("*/clone"):
        clone = file.read_text().strip()
        if not Path(clone).exists():
            say(f"the lab of a clone that is gone is here: `lab down --clone {clone}` ends it")


def _collect_archives(lab: Lab) -> None:
    """Keep what hosts downloaded, for those that come after them."""
    for host in HOSTS.values():
        for package in (lab.hosts() / host.name / "archives").glob("*.deb"):
            target = roots.archives(host.root) / package.name
            if not target.exists():
                part = target.with_suffix(f".{lab.id}")
                shutil.copyfile(package, part)
                part.rename(target)
