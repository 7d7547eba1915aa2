"""
The bridge between Asterisk's manager interface (AMI) and the minion bus.

Listens for
    ``ami_action``: an action's headers, and ``reply_channel``, ``timeout`` (s), ``as_list``.

    ``asterisk/ami/stats``: ``reply_channel``; the reply is the engine's counters.

    ``asterisk/ami/reconnect``: no data; a new session is opened. What an account may read and do
    is settled at its login.

Sends
    ``ami_reply/<reply_channel>``: ``Reply``, a list of messages, each a dict.

    ``asterisk/ami/events``: ``server`` (minion id), ``events`` (list of matched events, in
    order); at most 20 a second.

    ``asterisk/ami/state``: ``state`` (connected, disconnected or refused), ``gap`` (seconds
    unheard, None at the first connection), ``reason`` (words, unless connected).

Switch it on in the minion's configuration; its settings come from the pillar key ``asterisk``:

.. code-block:: yaml

    engines:
      - asterisk_ami: {}

Only one runs for a minion: a second one waits for the first to end.
"""

import logging
import os

import salt.utils.event

try:
    from pbxlib import keyfile, pillar
    from pbxlib.bridge import Bridge
    from pbxlib.bus import BusWriter
    from pbxlib.lock import EngineLock, leave_with, leave_with_parent
    from pbxlib.outbox import Outbox, sizes

    MISSING = None
except ImportError as error:
    MISSING = str(error)

log = logging.getLogger(__name__)


def __virtual__():
    if MISSING:
        why = f"{MISSING}: apply asterisk-formula.bridge, which installs what is missing"
        # Salt passes over an engine that refuses without a word.
        log.error("The engine %s does not start: %s", __name__.rsplit(".", 1)[-1], why)
        return False, why
    return True


def start():
    """Run the bridge until the minion ends.

    CLI Example: none; the minion starts its engines.
    """
    leave_with_parent()
    folder = pillar.folder(__opts__)
    EngineLock(os.path.join(folder, "asterisk_ami.lock")).take()

    def adopt(new):
        outbox.limit(*sizes(new))
        bridge.configure(new)

    settings = pillar.LiveSettings(__opts__, on_change=adopt)
    outbox = Outbox(os.path.join(folder, "outbox.sqlite"), *sizes(settings.current))

    def secret():
        given = settings.current["ami"]["secret"]
        return given or keyfile.read(pillar.keys(__opts__), "ami") or ""

    with (
        salt.utils.event.get_event(
            "minion", sock_dir=__opts__["sock_dir"], opts=__opts__, listen=False
        ) as mouth,
        salt.utils.event.get_event(
            "minion", sock_dir=__opts__["sock_dir"], opts=__opts__, listen=True
        ) as ear,
    ):
        writer = BusWriter(lambda tag, data: mouth.fire_event(data, tag), __opts__["id"])
        bridge = Bridge(settings.current, secret, outbox, writer)
        settings.start()
        leave_with(bridge.run, "ami-bridge")
        while True:
            event = ear.get_event(
                wait=0,
                tag="(ami_action|asterisk/ami/(stats|reconnect))$",
                match_type="regex",
                full=True,
                auto_reconnect=True,
            )
            if event is None:
                continue
            if event["tag"] == "ami_action":
                bridge.perform(event["data"])
            elif event["tag"] == "asterisk/ami/reconnect":
                bridge.reconnect()
            else:
                channel = event["data"].get("reply_channel")
                writer.send(f"ami_reply/{channel}", {"Reply": [bridge.stats()]})
