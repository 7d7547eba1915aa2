"""A clone's network: a bridge, a /24 that other clones' hosts do not reach, masquerading for
downloads of packages.

Each host is a veth pair: `l<id>-<host>` on the bridge and `host0` in the host's namespace, which
is nobody's but the host's processes' and so ends with them.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from labhosts import locks
from labhosts.inventory import HOSTS, Host
from labhosts.places import ALL, NETWORKS, RUN, STATES, Lab
from labhosts.say import LabError, run, succeeds

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_BEFORE = RUN / "ip_forward.before"
MACHINE_LOCK = RUN / "machine.lock"


def network(lab: Lab) -> ipaddress.IPv4Network:
    """The clone's network, chosen at the first call such that no route or other clone has it."""
    chosen = lab.state / "network"
    if chosen.exists():
        return ipaddress.ip_network(chosen.read_text())
    with locks.exclusive(MACHINE_LOCK):
        taken = [ipaddress.ip_network(file.read_text()) for file in STATES.glob("*/network")]
        for route in json.loads(run("ip", "-json", "-4", "route", "show", "table", "all")):
            if route["dst"] != "default":
                taken.append(ipaddress.ip_network(route["dst"], strict=False))
        first = int(lab.id, 16)
        for number in range(len(NETWORKS)):
            candidate = NETWORKS[(first + number) % len(NETWORKS)]
            if not any(candidate.overlaps(other) for other in taken if other.prefixlen):
                written = chosen.with_suffix(".new")
                written.write_text(str(candidate))
                written.rename(chosen)
                return candidate
    raise LabError(f"No /24 of {ALL} is free of this machine's routes")


def address(lab: Lab, host: Host) -> str:
    """A host's address."""
    return str(network(lab)[host.number])


def hosts_file(lab: Lab) -> str:
    """/etc/hosts of every host, which names them all."""
    lines = [f"{address(lab, host)} {host.name}" for host in HOSTS.values()]
    return "\n".join(["127.0.0.1 localhost", "::1 localhost ip6-localhost", *lines, ""])


def up(lab: Lab) -> None:
    """Make the bridge and the firewall table, whatever of them is there."""
    if not succeeds("ip", "link", "show", lab.bridge):
        run("ip", "link", "add", lab.bridge, "mtu", _mtu(), "type", "bridge")
    gateway = f"{network(lab)[1]}/{network(lab).prefixlen}"
    run("ip", "address", "replace", gateway, "dev", lab.bridge)
    run("ip", "link", "set", lab.bridge, "up")
    ruleset = f"""
        table ip {lab.table}
        delete table ip {lab.table}
        table ip {lab.table} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                ip saddr {network(lab)} ip daddr != {network(lab)} masquerade
            }}
            chain forward {{
                type filter hook forward priority filter;
                ip saddr {network(lab)} ip daddr != {network(lab)} ip daddr {ALL} drop
            }}
        }}
    """
    run("nft", "-f", "-", input=ruleset)
    with locks.exclusive(MACHINE_LOCK):
        if FORWARD.read_text().strip() != "1":
            FORWARD_BEFORE.write_text(FORWARD.read_text())
            FORWARD.write_text("1")


def down(lab: Lab) -> None:
    """Remove bridge and table; the last lab of the machine puts forwarding back as it was."""
    if succeeds("ip", "link", "show", lab.bridge):
        run("ip", "link", "delete", lab.bridge)
    run("nft", "-f", "-", input=f"table ip {lab.table}\ndelete table ip {lab.table}\n")
    with locks.exclusive(MACHINE_LOCK):
        links = [link["ifname"] for link in json.loads(run("ip", "-json", "link", "show"))]
        if FORWARD_BEFORE.exists() and not any(map(_is_lab_bridge, links)):
            FORWARD.write_text(FORWARD_BEFORE.read_text())
            FORWARD_BEFORE.unlink()


def plug_in(lab: Lab, host: Host, pid: int) -> None:
    """Give the network namespace of a process the host's interface, address and route."""
    unplug(lab, host)
    link = link_name(lab, host)
    pair = f"link add {link} mtu {_mtu()} type veth peer name host0 mtu {_mtu()} netns {pid}"
    run("ip", *pair.split())
    inside = ["nsenter", "--net", f"--target={pid}", "ip"]
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "address", "add", f"{address(lab, host)}/24", "dev", "host0")
    run(*inside, "link", "set", "host0", "up")
    run(*inside, "route", "add", "default", "via", str(network(lab)[1]))
    run("ip", "link", "set", link, "master", lab.bridge, "up")


def unplug(lab: Lab, host: Host) -> None:
    """Remove a host's cable, if it has one. It would go with the host, but a while later."""
    if succeeds("ip", "link", "show", link_name(lab, host)):
        run("ip", "link", "delete", link_name(lab, host))


def switch(lab: Lab, host: Host, state: str) -> None:
    """Set a host's cable `up` or `down`."""
    run("ip", "link", "set", link_name(lab, host), state)


def is_cut(lab: Lab, host: Host) -> bool:
    """Whether a running host's cable is down."""
    flags = Path(f"/sys/class/net/{link_name(lab, host)}/flags")
    return not int(flags.read_text(), 16) & 1


def link_name(lab: Lab, host: Host) -> str:
    """The host's end of the cable on the bridge."""
    return f"l{lab.id}-{host.name}"


def _is_lab_bridge(name: str) -> bool:
    return len(name) == 9 and name.startswith("lab")


def _mtu() -> str:
    """That of the way out: a larger one would lose packets of downloads where ICMP is dropped."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "default"))
    device = routes[0]["dev"] if routes else "lo"
    return str(min(1500, int(Path(f"/sys/class/net/{device}/mtu").read_text())))
