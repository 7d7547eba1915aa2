"""
Delivery: the loop that takes batches from the outbox to Odoo.

One batch is in flight at a time; the one that follows is read and encoded meanwhile. What goes
wrong is answered by one policy:

* Odoo is away, or a setting is wrong: the same batch again, after growing, jittered pauses.
* The request is too large: the front half of the batch, under the same number.
* The request timed out: one item in it hangs, and each try costs that time. So its items go one
  by one, the first under the same number, until the one is found or all of them are through.
* Odoo broke off or failed as a whole: once a heartbeat shows that Odoo is well, the batch is to
  blame, and its items go one by one, too.
* A lone item has :data:`LONE_TRIES` before it is set aside. The batches after it grow again by
  doubling.
* Odoo's own tries were not enough for a conflict between transactions: the items go one by one,
  and the one in conflict is an item that failed: it comes again after growing pauses.
* Odoo's mark is above every number that was sent from here, or its stored answer is about
  other items: this outbox is a copy. It takes a new id, and says so.
"""

from __future__ import annotations

import functools
import logging
import threading
import time

from pbxlib.backoff import pause
from pbxlib.errors import (
    OdooBroke,
    OdooConflict,
    OdooFailed,
    OdooRefused,
    OdooTimeout,
    OdooTooLarge,
    OutboxError,
    PbxError,
)
from pbxlib.odoo import Client

log = logging.getLogger(__name__)

