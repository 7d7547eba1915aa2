from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import OUTBOX, PbxCase, event


def make_call(records, data):
    server = records.env["asterisk_plus.server"]._of_agent()
    records.create({"uniqueid": data["id"], "server_id": server.id})


@tagged("post_install", "-at_install")
class TestInboxProtocol(PbxCase):
    def setUp(self):
        super().setUp()
        self.handle(make_call)

    def test_a_batch_takes_effect_and_is_answered_for_each_item(self):
        answer = self.receive([event("a", id="1"), event("b", id="2")])
        self.assertEqual(answer["mark"], 1)
        self.assertEqual(answer["answers"], {"a": ["done"], "b": ["done"]})
        self.assertEqual(self.calls(), ["1", "2"])

    def test_a_batch_that_comes_again_gets_its_answer_and_does_nothing(self):
        first = self.receive([event("a", id="1"), event("b", method="none")], number=1)
        again = self.receive([event("a", id="1")], number=1)
        self.assertEqual(again["answers"], first["answers"])
        self.assertEqual(self.calls(), ["1"])

    def test_items_that_the_applied_batch_did_not_have_are_not_swallowed(self):
        self.receive([event("a", id="1")], number=1)
        again = self.receive([event("a", id="1"), event("b", id="2")], number=1)
        self.assertNotIn("b", again["answers"])
        self.receive([event("b", id="2")], number=2)
        self.assertEqual(self.calls(), ["1", "2"])

    def test_a_lower_number_does_nothing_and_shows_the_mark(self):
        self.receive([event("a", id="1")], number=7)
        answer = self.receive([event("b", id="2")], number=6)
        self.assertEqual((answer["mark"], answer["answers"]), (7, {}))
        self.assertEqual(self.calls(), ["1"])

    def test_numbers_may_be_skipped(self):
        self.assertEqual(self.receive([event("a", id="1")], number=57)["mark"], 57)

    def test_a_restored_outbox_under_a_new_id_repeats_nothing(self):
        self.receive([event("a", id="1")], number=3)
        answer = self.receive([event("a", id="1"), event("b", id="2")], 1, outbox="cd" * 16)
        self.assertEqual(answer["answers"], {"a": ["done"], "b": ["done"]})
        self.assertEqual(self.calls(), ["1", "2"])

    def test_two_pbxs_may_have_the_same_outbox_id(self):
        self.receive([event("a", id="1")])
        self.assertEqual(self.receive([event("a", id="2")], 1, self.pbx2)["mark"], 1)
        self.assertEqual(self.calls(), ["1", "2"])

    def test_an_item_that_failed_may_come_again(self):
        self.assertEqual(self.answers([event("a")])["a"][0], "failed")
        self.assertEqual(self.answers([event("a", id="1")])["a"], ["done"])

    def test_an_item_that_stands_twice_in_a_batch_takes_effect_once(self):
        self.receive([event("a", id="1"), event("a", id="2")])
        self.assertEqual(self.calls(), ["1"])

    def test_an_item_that_went_stale_is_passed_over_unless_it_was_applied_in_time(self):
        self.receive([event("a", id="1")], number=1)
        stale = [dict(event(name, id=name), stale=True) for name in "ab"]
        self.assertEqual(self.receive(stale, 2)["answers"], {"a": ["done"], "b": ["stale"]})
        self.assertEqual(self.calls(), ["1"])

    def test_a_heartbeat_is_answered_with_mark_and_serial_and_shows_on_the_server(self):
        self.assertEqual(self.pbx1.state, "new")
        answer = self.receive([], number=0)
        serial = self.env["asterisk_plus.event"].get_map()["serial"]
        self.assertEqual((answer["mark"], answer["serial"]), (0, serial))
        self.pbx1.invalidate_recordset()
        self.assertEqual(self.pbx1.state, "online")

    def test_the_server_counts_what_came_of_the_items(self):
        self.receive([event("a", id="1"), event("b"), event("c", method="none")])
        self.assertEqual(
            (self.pbx1.done_count, self.pbx1.failed_count, self.pbx1.refused_count), (1, 1, 1)
        )

    def test_what_is_not_in_the_protocol_is_refused_with_a_reason(self):
        for arguments in (
            {"outbox": "short"},
            {"number": -1},
            {"number": "1"},
            {"number": 1.5},
            {"number": True},
            {"number": 0, "items": [event("a")]},
            {"items": "text"},
            {"items": [{"kind": "event"}]},
            {"items": ["text"]},
        ):
            with self.subTest(arguments), self.assertRaises(UserError):
                self.receive(**{"items": [], "number": 1, **arguments})

    def test_an_item_of_another_form_does_not_stop_the_others(self):
        answers = self.answers(
            [
                {"id": "a"},
                {"id": "b", "kind": "event", "data": "text"},
                {"id": "c", "kind": "event", "model": [], "method": {}, "data": {}},
                {"id": "d", "kind": "result", "data": {}},
                {"id": "e", "kind": "gossip", "data": {}},
                event("f", id="1"),
            ]
        )
        self.assertEqual([answers[key][0] for key in "abcdef"], ["refused"] * 5 + ["done"])


