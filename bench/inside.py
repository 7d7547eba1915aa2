#!/opt/salt/bin/python
"""
The measures that run on a PBX of the lab, where Asterisk and the minion's bus are.

    inside.py actions COUNT WINDOW    COUNT actions, WINDOW of them in flight, on one session
    inside.py bare COUNT WINDOW       the same by a bare socket
    inside.py bus COUNT               actions over the minion bus, one at a time

Prints ``{"ms": [one for each action], "crossed": how many got another's answer}``.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_utils"))

SECRET = Path("/etc/salt/asterisk/ami")
ACCOUNT = "salt"
PORT = 5038


def getvar(number):
    """An action whose answer tells which it belongs to: the variable's name comes back."""
    return {"Action": "Getvar", "Variable": f"BENCH_{number}"}


def actions(count, window):
    """Milliseconds of each of ``count`` actions on pbxlib's session."""
    from pbxlib.session import Manager

    manager = Manager(action_timeout=30.0)
    manager.connect("127.0.0.1", PORT)
    manager.login(ACCOUNT, SECRET.read_text().strip(), events="off")
    free = threading.Semaphore(window)
    took, crossed = [0.0] * count, []

    def send(number):
        def answered(outcome):
            took[number] = (time.perf_counter() - start) * 1e3
            reply = {} if isinstance(outcome, Exception) else outcome[0]
            if reply.get("Variable") != f"BENCH_{number}":
                crossed.append(number)
            free.release()

        start = time.perf_counter()
        manager.submit(getvar(number), None, answered)

    for number in range(count):
        free.acquire()
        send(number)
    for _ in range(window):
        free.acquire()
    manager.close()
    return {"ms": took, "crossed": len(crossed)}


def bare(count, window):
    """The same by one thread that sends and reads bytes."""
    with socket.create_connection(("127.0.0.1", PORT)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(
            f"Action: Login\r\nUsername: {ACCOUNT}\r\nSecret: {SECRET.read_text().strip()}\r\n"
            "Events: off\r\n\r\n".encode()
        )
        heard = b""
        while heard.count(b"\r\n\r\n") < 1:
            heard += link.recv(65536)
        heard = b""
        sent, took = [], []
        while len(took) < count:
            while len(sent) < min(count, len(took) + window):
                sent.append(time.perf_counter())
                link.sendall(b"Action: Getvar\r\nVariable: BENCH_%d\r\n\r\n" % len(sent))
            heard += link.recv(65536)
            *whole, heard = heard.split(b"\r\n\r\n")
            for reply in whole:
                took.append((time.perf_counter() - sent[len(took)]) * 1e3)
                if b"Variable: BENCH_%d\r\n" % len(took) not in reply:
                    raise RuntimeError(f"An answer out of its turn: {reply}")
    return {"ms": took, "crossed": 0}


def bus(count):
    """Milliseconds of each of ``count`` actions over the minion bus, one at a time."""
    import salt.config
    import salt.utils.event

    opts = salt.config.minion_config("/etc/salt/minion")
    took, crossed = [], 0
    with salt.utils.event.get_event(
        "minion", sock_dir=opts["sock_dir"], opts=opts, listen=True
    ) as link:
        link.subscribe("ami_reply/")
        for number in range(count):
            channel = uuid.uuid4().hex
            start = time.perf_counter()
            link.fire_event({**getvar(number), "reply_channel": channel}, "ami_action")
            reply = link.get_event(wait=5, tag=f"ami_reply/{channel}")
            took.append((time.perf_counter() - start) * 1e3)
            crossed += (reply or {}).get("Reply", [{}])[0].get("Variable") != f"BENCH_{number}"
    return {"ms": took, "crossed": crossed}


def main():
    what, *numbers = sys.argv[1:]
    print(json.dumps(globals()[what](*map(int, numbers))), flush=True)


if __name__ == "__main__":
    main()
