#!/usr/bin/env python3
"""
What the engine ``asterisk_ami`` runs, on a replay: session, event map, outbox and bus writer.

    engine.py write PORT FOLDER     every event goes to the outbox
    engine.py memory PORT FOLDER    every event is parsed and copied to the bus, those of five
                                    names go to the outbox too
    engine.py cdrs PORT FOLDER      call records go to the outbox for a batch handler
    engine.py cdr PORT FOLDER       the same for a handler of one event
    engine.py single EVENTS FOLDER  no bridge: a commit for each of so many events

The outbox is in FOLDER. Prints ``{"start": when it connected, on
the monotonic clock, "seconds": from connecting to the last commit, "cpu": seconds of
this process meanwhile, "stored": rows, "memory": [[events read, MB], …]}``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_utils"))

import calls
import msgpack

from pbxlib import settings
from pbxlib.bridge import Bridge
from pbxlib.bus import BusWriter
from pbxlib.outbox import Outbox

ROUTE = {"model": "asterisk_plus.call", "method": "create_cdrs", "batch": True}
SINGLE = {"model": "asterisk_plus.call", "method": "create_cdr"}
SAMPLE = 100_000


def memory():
    """This process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Bus(BusWriter):
    """The bus writer, packing as Salt does. It samples memory, and sees the end."""

    def __init__(self):
        super().__init__(lambda tag, data: msgpack.packb((tag, data)), "pbx1")
        self.ended = threading.Event()
        self.memory = []
        self._seen = 0
        self._next = SAMPLE

    def events(self, events):
        super().events(events)
        self._seen += len(events)
        if self._seen >= self._next:
            self._next += SAMPLE
            self.memory.append((self._seen, round(memory(), 1)))
        if events[-1]["Event"] == calls.LAST:
            self.ended.set()


def event_map(stored=None):
    """A map of every recorded event. ``stored``: names of those that go to the outbox; None:
    all."""
    names = {frame.split(b"\r\n")[0][7:].decode() for frame in calls.frames()}
    routes = {name: [ROUTE if stored is None or name in stored else {}] for name in names}
    return {**routes, calls.LAST: [{}]}


MAPS = {
    "write": lambda: event_map(),
    "memory": lambda: event_map(calls.FIVE),
    "cdrs": lambda: {"Cdr": [ROUTE], calls.LAST: [{}]},
    "cdr": lambda: {"Cdr": [SINGLE], calls.LAST: [{}]},
}


def run_bridge(port, folder, events):
    """Run until the end of a replay, with this map of ``events``."""
    given = settings.resolve({"ami": {"port": port}, "events": events})
    bus = Bus()
    # Bounded, as nothing takes items out here.
    outbox = Outbox(os.path.join(folder, "outbox.sqlite"), 200_000, 2 * 1024**3)
    bridge = Bridge(given, lambda: "secret", outbox, bus)
    start, cpu = time.monotonic(), time.process_time()
    thread = threading.Thread(target=bridge.run)
    thread.start()
    bus.ended.wait()
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    bridge.stop()
    thread.join()
    stored = bridge.counters["stored"]
    return {
        "start": start,
        "seconds": seconds,
        "cpu": cpu,
        "stored": stored,
        "memory": bus.memory,
    }


def one_by_one(count, folder):
    """Put events into the outbox with a commit each."""
    from pbxlib.wire import Parser

    events = Parser().feed(b"".join(calls.Traffic().events(count)))
    outbox = Outbox(os.path.join(folder, "outbox.sqlite"), 200_000, 2 * 1024**3)
    start, cpu = time.monotonic(), time.process_time()
    for event in events:
        outbox.put([{"kind": "event", "name": event["Event"], "data": event, **ROUTE}])
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "stored": len(events), "memory": []}


def main():
    logging.basicConfig(level=logging.ERROR)
    what, number, folder = sys.argv[1:]
    if what == "single":
        result = one_by_one(int(number), folder)
    else:
        result = run_bridge(int(number), folder, MAPS[what]())
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