@tagged("post_install", "-at_install")
class TestInboxCallers(PbxCase):
    def test_only_an_agent_may_call(self):
        for user in (self.manager, self.user, self.employee, self.portal):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.env["asterisk_plus.inbox"].with_user(user).receive(OUTBOX, 0, [], "pbx1.test")

    def test_not_even_trusted_code_may_call_with_superuser_rights(self):
        inbox = self.env["asterisk_plus.inbox"].with_user(self.pbx1.user_id).sudo()
        with self.assertRaises(AccessError):
            inbox.receive(OUTBOX, 0, [], "pbx1.test")

    def test_an_agent_speaks_for_its_own_minion_only(self):
        with self.assertRaisesRegex(AccessError, "a key of its own"):
            self.receive([], 0, self.pbx1, minion="pbx2.test")

    def test_an_agent_without_a_server_is_told_so(self):
        agent = self.pbx1.user_id
        self.pbx1.sudo().user_id = False
        with self.assertRaisesRegex(AccessError, "agent of no server"):
            inbox = self.env["asterisk_plus.inbox"].with_user(agent)
            inbox.receive(OUTBOX, 0, [], "pbx1.test")

    def test_what_has_no_enabled_route_is_refused(self):
        wanted = [
            event("a", model="res.users", method="write"),
            event("b", model="asterisk_plus.call", method="unlink"),
            event("c", model="asterisk_plus.call", method="_compute_display_name"),
            event("d", model="no.model", method="x"),
        ]
        answers = self.answers(wanted)
        self.assertEqual({answer[0] for answer in answers.values()}, {"refused"})

    def test_a_disabled_route_is_refused(self):
        self.handle(make_call)
        self.env["asterisk_plus.event"].search([("name", "=", "Test")]).enabled = False
        self.assertEqual(self.answers([event("a", id="1")])["a"][0], "refused")

    def test_handlers_run_as_the_agent_without_superuser_rights(self):
        seen = []

        def handler(records, data):
            seen.append((records.env.uid, records.env.su, dict(records.env.context)))

        self.handle(handler)
        inbox = self.env["asterisk_plus.inbox"].with_user(self.pbx1.user_id)
        inbox.with_context(install_mode=True).receive(OUTBOX, 1, [event("a")], "pbx1.test")
        uid, superuser, context = seen[0]
        self.assertEqual((uid, superuser), (self.pbx1.user_id.id, False))
        self.assertNotIn("install_mode", context)

    def test_a_handler_may_do_no_more_than_its_agent(self):
        def handler(records, data):
            records.env["res.partner"].create({"name": "made by a PBX"})

        self.handle(handler)
        answer = self.answers([event("a")])["a"]
        self.assertEqual(answer[0], "failed")
        self.assertIn("AccessError", answer[1])
