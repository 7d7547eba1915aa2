"""
Delivery: the loop that takes batches from the outbox to Odoo.

One batch is in flight at a time. What goes wrong is answered by one policy:

* Odoo is away, or a setting is wrong: the same batch again, after growing, jittered pauses.
* The request timed out, or is too large: the front half of the batch, under the same number.
* Odoo's mark is above every number that was sent from here, or its stored answer is about
  other items: this outbox is a copy. It takes a new id, and says so.
"""

from __future__ import annotations

import logging
import time

from pbxlib.errors import OdooError, OdooRefused, OdooTimeout, OdooTooLarge
from pbxlib.odoo import Client
from pbxlib.outbox import pause

log = logging.getLogger(__name__)


class Delivery:
    """Sends what is in ``outbox``; ``doorbell`` says when to look.

    ``minion``: the minion's id. ``settings``: resolved settings; replace them while it runs
    with :meth:`configure`. ``on_serial(serial)`` is called with the serial of Odoo's event map
    in every answer.
    """

    def __init__(self, outbox, doorbell, minion, settings, on_serial, client=Client):
        self._outbox = outbox
        self._doorbell = doorbell
        self._minion = minion
        self._on_serial = on_serial
        self._make_client = client
        self._client = None
        self._pending = settings
        self._settings = None
        self._failures = 0
        self._said = None
        self._heard = float("-inf")  # so that the first thing sent is a heartbeat
        self._stopping = False

    def configure(self, settings):
        """Use other settings from the next batch on. Any thread may call it; ring the bell."""
        self._pending = settings

    def stop(self):
        """Leave :meth:`run` after the batch in flight. Ring the bell."""
        self._stopping = True

    def run(self):
        """Send until :meth:`stop`."""
        while not self._stopping:
            self._adopt()
            try:
                self.step()
            except OdooError as error:
                self._failed(error)

    def _adopt(self):
        """Take settings that :meth:`configure` brought."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if self._settings is None or pending["odoo"] != self._settings["odoo"]:
            if self._client:
                self._client.close()
            self._client = None
            self._failures = 0
        self._settings = pending

    def step(self):
        """Send one batch or a heartbeat, or wait until there is one. Raises ``OdooError``."""
        if self._client is None:
            self._client = self._make_client(self._settings["odoo"])
        limits = self._settings["outbox"]
        batch = self._outbox.open_batch(limits["batch_items"], limits["batch_bytes"])
        if batch is None:
            self._idle()
            return
        try:
            answer = self._receive(batch.outbox, batch.number, batch.items)
        except (OdooTimeout, OdooTooLarge) as error:
            left = self._outbox.shrink(batch.number, str(error))
            log.warning(
                "%s. Batch %s of %s items: %s",
                error,
                batch.number,
                len(batch.items),
                f"sending its first {left}" if left else "its one item is set aside",
            )
            return
        self._take(batch, answer)

    def _take(self, batch, answer):
        answers = answer["answers"]
        ours = {item["id"] for item in batch.items}
        if answer["mark"] > batch.number or (answers and not ours & answers.keys()):
            log.warning(
                "Odoo has seen batch %s of outbox %s, and this PBX sent up to %s: its outbox was "
                "restored or copied from another host. It goes on under a new id",
                answer["mark"],
                batch.outbox,
                batch.number,
            )
            self._outbox.renew()
            return
        retry = self._settings["outbox"]
        self._outbox.settle(
            batch.number, answers, retry["tries"], pause(retry["retry_first"], retry["retry_cap"])
        )
        for item, (word, *why) in answers.items():
            if word != "done":
                log.warning("Odoo answered %s for item %s: %s", word, item, " ".join(map(str, why)))

    def _idle(self):
        """Nothing is due: wait for the bell, the next item or the heartbeat."""
        quiet = time.monotonic() - self._heard
        left = self._settings["odoo"]["heartbeat"] - quiet
        if left <= 0:
            self._receive("", 0, [])
            return
        due = self._outbox.next_due()
        if self._doorbell.wait(left if due is None else min(left, due)):
            # Let a batch gather: one call for many items, for a few milliseconds' delay.
            time.sleep(self._settings["outbox"]["batch_wait"])

    def _receive(self, outbox, number, items):
        answer = self._client.call(
            "asterisk_plus.inbox",
            "receive",
            outbox=outbox,
            number=number,
            items=items,
            minion=self._minion,
        )
        self._heard = time.monotonic()
        self._failures = 0
        if self._said is not None:
            log.info("Odoo answers again")
            self._said = None
            self._outbox.note(error=None, next_try=None)
        self._on_serial(answer.get("serial"))
        return answer

    def _failed(self, error):
        """Say it, once for each reason, and wait before the next try."""
        self._failures += 1
        retry = self._settings["outbox"]
        wait = pause(retry["retry_first"], retry["retry_cap"])(self._failures)
        if isinstance(error, OdooRefused):
            # A wrong setting is mended by a person, and a changed pillar is tried at once.
            wait = max(wait, min(30, retry["retry_cap"]))
        text = str(error)
        if text != self._said:
            log.error("%s. What is in the outbox is kept; next try in %.0f s", text, wait)
            self._said = text
        self._outbox.note(error=text, next_try=time.time() + wait)
        self._await_retry(wait)

    def _await_retry(self, seconds):
        """Wait out a pause; items that arrive do not shorten it, new settings and stop do."""
        end = time.monotonic() + seconds
        while not self._stopping and self._pending is None:
            left = end - time.monotonic()
            if left <= 0:
                return
            self._doorbell.wait(left)
