"""
Asterisk's console in a browser: a websocket onto ``asterisk -rvvv``, as an unprivileged user.

Off unless the pillar says otherwise. Who may call ``asterisk.console_ticket`` on this minion gets
the address and a ticket for one connection; what is said on it is in ``pbxlib.console``. ``!``
gives a shell of the user ``asterisk:console:user``, never of root.

Listens for
    ``/salt/minion/minion_pillar_refresh_complete``: it takes the new settings. When those of the
    console have changed it listens anew, and the sessions that are open end. A certificate
    that was renewed under the same name is taken at the next start.

Sends
    nothing.

Switch it on in the pillar and apply ``asterisk-formula.bridge``, which adds the engine:

.. code-block:: yaml

    asterisk:
      console:
        enabled: true

The other settings, with their defaults:

.. code-block:: yaml

    asterisk:
      console:
        listen: 127.0.0.1     # an IP address; TLS is required for one that is not loopback
        port: 8010
        cert: ~               # PEM, the chain included; with it the console speaks TLS only
        key: ~                # PEM
        url: ~                # what clients connect to, if a proxy is in between: wss://…
        origins: []           # whose pages may connect: https://odoo.example.com; none: its own
        user: asterisk        # who types; root is refused
        idle_timeout: 15m     # without anything typed, until the session ends
        max_sessions: 4

Only one runs for a minion: a second one waits for the first to end.
"""

import asyncio
import logging
import os

try:
    from pbxlib import pillar
    from pbxlib.backoff import Backoff
    from pbxlib.console import Console
    from pbxlib.lock import EngineLock, leave_with_parent
    from pbxlib.tickets import Tickets

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
    """Serve the console, if it is switched on, until the minion ends.

    CLI Example: none; the minion starts its engines.
    """
    leave_with_parent()
    folder = pillar.folder(__opts__)
    EngineLock(os.path.join(folder, "asterisk_console.lock")).take()
    asyncio.run(_serve(Tickets(os.path.join(folder, "console"))))


async def _serve(tickets):
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    settings = pillar.LiveSettings(
        __opts__,
        on_change=lambda new: loop.call_soon_threadsafe(changed.set),
        complain=log.debug,  # asterisk_ami, beside it, says the same
    )
    settings.start()
    backoff = Backoff(first=5.0, cap=300.0)
    while True:
        wanted = settings.current["console"]
        pause = None
        console = Console(wanted, tickets)
        try:
            if wanted["enabled"]:
                try:
                    port = console.listen()
                    log.info("The console listens at %s port %s", wanted["listen"], port)
                    backoff.reset()
                except OSError as error:
                    pause = backoff.next()
                    log.error(
                        "The console cannot listen at %s port %s, next try in %.0f s: %s",
                        wanted["listen"],
                        wanted["port"],
                        pause,
                        error,
                    )
            try:
                await asyncio.wait_for(_other(settings, wanted, changed), pause)
            except asyncio.TimeoutError:
                continue
        finally:
            console.close()


async def _other(settings, wanted, changed):
    while settings.current["console"] == wanted:
        changed.clear()
        await changed.wait()
