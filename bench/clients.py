#!/usr/bin/env python3
"""
The readers that are compared: each a process of its own that logs in at a replay and reads.

    clients.py CLIENT PORT [NAME…]

With names, the client is told by its own means that only these events are wanted. Prints
``{"cpu": seconds of this process from connecting to the last event, "taken": events that the
client's user was given}``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_utils"))

import calls


def ours(port, names):
    """pbxlib's session, as the bridge uses it."""
    from pbxlib.session import Manager

    taken = 0
    ended = threading.Event()

    def take(events):
        nonlocal taken
        taken += len(events)
        if events[-1]["Event"] == calls.LAST:
            ended.set()

    manager = Manager()
    manager.on_frames = take
    if names:
        manager.set_wanted([*names, calls.LAST])

    def run():
        manager.connect("127.0.0.1", port)
        manager.login("user", "secret")
        ended.wait()
        return taken - 1

    return run


def panoramisk(port, names):
    """panoramisk on its event loop."""
    import panoramisk

    taken = 0

    async def read():
        ended = asyncio.Event()

        def take(_manager, _event):
            nonlocal taken
            taken += 1

        loop = asyncio.get_running_loop()
        manager = panoramisk.Manager(
            loop=loop, host="127.0.0.1", port=port, username="user", secret="secret"
        )
        for name in names or ["*"]:
            manager.register_event(name, take)
        manager.register_event(calls.LAST, lambda *_: ended.set())
        await manager.connect()
        await ended.wait()
        return taken if names else taken - 1

    return lambda: asyncio.run(read())


def pyst2(port, names):
    """pyst2 as it is."""
    from asterisk.manager import Manager

    taken = 0
    ended = threading.Event()

    def take(_event, _manager):
        nonlocal taken
        taken += 1

    manager = Manager()
    for name in names or ["*"]:
        manager.register_event(name, take)
    manager.register_event(calls.LAST, lambda *_: ended.set())

    def run():
        manager.connect("127.0.0.1", port)
        manager.login("user", "secret")
        ended.wait()
        return taken

    return run


def drain(port, _names):
    """A socket that is read and thrown away: what no client can beat."""
    last = b"Event: " + calls.LAST.encode() + calls.END

    def run():
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.sendall(b"Action: Login\r\nEvents: on" + calls.END)
            end = b""
            while not end.endswith(last):
                end = end[-len(last) :] + link.recv(65536)
        return 0

    return run


def main():
    client, port, *names = sys.argv[1:]
    run = globals()[client](int(port), names)
    start = time.process_time()
    taken = run()
    print(json.dumps({"cpu": time.process_time() - start, "taken": taken}), flush=True)
    # Nothing is left to do, and not every client ends when it is asked to.
    sys.stdout.flush()
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
