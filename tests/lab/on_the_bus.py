"""
Listens and asks on a minion's bus. Runs on a PBX, with Salt's Python.

``listen``: prints ``"listening"``, then ``[tag, data]`` for each of the bridge's events, a line of
JSON each, until it is ended. ``ask``: fires the AMI actions on its standard input (a list of dicts
with ``timeout``) all at once, prints ``"asked"``, and then a list of ``[reply, seconds]`` in their
order; a reply that did not come in time is null.
"""

import json
import sys
import time
import uuid

import salt.config
import salt.utils.event

OPTS = salt.config.minion_config("/etc/salt/minion")


def say(what):
    print(json.dumps(what), flush=True)


def listen(bus):
    bus.subscribe("asterisk/ami/")
    say("listening")
    while True:
        event = bus.get_event(wait=0, tag="asterisk/ami/", full=True, auto_reconnect=True)
        if event is not None:
            say([event["tag"], event["data"]])


def ask(bus, actions):
    bus.subscribe("ami_reply/")
    channels = [uuid.uuid4().hex for _ in actions]
    replies = dict.fromkeys(channels)
    began = time.monotonic()
    for channel, action in zip(channels, actions):
        bus.fire_event(dict(action, reply_channel=channel), "ami_action")
    say("asked")
    end = began + max(action["timeout"] for action in actions) + 2
    while None in replies.values() and time.monotonic() < end:
        event = bus.get_event(wait=end - time.monotonic(), tag="ami_reply/", full=True)
        channel = event["tag"].partition("/")[2] if event else None
        if channel in replies:
            replies[channel] = [event["data"]["Reply"], time.monotonic() - began]
    say([replies[channel] for channel in channels])


with salt.utils.event.get_event("minion", sock_dir=OPTS["sock_dir"], opts=OPTS, listen=True) as bus:
    bus.connect_pub()
    if sys.argv[1] == "listen":
        listen(bus)
    else:
        ask(bus, json.load(sys.stdin))
