import re
import time

from odoo import api, models
from odoo.exceptions import AccessError, UserError

from ..access import AGENT
from ..batch import Batch, Item, refused

# Odoo may try a conflicting request five times and sleeps up to 30 s between: five budgets and
# the sleeps stay below the sender's read timeout.
BUDGET = 10.0
MAX_NUMBER = 2**31 - 1
MAX_ITEMS = 10000
_OUTBOX = re.compile(r"[0-9a-f]{32}")


class Inbox(models.AbstractModel):
    """Where a PBX hands over what happened: events, and the results of jobs."""

    _name = "asterisk_plus.inbox"
    _description = "PBX inbox"

    @api.model
    def receive(self, outbox, number, items, minion):
        """Apply the batch ``number`` of ``outbox`` once, and answer each of its items.

        ``outbox``: 32 hex digits. ``minion``: the PBX's minion id. ``items``: a list of
        ``{"id", "kind": "event" | "result", "model", "method", "batch", "name", "data"}``; a
        result's data is ``{"jid", "token", "fun", "retcode", "success", "return"}``. Number 0
        without items is a heartbeat.

        Answers ``{"mark": highest number applied, "answers": {item id: ["done"] |
        ["failed", error] | ["refused", why] | ["stale"]}, "serial": of the event map, "time":
        epoch}``. An item with ``"stale": true`` came too late to be worth anything, in a batch
        that was sent before it did: unless it was applied then, it is passed over.
        Items that are absent were not reached; they may come again under a later number. A
        number that was applied before gets its answers again, a lower one gets none.

        Raises ``AccessError`` for a caller that is no PBX's agent, ``UserError`` for arguments
        of another form.
        """
        server = self._sender(minion)
        self._check_form(outbox, number, items)
        self.env["asterisk_plus.status"].sudo()._seen(server)
        outboxes = self.env["asterisk_plus.outbox"].sudo()
        row, mark, answers = outboxes._take(server, outbox)
        if number > mark:
            answers = self._apply(server, items)
            mark = number
            outboxes._store(row, mark, answers)
        elif number < mark:
            answers = {}
        return {
            "mark": mark,
            "answers": answers,
            "serial": self.env["asterisk_plus.event"].sudo()._serial(),
            "time": time.time(),
        }

    def _sender(self, minion):
        # Superuser rights would reach the handlers, so not even trusted code may bring them.
        if self.env.su or not self.env.user.has_group(AGENT):
            raise AccessError(self.env._("Only a PBX's agent user may call the inbox."))
        server = self.env["asterisk_plus.server"]._of_agent()
        if not server:
            raise AccessError(
                self.env._(
                    "The user %r is the agent of no server: make its key on the server's page.",
                    self.env.user.login,
                )
            )
        if server.minion_id != minion:
            raise AccessError(
                self.env._(
                    "The user %(login)r is the agent of minion %(own)r, not of %(other)r: each "
                    "PBX needs a key of its own.",
                    login=self.env.user.login,
                    own=server.minion_id,
                    other=minion,
                )
            )
        return server

    def _check_form(self, outbox, number, items):
        if not isinstance(outbox, str) or not _OUTBOX.fullmatch(outbox):
            raise UserError(self.env._("outbox: %r is not 32 hex digits.", outbox))
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
            raise UserError(self.env._("number: %r is not a whole number from 0.", number))
        if not isinstance(items, list) or len(items) > MAX_ITEMS:
            raise UserError(self.env._("items: not a list of at most %d.", MAX_ITEMS))
        for item in items:
            item_id = item.get("id") if isinstance(item, dict) else None
            if not isinstance(item_id, str) or not 1 <= len(item_id) <= 64:
                raise UserError(self.env._("items: an item without an id."))
        if number == 0 and items:
            raise UserError(self.env._("number: 0 is a heartbeat and carries no items."))

    def _apply(self, server, items):
        """Hand the items over and return their answers."""
        applied = self.env["asterisk_plus.applied"].sudo()
        known = applied._known(server, [item["id"] for item in items])
        answers = {item_id: ["done"] for item_id in known}
        todo = []
        # What a request says about itself is not the handlers' business.
        env = self.env(user=self.env.uid, su=False, context=self.env["res.users"].context_get())
        routes = self.env["asterisk_plus.event"].sudo()._handlers()
        for item in items:
            if item["id"] in answers:
                continue
            # Also keeps a second item of the same id out.
            answers[item["id"]] = None
            if item.get("stale") is True:
                answers[item["id"]] = ["stale"]
                continue
            handler = self._resolve(env, server, routes, item)
            if isinstance(handler, Item):
                todo.append(handler)
            else:
                answers[item["id"]] = handler
        batch = Batch(self.env.cr, BUDGET)
        batch.run(todo)
        for item in todo:
            answer = batch.answers.get(item.id)
            if item.job and answer and answer[0] == "failed":
                item.job._wait_for_callback(answer[1])
        answers.update(batch.answers)
        answers = {item_id: answer for item_id, answer in answers.items() if answer}
        done = [item_id for item_id, answer in batch.answers.items() if answer[0] == "done"]
        applied._add(server, done)
        kinds = [answer[0] for answer in answers.values()]
        self.env["asterisk_plus.status"].sudo()._seen(
            server, len(done), kinds.count("failed"), kinds.count("refused")
        )
        return answers

    def _resolve(self, env, server, routes, item):
        """An :class:`Item` to hand over, or a refusal."""
        data = item.get("data")
        if not isinstance(data, dict):
            return refused("its data is not a mapping")
        if item.get("kind") == "result":
            jobs = self.env["asterisk_plus.job"].sudo()
            job, why = jobs._awaiting(server, data)
            if not job:
                return refused(why)
            return Item(item["id"], data, lambda result: job._finish(env, result), job=job)
        if item.get("kind") != "event":
            return refused(f"its kind is {item.get('kind')!r}, not event or result")
        return self._resolve_event(env, routes, item, data)

    def _resolve_event(self, env, routes, item, data):
        route = (item.get("model"), item.get("method"))
        batches = routes.get(route) if all(isinstance(part, str) for part in route) else None
        if not batches:
            return refused(
                f"no enabled PBX event in Odoo goes to {route[0]}.{route[1]}: add one there"
            )
        # The same handler under two routes may be told apart by the sender alone.
        batch = bool(item.get("batch")) if len(batches) > 1 else next(iter(batches))
        method = getattr(env.get(route[0]), route[1], None)
        if method is None:
            return refused(f"Odoo has no {route[0]}.{route[1]}: is its module installed?")
        return Item(item["id"], data, method, key=route if batch else None)
