"""
The sender of the outbox: batches of events and job results to Odoo.

Listens for
    ``/salt/minion/minion_pillar_refresh_complete``: it takes the new settings.

Sends
    ``pillar_refresh``: when Odoo's answer carries another serial of its event map than the
    pillar has, so that the minion and both engines take the new map.

Switch it on in the minion's configuration; its settings come from the pillar key ``asterisk``:

.. code-block:: yaml

    engines:
      - odoo_outbox: {}

Only one runs for a minion: a second one waits for the first to end.
"""

import logging
import os

import salt.utils.event

try:
    from pbxlib import pillar
    from pbxlib.delivery import Delivery
    from pbxlib.doorbell import Doorbell, wake
    from pbxlib.lock import EngineLock, leave_with_parent
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
    """Send until the minion ends.

    CLI Example: none; the minion starts its engines.
    """
    leave_with_parent()
    folder = pillar.folder(__opts__)
    EngineLock(os.path.join(folder, "odoo_outbox.lock")).take()
    path = os.path.join(folder, "outbox.sqlite")

    def adopt(new):
        outbox.limit(*sizes(new))
        delivery.configure(new)
        wake(path)

    settings = pillar.LiveSettings(
        __opts__,
        on_change=adopt,
        complain=log.debug,  # asterisk_ami, beside it, says the same
    )
    outbox = Outbox(path, *sizes(settings.current))
    asked = None

    def compare(serial):
        nonlocal asked
        # Once for each serial: a pillar that cannot bring the new map must not be asked for ever.
        if serial in (None, asked, settings.current["events_serial"]):
            return
        asked = serial
        log.info("Odoo's event map has changed: refreshing the pillar")
        with salt.utils.event.get_event(
            "minion", sock_dir=__opts__["sock_dir"], opts=__opts__, listen=False
        ) as bus:
            bus.fire_event({}, "pillar_refresh")

    delivery = Delivery(outbox, Doorbell(path), __opts__["id"], settings.current, compare)
    settings.start()
    if not settings.current["odoo"]["url"]:
        # Nothing is known at the first start: that the pillar lacks it cannot be said yet.
        settings.asked.wait(30)
    delivery.run()
