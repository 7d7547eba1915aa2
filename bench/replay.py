#!/usr/bin/env python3
"""
Asterisk's part in a measure: a process that takes one login and sends recorded traffic.

    replay.py EVENTS [--only NAME] [--rate EVENTS_A_SECOND] [--first PASS] [--without HEADERS]

Prints the port that it listens at. Every action is answered with success; the traffic begins
when the session wants events, and ends with the event ``BenchEnd``. With a rate, it prints when
(seconds of the monotonic clock) it sent each call record, as one JSON object, at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import time

import calls

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
_KEY = re.compile(rb"\r\nUniqueID: ([^\r]*)(?s:.)*\r\nSequence: ([^\r]*)")


def serve(listener, pieces, rate=None):
    """Serve one session; the times at which call records were sent, by UniqueID and Sequence."""
    link, _ = listener.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(GREETING)
    heard = bytearray()
    wants_events = False
    while not wants_events:
        wants_events = _answer(link, heard)
    sent = {}
    if rate is None:
        for piece in pieces:
            link.sendall(piece)
    else:
        sent = _paced(link, b"".join(pieces), rate)
    link.sendall(b"Event: %s%s" % (calls.LAST.encode(), calls.END))
    while heard is not None:
        try:
            _answer(link, heard)
        except ConnectionError:
            heard = None
    return sent


def _answer(link, heard):
    """Answer what comes next; whether it asked for events."""
    data = link.recv(65536)
    if not data:
        raise ConnectionResetError
    heard += data
    wants_events = False
    while (end := heard.find(calls.END)) >= 0:
        action = dict(line.split(": ", 1) for line in heard[:end].decode().split("\r\n"))
        del heard[: end + len(calls.END)]
        action = {key.lower(): value for key, value in action.items()}
        link.sendall(
            b"Response: Success\r\nActionID: %s\r\nMessage: Authentication accepted\r\n\r\n"
            % action.get("actionid", "").encode()
        )
        mask = action.get("eventmask") or action.get("events") or "on"
        wants_events |= action["action"].lower() in ("login", "events") and mask != "off"
    return wants_events


def _paced(link, data, rate):
    sent = {}
    begin = time.monotonic() + 0.5
    for number, frame in enumerate(data.split(calls.END)[:-1]):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        sent[b" ".join(_KEY.search(frame).groups()).decode()] = time.monotonic()
        link.sendall(frame + calls.END)
    return sent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("events", type=int)
    parser.add_argument("--only")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--without")
    given = parser.parse_args()
    pieces = calls.Traffic(given.only, given.first).events(given.events)
    if given.without:
        line = re.compile(rb"\r\n[^\r:]*%s[^\r:]*: [^\r]*" % given.without.encode())
        pieces = (line.sub(b"", piece) for piece in pieces)
    if given.events < 10**6:
        pieces = list(pieces)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sent = serve(listener, pieces, given.rate)
    if given.rate:
        print(json.dumps(sent), flush=True)


if __name__ == "__main__":
    main()