# A restart of Odoo at the wrong moment must not set an item aside.
LONE_TRIES = 3


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
        self._latest = settings
        self._settings = None
        self._failures = 0
        self._said = None
        self._noted = True  # an earlier process may have left its last error
        self._suspect = None
        self._suspected = 0
        self._most = None  # items in a batch, while it grows again after it was shrunk
        self._alone = 0  # items that still go one by one
        self._next = None  # the batch that was opened with the last answer
        self._heard = float("-inf")  # so that an idle sender begins with a heartbeat
        self._stopping = False

    def configure(self, settings):
        """Use other settings from the next batch on. Any thread may call it; ring the bell."""
        self._latest = settings

    def stop(self):
        """Leave :meth:`run` after the batch in flight. Ring the bell."""
        self._stopping = True

    def run(self):
        """Send until :meth:`stop`."""
        while not self._stopping:
            try:
                self.step()
            except PbxError as error:
                self._failed(error)

    def _adopt(self):
        """Take settings that :meth:`configure` brought."""
        latest, before = self._latest, self._settings
        if latest is before:
            return
        self._settings = latest
        if before is not None and latest["odoo"] != before["odoo"]:
            if self._client:
                self._client.close()
            self._client = None
            self._failures = 0
            self._heard = float("-inf")  # an idle sender tries them at once, too
            if self._said is not None:
                self._said = ""  # the same error with other settings is said again

    def step(self):
        """Send one batch or a heartbeat, or wait until there is one.

        Raises ``OdooError`` and ``OutboxError``: what is in the outbox stays there.
        """
        self._adopt()
        if self._client is None:
            self._client = self._make_client(self._settings["odoo"])
        limits = self._settings["outbox"]
        most = min(limits["batch_items"], self._most or limits["batch_items"])
        batch, self._next = self._next, None
        if batch is None:
            batch = self._outbox.open_batch(most, limits["batch_bytes"])
        if batch is None:
            self._idle()
            return
        lone = len(batch.ids) == 1
        if self._suspect is not None:
            self._heartbeat()
            blame, self._suspect = self._suspect, None
            if lone and isinstance(blame, OdooConflict):
                failed = {batch.ids[0]: ["failed", str(blame)]}
                self._take(batch, {"mark": 0, "answers": failed}, None)
                return
            if not lone or self._suspected >= LONE_TRIES:
                self._one_by_one(batch, blame)
                return
        ahead = _Ahead(self._outbox, most, limits["batch_bytes"]) if batch.full else None
        try:
            answer = self._receive(batch.outbox, batch.number, batch.body)
        except OdooTooLarge as error:
            self._shrink(batch, len(batch.ids) // 2, error)
        except (OdooTimeout, OdooBroke, OdooFailed) as error:
            if isinstance(error, OdooTimeout) and not lone:
                self._one_by_one(batch, error)
                return
            self._suspect = error
            self._suspected += 1
            raise
        else:
            self._take(batch, answer, ahead)

    def _one_by_one(self, batch, error):
        """Send the batch's items one by one; the one item of a batch is set aside."""
        count = len(batch.ids)
        self._shrink(batch, 1 if count > 1 else 0, error)
        self._alone = count if count > 1 else 0

    def _shrink(self, batch, left, error):
        """Send the first ``left`` items of the batch; 0 sets its one item aside."""
        self._outbox.shrink(batch.number, left, str(error))
        self._suspected = 0
        # What was put back holds the culprit: it is not to cost all these tries once more.
        self._most = left or 1
        log.warning(
            "%s. Batch %s of %s items: %s",
            error,
            batch.number,
            len(batch.ids),
            f"sending its first {left}" if left else "its one item is set aside",
        )

    def _grow(self, passed, full):
        """Let batches grow again after ``passed`` items were answered."""
        self._alone = max(0, self._alone - passed)
        if self._most and not self._alone:
            self._most = self._most * 2 if self._most < full else None

    def _take(self, batch, answer, ahead):
        answers = answer["answers"]
        retry = self._settings["outbox"]
        self._suspected = 0
        # All of a batch that Odoo had applied whole, though its front alone was sent again.
        self._grow(len(answers), retry["batch_items"])
        ours = set(batch.ids)
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
        self._next = self._outbox.settle(
            batch.number,
            answers,
            retry["tries"],
            functools.partial(pause, first=retry["retry_first"], cap=retry["retry_cap"]),
            ahead.found() if ahead and not self._most else None,
        )
        bad = [
            f"{word} for item {item}: {' '.join(map(str, why))}"
            for item, (word, *why) in answers.items()
            if word not in ("done", "stale")
        ]
        if bad:
            log.warning(
                "Of the %s items of batch %s, Odoo did not take %s. The first: %s",
                len(batch.ids),
                batch.number,
                len(bad),
                bad[0],
            )
        if not answers:
            raise OdooFailed("Odoo took a batch and answered for none of its items")

    def _idle(self):
        """Nothing is due: wait for the bell, the next item or the heartbeat."""
        quiet = time.monotonic() - self._heard
        left = self._settings["odoo"]["heartbeat"] - quiet
        if left <= 0:
            self._heartbeat()
            return
        due = self._outbox.next_due()
        if self._doorbell.wait(left if due is None else min(left, due)):
            # Let a batch gather: one call for many items, for a few milliseconds' delay.
            time.sleep(self._settings["outbox"]["batch_wait"])

    def _heartbeat(self):
        self._receive(self._outbox.id, 0, [])

    def _receive(self, outbox, number, items):
        """``items``: a list, or its JSON."""
        answer = self._client.call(
            "asterisk_plus.inbox",
            "receive",
            outbox=outbox,
            number=number,
            items=items,
            minion=self._minion,
        )
        if not _is_answer(answer):
            raise OdooFailed(
                "Odoo's answer has another form than this version's: the addon asterisk_plus in "
                "Odoo and the formula on this PBX are of different versions"
            )
        self._heard = time.monotonic()
        self._failures = 0
        if self._said is not None:
            log.info("Odoo answers again")
            self._said = None
        if self._noted:
            self._noted = False
            self._outbox.note(error=None, next_try=None)
        self._tell_serial(answer.get("serial"))
        return answer

    def _tell_serial(self, serial):
        try:
            self._on_serial(serial)
        except Exception as error:
            # Whatever Salt's bus raises: the answer that carried the serial must be kept.
            log.warning("The pillar was not refreshed for Odoo's new event map: %s", error)

    def _failed(self, error):
        """Say it, once for each reason, and wait before the next try."""
        self._failures += 1
        retry = self._settings["outbox"]
        wait = pause(self._failures, retry["retry_first"], retry["retry_cap"])
        if isinstance(error, OdooRefused):
            # A wrong setting is mended by a person, and a changed pillar is tried at once.
            wait = max(wait, min(30, retry["retry_cap"]))
        text = str(error)
        if text != self._said:
            log.error("%s. What is in the outbox is kept; next try in %.0f s", text, wait)
            self._said = text
        self._noted = True
        try:
            self._outbox.note(error=text, next_try=time.time() + wait)
        except OutboxError:
            log.debug("The error is not noted in the outbox", exc_info=True)
        self._await_retry(wait)

    def _await_retry(self, seconds):
        """Wait out a pause; items that arrive do not shorten it, new settings and stop do."""
        end = time.monotonic() + seconds
        while not self._stopping and self._latest is self._settings:
            left = end - time.monotonic()
            if left <= 0:
                return
            self._doorbell.wait(left)


class _Ahead:
    """Prepares the batch that follows, while Odoo works on the one under way."""

    def __init__(self, outbox, most_items, most_bytes):
        self._outbox = outbox
        self._limits = (most_items, most_bytes)
        self._prepared = None
        self._thread = threading.Thread(target=self._prepare, daemon=True)
        self._thread.start()

    def _prepare(self):
        try:
            self._prepared = self._outbox.prepare(*self._limits)
        except OutboxError:
            log.debug("No batch was prepared", exc_info=True)

    def found(self):
        """What :meth:`Outbox.prepare` returned."""
        self._thread.join()
        return self._prepared


def _is_answer(answer):
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("mark"), int)
        and isinstance(answer.get("answers"), dict)
        and all(isinstance(word, list) and word for word in answer["answers"].values())
    )
