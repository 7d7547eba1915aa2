"""Hosts for demonstrations and tests: systemd containers with an own network on this machine.

  lab up [HOST…]           build what is missing, boot, and wait until the hosts answer;
                           hosts: hub pbx1 pbx2 pbx16 pbxsrc odoo odoo14; without any: hub pbx1
                           odoo
  lab exec HOST [-- CMD…]  run a command on a host (a shell if there is none); input, output and
                           exit code are the command's
  lab status               a line for each host
  lab cut HOST             unplug a host's network
  lab mend HOST            plug it in again
  lab stop HOST…           shut down; the disk is kept and `lab up HOST` boots it again
  lab kill HOST…           the same as by a power cut
  lab down [HOST…]         end hosts and throw their disks away; without any: all, and the network
  lab down --clone PATH    the same, all, for another clone: one that was deleted without it
  lab roots [HOST…]        only build the cached roots of hosts

Needs root. Roots and downloads are kept in /var/cache/asterisk-formula (LAB_CACHE names another
place), disks in /var/lib/asterisk-formula-lab. Each clone of the repository has hosts of its own;
in them the clone is seen, read-only, at /srv/asterisk-formula.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labhosts import life, network
from labhosts.inventory import DEFAULT, HOSTS, Host
from labhosts.machine import Machine, environment
from labhosts.places import Lab
from labhosts.say import LabError


def main() -> int:
    """Run a lab command; returns its exit code: 1 when it failed, 2 when it was called wrongly."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help", "help"):
        print(__doc__.strip())
        return 0
    try:
        if command not in COMMANDS:
            raise LabError(f"There is no command `lab {command}`; `lab --help` lists them")
        if os.geteuid():
            raise LabError("The lab makes networks, mounts and control groups: run it as root")
        COMMANDS[command](Lab(), arguments)
    except LabError as error:
        print(f"lab {command}: {error}", file=sys.stderr)
        return 1
    return 0


def _hosts(names: list[str], default: tuple[str, ...] = ()) -> list[Host]:
    unknown = [name for name in names if name not in HOSTS]
    if unknown or not (names or default):
        raise LabError(f"Name hosts of {' '.join(HOSTS)}, not {' '.join(unknown) or 'none'}")
    return [HOSTS[name] for name in dict.fromkeys(names or default)]


def _up(lab: Lab, names: list[str]) -> None:
    life.up(lab, _hosts(names, DEFAULT))


def _down(lab: Lab, names: list[str]) -> None:
    if names[:1] == ["--clone"] and len(names) == 2:
        life.down(Lab(Path(names[1]).resolve()), None)
        return
    life.down(lab, _hosts(names) if names else None)


def _roots(_: Lab, names: list[str]) -> None:
    life.build_roots(_hosts(names, DEFAULT))


def _exec(lab: Lab, arguments: list[str]) -> None:
    (host,), command = _hosts(arguments[:1]), arguments[1:]
    if command[:1] == ["--"]:
        del command[0]
    line = Machine(lab, host).command(*(command or ["bash", "-l"]))
    os.execvpe(line[0], line, environment())


def _status(lab: Lab, _: list[str]) -> None:
    for host in HOSTS.values():
        print(life.status(lab, host))


def _cut(lab: Lab, names: list[str]) -> None:
    for host in _hosts(names):
        network.switch(lab, host, "down")


def _mend(lab: Lab, names: list[str]) -> None:
    for host in _hosts(names):
        network.switch(lab, host, "up")


def _stop(lab: Lab, names: list[str]) -> None:
    life.stop(lab, _hosts(names))


def _kill(lab: Lab, names: list[str]) -> None:
    life.kill(lab, _hosts(names))


COMMANDS = {
    "up": _up,
    "exec": _exec,
    "status": _status,
    "cut": _cut,
    "mend": _mend,
    "stop": _stop,
    "kill": _kill,
    "down": _down,
    "roots": _roots,
}
