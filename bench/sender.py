#!/usr/bin/env python3
"""
What the engine ``odoo_outbox`` runs: outbox to Odoo, until so many items took effect.

    sender.py COUNT FOLDER

Runs on a PBX of the lab, with the minion's own login at Odoo. Prints ``{"end": when the last was
answered, on the monotonic clock, "times": {UniqueID and Sequence: when that was answered}}``:
Odoo answers after it has committed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_utils"))

from pbxlib import settings
from pbxlib.delivery import Delivery
from pbxlib.doorbell import Doorbell, wake
from pbxlib.odoo import Client
from pbxlib.outbox import Outbox

SETTINGS = "/var/cache/salt/minion/asterisk/settings.json"
MINION = "pbx1"


def key(event):
    """What a call record is known by."""
    return f"{event['UniqueID']} {event['Sequence']}"


def run(count, folder):
    """Deliver ``count`` items; when each was answered, by :func:`key`."""
    path = os.path.join(folder, "outbox.sqlite")
    done, sent = {}, []

    class Watched(Client):
        def call(self, model, method, **arguments):
            answer = super().call(model, method, **arguments)
            now = time.monotonic()
            done.update({item: now for item, word in answer["answers"].items() if word == ["done"]})
            # Read at the end: it is no part of a delivery.
            sent.append(arguments["items"] or "[]")
            if len(done) >= count:
                delivery.stop()
                wake(path)
            return answer

    given = settings.resolve({"odoo": settings.load(SETTINGS)["odoo"]})
    outbox = Outbox(path)
    delivery = Delivery(outbox, Doorbell(path), MINION, given, lambda serial: None, Watched)
    delivery.run()
    items = [item for batch in sent for item in json.loads(batch)]
    return {key(item["data"]): done[item["id"]] for item in items if item["id"] in done}


def main():
    logging.basicConfig(level=logging.WARNING)
    count, folder = sys.argv[1:]
    times = run(int(count), folder)
    print(json.dumps({"end": max(times.values()), "times": times}), flush=True)


if __name__ == "__main__":
    main()
