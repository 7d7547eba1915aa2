import contextlib
import time
from unittest.mock import patch

import psycopg2
from odoo.exceptions import UserError
from odoo.tests import tagged
from psycopg2 import errors

from .. import batch as batch_module
from .common import PbxCase, event


def make(records, data):
    server = records.env["asterisk_plus.server"]._of_agent()
    records.create({"uniqueid": data["id"], "server_id": server.id})


def make_or_fail(records, data):
    make(records, data)
    if data.get("bad"):
        raise ValueError("a bad one\non two lines")


def make_all_or_fail(records, events):
    for data in events:
        make_or_fail(records, data)


@tagged("post_install", "-at_install")
class TestHandlers(PbxCase):
    def outcome(self, items):
        """``{item id: first word of its answer}``"""
        return {key: answer[0] for key, answer in self.answers(items).items()}

    def test_a_batch_handler_takes_neighbours_together(self):
        groups = []
        self.handle(lambda records, events: groups.append([e["id"] for e in events]), True)
        self.handle(lambda records, data: groups.append(data["id"]), method="on_other")
        self.receive(
            [
                event("a", id="1"),
                event("b", id="2"),
                event("c", "on_other", id="3"),
                event("d", id="4"),
            ]
        )
        self.assertEqual(groups, [["1", "2"], "3", ["4"]])

    def test_the_route_says_whether_a_handler_takes_a_batch_not_the_pbx(self):
        groups = []
        self.handle(lambda records, data: groups.append(data), batch=True)
        self.receive([event("a", batch=False, id="1")])
        self.assertEqual(groups, [[{"id": "1"}]])

    def test_bad_items_of_a_batch_are_found_and_the_others_take_effect(self):
        self.handle(make_all_or_fail, batch=True)
        items = [event(f"i{n}", id=f"{n:02}", bad=n in (3, 11)) for n in range(16)]
        answers = self.answers(items)
        self.assertEqual(answers["i3"], ["failed", "ValueError: a bad one on two lines"])
        failed = [key for key, answer in answers.items() if answer[0] == "failed"]
        self.assertEqual(failed, ["i3", "i11"])
        self.assertEqual(self.calls(), [f"{n:02}" for n in range(16) if n not in (3, 11)])

    def test_bad_items_one_by_one_are_alone_and_the_others_take_effect_in_order(self):
        order = []

        def handler(records, data):
            make_or_fail(records, data)
            records.env.cr.execute("SELECT count(*) FROM asterisk_plus_call")
            order.append((data["id"], records.env.cr.fetchone()[0]))

        self.handle(handler)
        items = [event(f"i{n}", id=f"{n:02}", bad=n in (0, 3, 9)) for n in range(10)]
        outcome = self.outcome(items)
        failed = [key for key, word in outcome.items() if word == "failed"]
        self.assertEqual(failed, ["i0", "i3", "i9"])
        self.assertEqual(self.calls(), [f"{n:02}" for n in range(10) if n not in (0, 3, 9)])
        self.assertEqual(
            dict(order), {f"{n:02}": i + 1 for i, n in enumerate([1, 2, 4, 5, 6, 7, 8])}
        )

    def test_what_fails_only_when_it_is_flushed_is_found_too(self):
        def handler(records, data):
            server = records.env["asterisk_plus.server"]._of_agent()
            call = records.create({"uniqueid": data["id"], "server_id": server.id})
            if data.get("bad"):
                call.sudo().sequence = 2**40

        self.handle(handler)
        with self.assertLogs("odoo.sql_db", "ERROR"):
            outcome = self.outcome([event("a", id="1"), event("b", id="2", bad=True)])
        self.assertEqual(outcome, {"a": "done", "b": "failed"})
        self.assertEqual(self.calls(), ["1"])

    def test_a_handler_that_changes_its_event_is_given_it_whole_again(self):
        seen = []

        def handler(records, data):
            seen.append(sorted(data))
            if data.pop("bad"):
                raise ValueError("bad")

        self.handle(handler)
        self.receive([event("a", bad=False), event("b", bad=True)])
        self.assertEqual(set(map(tuple, seen)), {("bad",)})

    def test_a_handler_that_ends_the_transaction_failed(self):
        def sql(statement):
            return lambda records: records.env.cr.execute(statement)

        def swallow(records):
            with contextlib.suppress(Exception):
                records.env.cr.commit()

        ways = {
            "commit": lambda records: records.env.cr.commit(),
            "rollback": lambda records: records.env.cr.rollback(),
            "close": lambda records: records.env.cr.close(),
            "sql commit": sql("COMMIT"),
            "sql end": sql(" end;"),
            "sql rollback": sql("ROLLBACK WORK"),
            "sql abort": sql("abort"),
            "swallowed": swallow,
        }

        def handler(records, data):
            make(records, data)
            if data["id"] in ways:
                ways[data["id"]](records)

        self.handle(handler)
        ids = ["first", *ways, "last"]
        outcome = self.outcome([event(key, id=key) for key in ids])
        self.assertEqual({key for key in ids if outcome[key] == "failed"}, set(ways))
        self.assertEqual(self.calls(), ["first", "last"])

    def test_a_handler_may_use_savepoints_of_its_own(self):
        def handler(records, data):
            try:
                with records.env.cr.savepoint():
                    make(records, {"id": "undone"})
                    raise ValueError("undo")
            except ValueError:
                make(records, data)

        self.handle(handler)
        self.assertEqual(self.outcome([event("a", id="1")]), {"a": "done"})
        self.assertEqual(self.calls(), ["1"])

    def test_the_cursor_is_its_own_again_after_the_batch(self):
        self.handle(make)
        cursor = self.env.cr
        before = [getattr(cursor, name) for name in ("execute", "commit", "rollback", "close")]
        self.receive([event("a", id="1")])
        after = [getattr(cursor, name) for name in ("execute", "commit", "rollback", "close")]
        self.assertEqual(before, after)

    def test_conflicts_between_transactions_go_up_as_what_they_are(self):
        """Odoo tries again for them alone, not for what a handler wrapped them in."""
        for conflict in (
            errors.SerializationFailure,
            errors.DeadlockDetected,
            errors.LockNotAvailable,
        ):
            for wrapped in (False, True):
                error = _with_code(conflict)
                with self.subTest(conflict=conflict.__name__, wrapped=wrapped):
                    with self.assertRaises(conflict) as caught:
                        self._run_with(error, wrapped)
                    self.assertIs(caught.exception, error)

    def _run_with(self, error, wrapped):
        def handler(records, data):
            try:
                raise error
            except psycopg2.Error:
                if wrapped:
                    raise UserError(records.env._("It is busy.")) from None
                raise

        cls = self.registry["asterisk_plus.call"]
        self.handle(lambda records, data: None)
        with patch.object(cls, "on_test_event", handler):
            self.receive([event("a"), event("b")])

    def test_other_database_errors_are_the_handlers_own(self):
        def handler(records, data):
            records.env.cr.execute("SELECT 1/0", log_exceptions=False)

        self.handle(handler)
        answers = self.answers([event("a"), event("b")])
        self.assertTrue(answers["a"][1].startswith("DivisionByZero"))

    def test_a_handler_that_exits_failed(self):
        def handler(records, data):
            raise SystemExit(1)

        self.handle(handler)
        self.assertEqual(self.outcome([event("a")]), {"a": "failed"})

    def test_post_commit_hooks_of_a_handler_that_failed_are_taken_back(self):
        ran = []

        def handler(records, data):
            records.env.cr.postcommit.add(lambda: ran.append(data["id"]))
            if data.get("bad"):
                raise ValueError("bad")

        self.handle(handler)
        self.receive([event("a", id="1"), event("b", id="2", bad=True), event("c", id="3")])
        self.env.cr.postcommit.run()
        self.assertEqual(ran, ["1", "3"])

    def test_past_the_time_budget_the_rest_is_left_for_later(self):
        clock = [0.0]

        def handler(records, data):
            make(records, data)
            clock[0] += 6.0

        self.handle(handler)
        items = [event(f"i{n}", id=str(n)) for n in range(5)]
        with patch.object(batch_module.time, "monotonic", lambda: clock[0]):
            self.assertEqual(self.outcome(items), {"i0": "done", "i1": "done"})
            self.assertEqual(self.outcome(items[2:]), {"i2": "done", "i3": "done"})
        self.assertEqual(self.calls(), ["0", "1", "2", "3"])

    def test_a_slow_handler_gets_on_by_one_item_at_least(self):
        clock = [0.0]

        def handler(records, data):
            clock[0] += 60.0
            make_or_fail(records, data)

        self.handle(handler)
        items = [event("a", id="1", bad=True), event("b", id="2")]
        with patch.object(batch_module.time, "monotonic", lambda: clock[0]):
            self.assertEqual(self.outcome(items), {"a": "failed"})

    def test_a_bad_item_in_a_long_run_costs_little(self):
        ran = []

        def handler(records, data):
            ran.append(data["id"])
            if data["bad"]:
                raise ValueError("bad")

        self.handle(handler)
        started = time.monotonic()
        self.receive([event(f"i{n}", id=n, bad=n == 150) for n in range(200)])
        self.assertLess(len(ran), 402)
        self.assertLess(time.monotonic() - started, 30)


def _with_code(cls):
    """A psycopg2 error as the server would have sent it: the code is part of the class."""
    error = cls("conflict")
    if error.pgcode is None:
        codes = {
            errors.SerializationFailure: "40001",
            errors.DeadlockDetected: "40P01",
            errors.LockNotAvailable: "55P03",
        }
        error = type(cls.__name__, (cls,), {"pgcode": codes[cls]})("conflict")
    assert isinstance(error, psycopg2.OperationalError)
    return error
