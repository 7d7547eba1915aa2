import json
from datetime import timedelta
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import tagged

from .. import salt_api
from .common import PbxCase, event, result

STATUS = {
    "asterisk": "22.10.1+dfsg",
    "uptime": 60,
    "channels": 3,
    "ami": "connected",
    "outbox": 2,
    "oldest": 90.4,
    "rate": 1.5,
    "failed": 1,
    "error": "Odoo answered 503",
    "next_try": 1795000000.2,
}


@tagged("post_install", "-at_install")
class TestButtons(PbxCase):
    def setUp(self):
        super().setUp()
        self.server = self.pbx1.with_user(self.manager)
        self.told = []

        def notify(user, message, title=None, uid=None, sticky=False, warning=False):
            self.told.append((uid or user.id, message, warning))

        self.started(patch.object(self.registry["res.users"], "asterisk_plus_notify", notify))
        self.started(patch.object(salt_api, "log_in", lambda account, timeout=None: None))

    def press(self, button):
        """The jobs that a button has Salt do."""
        with self.salt() as asked:
            getattr(self.server, button)()
            self.commit()
        return [lowstate["kwarg"] for lowstate in asked]

    def answer(self, job, returned, **more):
        self.answers([result(job["jid"], job["jid"], job["token"], returned, **more)])
        self.pbx1.invalidate_recordset()

    def test_each_button_asks_and_tells_the_answer(self):
        for button, fun, words in (
            ("action_ping_salt", "test.ping", "The Salt minion answers."),
            ("action_ping_asterisk", "asterisk.manager_action", "Asterisk answers."),
            ("action_reload", "asterisk.manager_action", "Asterisk has reloaded."),
            ("action_push_map", "saltutil.refresh_pillar", "The PBX has the event map."),
            ("action_outbox_retry", "asterisk.outbox_retry", "3 items are sent again."),
            ("action_outbox_drop", "asterisk.outbox_drop", "3 items were deleted."),
        ):
            with self.subTest(button):
                (job,) = self.press(button)
                self.assertEqual(job["fun"], fun)
                self.answer(job, 3)
                self.assertEqual(self.told.pop(), (self.manager.id, words, False))

    def test_what_was_set_aside_is_shown_with_its_errors(self):
        item = {"name": "Cdr", "model": "my.call", "method": "on_cdr", "error": "no such field"}
        for items, words in (
            ([item], "Cdr, my.call.on_cdr: no such field"),
            ([], "Nothing is set aside."),
        ):
            (job,) = self.press("action_outbox_failed")
            self.assertEqual(job["fun"], "asterisk.outbox_failed")
            self.answer(job, items)
            self.assertEqual(self.told.pop(), (self.manager.id, words, False))

    def test_what_was_set_aside_and_is_too_long_to_be_shown_says_so(self):
        (job,) = self.press("action_outbox_failed")
        words = "The result of 300000 bytes is longer than 262144 and was left out"
        self.answer(job, words)
        self.assertEqual(self.told, [(self.manager.id, words, True)])

    def test_an_error_is_told_once(self):
        (job,) = self.press("action_reload")
        self.answer(job, [{"Response": "Error", "Message": "Permission denied"}])
        self.assertEqual(self.told, [(self.manager.id, "Permission denied", True)])

    def test_refresh_shows_what_the_pbx_says_of_itself(self):
        (job,) = self.press("action_refresh")
        self.assertEqual(job["fun"], "asterisk.status")
        self.answer(job, STATUS)
        self.assertEqual(self.pbx1.asterisk, "22.10.1")
        self.assertEqual((self.pbx1.channels, self.pbx1.outbox_depth), (3, 2))
        self.assertEqual((self.pbx1.outbox_failed, self.pbx1.outbox_error), (1, STATUS["error"]))
        self.assertEqual(self.pbx1.status_time - self.pbx1.outbox_since, timedelta(seconds=90))
        self.assertEqual(self.pbx1.outbox_rate, 1.5)
        self.assertEqual(str(self.pbx1.outbox_next_try), "2026-11-18 11:06:40")
        self.assertEqual(self.pbx1.state, "online")
        ((_uid, message, warning),) = self.told
        self.assertIn("Asterisk 22.10.1, 3 channels", message)
        self.assertFalse(warning)

    def test_a_pbx_without_asterisk_says_so(self):
        (job,) = self.press("action_refresh")
        down = {**STATUS, "asterisk": None, "channels": None, "ami": "refused: wrong secret"}
        self.answer(job, down, retcode=1)
        self.assertEqual((self.pbx1.state, self.pbx1.ami), ("trouble", "refused: wrong secret"))
        self.assertEqual(self.told, [(self.manager.id, "AMI: refused: wrong secret", True)])

    def test_a_pbx_that_started_or_lost_asterisk_is_asked_how_it_is(self):
        for channels, handler in enumerate(("on_minion_start", "on_ami_state"), 1):
            item = event("x", handler, "asterisk_plus.server", tag="any")
            with self.subTest(handler), self.salt() as asked:
                self.assertEqual(self.answers([{**item, "id": handler}]), {handler: ["done"]})
                self.commit()
                self.assertEqual([job["kwarg"]["fun"] for job in asked], ["asterisk.status"])
                self.answer(asked[0]["kwarg"], {**STATUS, "channels": channels})
                self.assertEqual(self.told, [])
                self.assertEqual(self.pbx1.channels, channels)

    def broken(self, *answers):
        with self.salt(*answers), self.assertRaises(UserError) as caught:
            self.server.action_test_connection()
        return str(caught.exception)

    def test_the_hop_that_fails_is_named(self):
        minion = "pbx1.test"
        refused = salt_api.SaltApiError("salt-api answered 401: the user or password", 401)
        with patch.object(salt_api, "log_in", side_effect=refused):
            self.assertIn("from Odoo to salt-api: salt-api answered 401", self.broken())
        for no_answer in (
            {},
            {minion: "Minion did not return. [No response]"},
            salt_api.SaltApiError("No answer in time", unsure=True),
        ):
            text = self.broken(no_answer)
            self.assertIn("from salt-api to the minion: pbx1.test did not answer", text)
        text = self.broken({minion: True}, {minion: "ERROR: AMI refused the login"})
        self.assertIn("from the minion to Asterisk: ERROR: AMI refused the login", text)

    def test_the_way_back_is_tried_too(self):
        for back, words, warning in (
            (True, "Every hop works", False),
            ([{"Response": "Error", "Message": "No answer."}], "from the PBX to Odoo", True),
        ):
            with self.salt({"pbx1.test": True}, {"pbx1.test": True}) as asked:
                self.server.action_test_connection()
                self.commit()
            self.answer(asked[-1]["kwarg"], back)
            uid, message, warned = self.told.pop()
            self.assertEqual((uid, warned), (self.manager.id, warning))
            self.assertIn(words, message)

    def test_no_secret_is_in_what_is_asked(self):
        self.assertNotIn("secret of salt-api", json.dumps(self.press("action_refresh")))
