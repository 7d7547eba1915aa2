from unittest import skipUnless
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import tagged

from .. import numbers
from .common import PbxCase


@tagged("post_install", "-at_install")
class TestDial(PbxCase):
    def setUp(self):
        super().setUp()
        self.phone = self.env["asterisk_plus.user"].create(
            {
                "user_id": self.user.id,
                "server_id": self.pbx1.id,
                "exten": "101",
                "channel": "PJSIP/101",
            }
        )
        self.env.company.country_id = self.env.ref("base.uk")
        self.told = []
        users = self.registry["res.users"]

        def notify(user, message, title=None, uid=None, sticky=False, warning=False):
            self.told.append((uid or user.id, message))

        self.started(patch.object(users, "asterisk_plus_notify", notify))

    def dial(self, number, user=None):
        return self.env["asterisk_plus.user"].with_user(user or self.user).dial(number)

    def dialled(self, number, **options):
        """The action that reached salt-api."""
        with self.salt() as asked:
            self.dial(number, **options)
            self.commit()
        (lowstate,) = asked
        self.assertEqual(lowstate["kwarg"]["minion"], "pbx1.test")
        self.assertEqual(lowstate["kwarg"]["fun"], "asterisk.manager_action")
        (action,) = lowstate["kwarg"]["arg"]
        return action

    def outcome(self, action_id, server=None, **event):
        routed = self.env["asterisk_plus.user"].with_user((server or self.pbx1).user_id)
        routed.on_originate_response({"ActionID": action_id, "Response": "Failure", **event})

    def test_the_own_phone_rings_and_then_the_number_is_called(self):
        self.user.name = "Ada Lovelace"
        action = self.dialled("102")
        self.assertEqual((action["Action"], action["Async"]), ("Originate", "true"))
        self.assertEqual(action["Channel"], "PJSIP/101")
        self.assertEqual((action["Context"], action["Exten"]), ("from-internal", "102"))
        self.assertEqual(action["CallerID"], '"Ada Lovelace" <101>')

    @skipUnless(numbers.phonenumbers, "the library phonenumbers is not installed")
    def test_a_number_is_dialled_with_its_country(self):
        self.assertEqual(self.dialled("020 7946 0958")["Exten"], "+442079460958")

    def test_what_is_no_number_is_refused(self):
        with self.assertRaisesRegex(UserError, "not a number"):
            self.dial("101&102")

    def test_a_name_cannot_leave_its_quotes(self):
        self.user.name = 'Ada" <666>\r\nAction: Reload'
        self.assertEqual(self.dialled("102")["CallerID"], '"Ada 666Action Reload" <101>')

    def test_who_has_no_phone_is_told_where_to_get_one(self):
        with self.assertRaisesRegex(UserError, "no phone here yet"):
            self.dial("102", user=self.manager)

    def test_only_phone_users_dial(self):
        for user in (self.employee, self.portal, self.pbx1.user_id):
            with self.subTest(user.login), self.assertRaises(AccessError):
                call_kw(self.env["asterisk_plus.user"].with_user(user), "dial", ["102"], {})

    def test_a_failure_is_told_to_who_clicked(self):
        action_id = self.dialled("102")["ActionID"]
        self.outcome(action_id, Reason="5")
        self.outcome(action_id, Reason="99")
        self.assertEqual(
            self.told,
            [
                (self.user.id, "Your phone is busy."),
                (self.user.id, "Asterisk could not call your phone: 99"),
            ],
        )

    def test_a_pbx_speaks_to_its_own_users_only(self):
        self.outcome(f"odoo-{self.user.id}-00", server=self.pbx2, Reason="5")
        self.outcome(f"odoo-{self.manager.id}-00", Reason="5")
        self.outcome("somebody else's", Reason="5")
        self.outcome(f"odoo-{self.user.id}-00", Response="Success")
        self.assertEqual(self.told, [])

    def test_an_error_of_asterisk_is_told_too(self):
        with self.salt({}):
            self.dial("102")
            self.commit()
        ((uid, message),) = self.told
        self.assertEqual(uid, self.user.id)
        self.assertIn("knows no minion", message)

    def test_a_phone_is_one_device(self):
        for channel in ("Local/1@from-pstn", "local/1", "PJSIP/101&PJSIP/102", "101", "PJSIP/1/2"):
            with self.subTest(channel), self.assertRaises(ValidationError):
                self.phone.channel = channel

    def test_only_managers_say_whose_phone_is_whose(self):
        with self.assertRaises(AccessError):
            self.phone.with_user(self.user).write({"exten": "102"})
        self.phone.with_user(self.manager).write({"exten": "102"})

    def test_users_see_their_phone_in_their_preferences(self):
        names = ["asterisk_plus_exten", "asterisk_plus_channel", "email"]
        own = call_kw(
            self.env["res.users"].with_user(self.user), "read", [self.user.ids, names], {}
        )
        self.assertEqual(
            (own[0]["asterisk_plus_exten"], own[0]["asterisk_plus_channel"]), ("101", "PJSIP/101")
        )

    def test_a_colleagues_phone_is_the_phone_users_to_see(self):
        names = ["asterisk_plus_exten", "asterisk_plus_channel"]
        self.phone.copy({"user_id": self.employee.id, "exten": "102", "channel": "PJSIP/102"})
        for user, seen in (
            (self.manager, ["101", "102"]),
            (self.user, ["101", "102"]),
            (self.employee, [False, "102"]),
        ):
            users = self.env["res.users"].with_user(user)
            ids = [self.user.id, self.employee.id]
            with self.subTest(user.login):
                rows = call_kw(users, "read", [ids, names], {})
                self.assertEqual([row["asterisk_plus_exten"] for row in rows], seen)
                channels = [exten and f"PJSIP/{exten}" for exten in seen]
                self.assertEqual([row["asterisk_plus_channel"] for row in rows], channels)
