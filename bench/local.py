"""The measures that need nothing but this machine: parsing, the outbox, memory, the formula."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import calls
from results import at_least, at_most, times

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "tests" / "functional"))

from formula_host import FormulaHost, many_endpoints  # noqa: E402

# In proportion to their speed, so that each runs for a second or so.
EVENTS = {"ours": 200_000, "panoramisk": 80_000, "pyst2": 1_500, "drain": 1_000_000}
# Its reader dies of the first ChanVariable, and would wait for ever.
PREPARED = {"pyst2": ["--without", "ChanVariable"]}
RATE = "events/CPU-s"
TITLES = {
    "panoramisk": "panoramisk 1.4",
    "pyst2": "pyst2 0.5.1",
    "drain": "bare socket drain",
}


@contextlib.contextmanager
def replay(events, *options):
    """A replaying process: its port, as text."""
    process = subprocess.Popen(
        [sys.executable, BENCH / "replay.py", str(events), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def ask(program, *arguments, seconds=900):
    """Run one of the programs here; what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, BENCH / program, *arguments],
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds,
    )
    return json.loads(done.stdout)


def _read(client, names):
    """Events a CPU-second of a client."""
    with replay(EVENTS[client], *PREPARED.get(client, [])) as port:
        return EVENTS[client] / ask("clients.py", client, port, *names, seconds=120)["cpu"]


def _compare(names, rounds):
    runs = {client: [] for client in EVENTS}
    for _ in range(rounds):
        for client, rates in runs.items():
            rates.append(_read(client, names))
    ours = runs.pop("ours")
    return ours, {TITLES[client]: rates for client, rates in runs.items()}


def ami_parse(results, options):
    """Every event is parsed and handed over."""
    ours, peers = _compare([], options.rounds)
    goals = [times(2.5, TITLES["panoramisk"])]
    results.add("ami_parse", "every event parsed", RATE, ours, peers, goals)


def ami_filter(results, options):
    """A map of five names: the others are read and not wanted."""
    ours, peers = _compare(calls.FIVE, options.rounds)
    goals = [times(6, TITLES["panoramisk"])]
    results.add("ami_filter", "a map of five names", RATE, ours, peers, goals)


def _engine(what, number):
    # On a disk, where a commit costs what it costs: /tmp may be memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-") as folder:
        return ask("engine.py", what, str(number), folder)


def outbox_write(results, options):
    """From the socket to committed rows, every event of the traffic."""
    ours, single, busy = [], [], []
    for _ in range(options.rounds):
        with replay(60_000) as port:
            run = _engine("write", port)
        ours.append(run["stored"] / run["seconds"])
        busy.append(run["stored"] / run["cpu"])
        run = _engine("single", 2_000)
        single.append(run["stored"] / run["seconds"])
    results.add(
        "outbox_write",
        "from the socket to a committed row",
        "events/s",
        ours,
        {"a commit an event": single},
        [at_least(20_000)],
        f"{median(busy):,.0f} a CPU-second",
    )


def memory(results, options):
    """Resident memory of the bridge while millions of events pass."""
    with replay(options.memory_events) as port:
        samples = _engine("memory", port)["memory"]
    # The first tenth fills caches and the allocator's own stock.
    early = next(used for seen, used in samples if seen >= options.memory_events / 10)
    late = samples[-1][1]
    results.add(
        "memory",
        f"the bridge after {samples[-1][0]:,} events",
        "MB",
        late,
        {f"after {options.memory_events // 10:,} events": early},
        [at_most(early * 1.02 + 1)],
    )


def formula_again(results, options):
    """A second apply of all files with 1,000 endpoints: nothing changes."""
    runs = {10: [], 1000: []}
    for count, seconds in runs.items():
        with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-") as folder:
            host = FormulaHost(Path(folder))
            beside = {"install": {"method": "none"}, "ami": {"secret": "bench"}}
            host.set_pillar({**beside, **many_endpoints(count)})
            host.states("asterisk-formula.config")
            for _ in range(options.rounds):
                begin = time.monotonic()
                states = host.states("asterisk-formula.config")
                seconds.append(time.monotonic() - begin)
                changed = [name for name, state in states.items() if state["changes"]]
                if changed:
                    raise RuntimeError(f"a second apply changed {', '.join(changed)}")
    results.add(
        "formula_again",
        "a second apply of the files, 1,000 endpoints, `salt-call` from its start",
        "s",
        runs[1000],
        {"10 endpoints": runs[10]},
        [at_most(20)],
    )


MEASURES = (ami_parse, ami_filter, outbox_write, memory, formula_again)
