"""The measures that need the lab: actions, the bus, and delivery to Odoo."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from statistics import median

from results import above, at_least, at_most, times

BENCH = Path(__file__).resolve().parent
# Behind this folder, whose modules are meant first.
sys.path.append(str(BENCH.parent / "tests" / "lab"))

REPOSITORY = "/srv/asterisk-formula"
PYTHON = "/opt/salt/bin/python"
HOSTS = ("hub", "pbx1", "odoo")
BARE = "bare socket, 100 in flight"
ONE_BY_ONE = "one request an event"
# One worker; and the developer guide's handler of one event, in an addon of its own.
ODOO = f"""
set -e
conf=/etc/odoo/odoo.conf
grep -q {REPOSITORY}/bench/odoo $conf && exit
systemctl stop odoo
sed -i 's|^addons_path = .*|&,{REPOSITORY}/bench/odoo|; s/^workers = .*/workers = 1/' $conf
runuser -u odoo -- odoo --config $conf --init asterisk_plus_bench --workers 0 --no-http \\
    --stop-after-init
systemctl start odoo
"""


class Lab:
    """This clone's lab, if it is up."""

    def __init__(self):
        self._house = None
        self._odoo = False

    def why_not(self):
        """Why the lab cannot be used, in a few words, or None."""
        if os.geteuid():
            return "it needs the lab, and that needs root"
        from house import House

        down = [host for host in HOSTS if House().run(host, "true", check=False).returncode]
        return f"it needs the lab's {', '.join(down)}: `make up`" if down else None

    def ready(self):
        """Apply what the demonstration applies, once."""
        from house import House

        if self._house is None:
            self._house = House()
            self._house.provision_hub()
            self._house.connect_odoo()
            self._house.apply()
            self._house.await_bridge()
        return self._house

    def ready_odoo(self):
        """The same, and Odoo with one worker and the bench's handler."""
        house = self.ready()
        if not self._odoo:
            house.run("odoo", "bash", "-c", ODOO)
            house.await_that(lambda: _answers(house), "an answer of Odoo", 60)
            self._odoo = True
        return house

    def inside(self, program, *given, seconds=300):
        """Run one of the programs on pbx1; what it printed as JSON."""
        line = [PYTHON, f"{REPOSITORY}/bench/{program}", *map(str, given)]
        return json.loads(self._house.run("pbx1", *line, timeout=seconds).stdout.splitlines()[-1])


def _answers(house):
    done = house.run(
        "odoo", "curl", "-fsS", "-o", "/dev/null", "https://odoo/web/login", check=False
    )
    return done.returncode == 0


def action_roundtrip(lab, results, options):
    """1,000 actions on one session, 100 of them in flight, on Asterisk 22."""
    lab.ready()
    ours, bare, alone, crossed = [], [], [], 0
    for _ in range(options.rounds):
        run = lab.inside("inside.py", "actions", 1000, 100)
        crossed += run["crossed"]
        ours.append(median(run["ms"]))
        bare.append(median(lab.inside("inside.py", "bare", 1000, 100)["ms"]))
        alone.append(median(lab.inside("inside.py", "bare", 300, 1)["ms"]))
    results.add(
        "action_roundtrip",
        "median of 1,000 actions, 100 in flight",
        "ms",
        ours,
        {BARE: bare, "bare socket, alone": alone},
        [above(3, BARE)],
        f"{crossed} crossed",
    )


def bus_roundtrip(lab, results, options):
    """Actions over the minion bus, one after another."""
    lab.ready()
    ours, bare, crossed = [], [], 0
    for _ in range(options.rounds):
        run = lab.inside("inside.py", "bus", 300)
        crossed += run["crossed"]
        ours.append(median(run["ms"]))
        bare.append(median(lab.inside("inside.py", "bare", 300, 1)["ms"]))
    results.add(
        "bus_roundtrip",
        "median of an action over the minion bus, one at a time",
        "ms",
        ours,
        {"bare AMI socket": bare},
        [at_most(5)],
        f"{crossed} crossed",
    )


def _delivery(lab, results, options, name, what, method, count, goals):
    lab.ready_odoo()
    ours, single = [], []
    for _ in range(options.rounds):
        single.append(lab.inside("odoo_inside.py", "request", 150)["rate"])
        ours.append(lab.inside("odoo_inside.py", "deliver", method, count)["rate"])
    results.add(name, what, "records/s", ours, {ONE_BY_ONE: single}, goals)


def odoo_delivery(lab, results, options):
    """From the AMI socket to committed in Odoo, a record a CDR, by a batch handler."""
    what = "AMI socket to committed in Odoo, batch handler"
    goals = [at_least(3_000), times(30, ONE_BY_ONE)]
    _delivery(lab, results, options, "odoo_delivery", what, "cdrs", 6_000, goals)


def odoo_delivery_single(lab, results, options):
    """The same with a handler of one event."""
    what = "the same, handler of one event"
    goals = [at_least(1_200), times(10, ONE_BY_ONE)]
    _delivery(lab, results, options, "odoo_delivery_single", what, "cdr", 3_000, goals)


def odoo_latency(lab, results, _options):
    """At 50 events a second: from the socket to committed."""
    lab.ready_odoo()
    took = sorted(lab.inside("odoo_inside.py", "pace", 50, 1000)["ms"])
    late = took[int(len(took) * 0.99)]
    results.add(
        "odoo_latency",
        "median from socket to commit, 50 events/s",
        "ms",
        median(took),
        {"99th percentile": late},
        [at_most(60), at_most(150, late, "99th percentile")],
    )


def backlog(lab, results, options):
    """What gathered while Odoo was down, drained by the minion's own engine."""
    house = lab.ready_odoo()
    count = options.backlog
    house.run("odoo", "systemctl", "stop", "odoo")
    try:
        before = lab.inside("odoo_inside.py", "fill", count, seconds=900)["before"]
    finally:
        house.run("odoo", "systemctl", "start", "odoo")
    run = lab.inside("odoo_inside.py", "drain", before, count, seconds=1000)
    rate = results.measures.get("odoo_delivery", {}).get("ours")
    peers = {"odoo_delivery": rate} if rate else {}
    goals = [at_most(100, run["memory"], "MB")]
    if rate:
        goals.append(times(0.67, "odoo_delivery"))
    results.add(
        "backlog",
        f"{count:,} events that waited, drained",
        "records/s",
        run["rate"],
        peers,
        goals,
        f"engine memory at most {run['memory']:.0f} MB",
    )


MEASURES = (
    action_roundtrip,
    bus_roundtrip,
    odoo_delivery,
    odoo_delivery_single,
    odoo_latency,
    backlog,
)
