"""When a host, and the hosts together, count as up."""

from __future__ import annotations

import subprocess
import time

from labhosts.inventory import HOSTS
from labhosts.machine import Machine
from labhosts.places import Lab
from labhosts.say import LabError, say

BOOT_SECONDS = 300
ANSWER_SECONDS = 300


def alone(machine: Machine) -> None:
    """Wait until a host has booted; say so, with the units that failed. Raises LabError if not."""
    name = machine.host.name
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        state = _output(machine, "systemctl", "is-system-running", "--wait")
        if state in ("running", "degraded"):
            break
        if time.monotonic() > deadline or not machine.supervisor():
            raise LabError(f"{name} does not boot ({state or 'no answer'}):\n{machine.console()}")
        time.sleep(0.1)
    failed = _output(machine, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
    units = " ".join(line.split()[0] for line in failed.splitlines())
    say(f"{name}: booted" + (f"; failed: {units}" if units else ""))


def together(lab: Lab) -> None:
    """Wait until the master hears from each minion that runs."""
    hub = Machine(lab, HOSTS["hub"])
    minions = [
        host.name for host in HOSTS.values() if host.role == "pbx" and Machine(lab, host).leader()
    ]
    if not hub.leader() or not minions:
        return
    deadline = time.monotonic() + ANSWER_SECONDS
    patience = 3
    while True:
        # Asked too early, the command would wait its 10 s for a minion that connects meanwhile.
        ping = ["salt", "--list", ",".join(minions), "--out=txt", "--timeout=2", "test.ping"]
        answer = _output(hub, "timeout", str(patience), *ping)
        patience += 1
        silent = [name for name in minions if f"{name}: True" not in answer.splitlines()]
        if not silent:
            break
        if time.monotonic() > deadline:
            raise LabError(
                f"The Salt master hears nothing from {' '.join(silent)}: {answer[-300:]}"
            )
    say(f"hub: hears from {' '.join(minions)}")


def _output(machine: Machine, *command: str) -> str:
    if not machine.leader():
        return ""
    done = machine.run(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()
