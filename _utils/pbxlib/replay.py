"""Replaying a recorded AMI transcript through an event map: the way to test a map before it is
live."""

from __future__ import annotations

from pbxlib import cdr
from pbxlib.wire import Parser

_CHUNK = 64 * 1024


def replay(file, event_map):
    """For each event of ``file`` (binary, as received from the socket), a dict:

    ``event`` (its name), ``number`` (which event of the file it is, from 1) and ``routes``: a list
    of ``{"route", "to", "sent"}`` with the path in the map, ``model.method`` or ``bus only``, and
    the data that Odoo would get. Events that no route takes have an empty list.
    """
    parser = Parser()
    number = 0
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        for message in parser.feed(chunk):
            if "Event" not in message:
                continue
            number += 1
            event = cdr.in_utc(message) if message["Event"] == "Cdr" else message
            yield {
                "event": event["Event"],
                "number": number,
                "routes": [
                    {
                        "route": route.path,
                        "to": f"{route.model}.{route.method}" if route.model else "bus only",
                        "sent": route.item(event["Event"], event)["data"] if route.model else None,
                    }
                    for route in event_map.routes(event)
                ],
            }
