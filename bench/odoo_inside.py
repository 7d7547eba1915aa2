#!/opt/salt/bin/python
"""
The measures of delivery, on a PBX of the lab: replay, bridge and sender are processes there.

    odoo_inside.py deliver cdrs|cdr COUNT    from the AMI socket to committed: {"rate": a second}
    odoo_inside.py request COUNT             one request an event: {"rate": a second}
    odoo_inside.py pace RATE COUNT           {"ms": [from socket to committed, for each]}
    odoo_inside.py fill COUNT                put call records into the minion's own outbox
    odoo_inside.py drain COUNT               await their delivery by the minion's own engine:
                                             {"rate": a second, "memory": its MB at most}
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "_utils"))

import calls  # noqa: E402
from sender import MINION, SETTINGS  # noqa: E402

OUTBOX = "/var/cache/salt/minion/asterisk/outbox.sqlite"
PATIENCE = 900


def first_pass():
    """A number for the first pass, so that no run before had the same call records."""
    return random.randrange(10_000_000)


def start(program, *arguments):
    """Start one of the programs here, with its output as a pipe."""
    line = [sys.executable, BENCH / program, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


def through(count, method, *options):
    """Replay call records to Odoo: what replay, bridge and sender printed, as JSON or text."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-") as folder:
        sender = start("sender.py", count, folder)
        replay = start("replay.py", count, "--only", "Cdr", "--first", first_pass(), *options)
        bridge = None
        try:
            port = replay.stdout.readline().strip()
            bridge = start("engine.py", method, port, folder)
            told = bridge.communicate(timeout=PATIENCE)[0]
            sent = replay.communicate(timeout=30)[0]
            done = sender.communicate(timeout=PATIENCE)[0]
        finally:
            for process in (sender, replay, bridge):
                if process is not None:
                    process.kill()
                    process.wait()
    return json.loads(told), json.loads(done), json.loads(sent or "{}")


def deliver(method, count):
    told, done, _ = through(int(count), method)
    return {"rate": int(count) / (done["end"] - told["start"])}


def pace(rate, count):
    _, done, sent = through(int(count), "cdrs", "--rate", rate)
    return {"ms": [(at - sent[key]) * 1e3 for key, at in done["times"].items()]}


def records(count):
    """So many ``Cdr`` events (dicts) that Odoo has not seen."""
    from pbxlib import cdr
    from pbxlib.wire import Parser

    parser = Parser()
    for piece in calls.Traffic("Cdr", first_pass()).events(int(count)):
        for event in parser.feed(piece):
            yield cdr.in_utc(event)


def request(count):
    from pbxlib import settings
    from pbxlib.odoo import Client

    client = Client(settings.resolve({"odoo": settings.load(SETTINGS)["odoo"]})["odoo"])
    events = list(records(count))
    client.call("asterisk_plus.call", "create_cdr", event=events.pop())
    begin = time.monotonic()
    for event in events:
        client.call("asterisk_plus.call", "create_cdr", event=event)
    return {"rate": len(events) / (time.monotonic() - begin)}


def fill(count):
    from engine import ROUTE

    from pbxlib.outbox import Outbox

    outbox = Outbox(OUTBOX, 2_000_000, 4 * 1024**3)
    items = []
    for event in records(count):
        items.append({"kind": "event", "name": "Cdr", "data": event, "keep": None, **ROUTE})
        if len(items) == 1000:
            outbox.put(items)
            items = []
    if items:
        outbox.put(items)
    return {"before": delivered()}


def delivered():
    """How many items the minion's engine has delivered so far."""
    with sqlite3.connect(f"file:{OUTBOX}?mode=ro", uri=True) as link:
        row = link.execute("SELECT value FROM meta WHERE key = 'delivered'").fetchone()
    return row[0] if row else 0


def engine_memory():
    """Resident MB of the engine that sends."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"engines.odoo_outbox" in (process / "cmdline").read_bytes():
                status = (process / "status").read_text()
                return int(status.split("VmRSS:")[1].split()[0]) / 1e3
        except (OSError, IndexError):
            continue  # it ended meanwhile
    raise RuntimeError(f"The engine odoo_outbox does not run on {MINION}")


def drain(before, count):
    target = int(before) + int(count)
    end = time.monotonic() + PATIENCE
    most, begun = 0.0, None
    while (now := time.monotonic()) < end:
        done = delivered()
        most = max(most, engine_memory())
        if begun is None and done > int(before):
            begun = (now, done)
        if done >= target:
            return {"rate": (done - begun[1]) / (now - begun[0]), "memory": most}
        time.sleep(0.2)
    raise RuntimeError(f"{target - done} items were not delivered within {PATIENCE} s")


def main():
    what, *given = sys.argv[1:]
    print(json.dumps(globals()[what](*given)), flush=True)


if __name__ == "__main__":
    main()
