from unittest import skipUnless
from unittest.mock import patch

from odoo.tests import tagged

from .. import numbers
from ..models import partner as partner_module
from .common import PbxCase


@skipUnless(numbers.phonenumbers, "the library phonenumbers is not installed")
@tagged("post_install", "-at_install")
class TestPeople(PbxCase):
    """Whose calls are whose: users by their phones, others by their numbers."""

    def setUp(self):
        super().setUp()
        self.env.company.country_id = self.env.ref("base.uk")
        self.env["asterisk_plus.user"].create(
            [
                {
                    "user_id": user.id,
                    "server_id": self.pbx1.id,
                    "exten": exten,
                    "channel": f"PJSIP/{exten}",
                }
                for user, exten in ((self.user, "101"), (self.manager, "102"))
            ]
        )
        self.ada = self.env["res.partner"].create({"name": "Ada", "phone": "+44 20 7946 0958"})

    def call(self, src, dst, channel="PJSIP/trunk-00000001", dstchannel=""):
        event = {
            "UniqueID": f"{src}-{dst}",
            "Source": src,
            "Destination": dst,
            "Channel": channel,
            "DestinationChannel": dstchannel,
            "BillableSeconds": "90",
        }
        calls = self.env["asterisk_plus.call"]
        calls.with_user(self.pbx1.user_id).create_cdrs([event])
        return calls.search([("uniqueid", "=", event["UniqueID"])])

    def test_a_caller_is_found_however_the_number_is_written(self):
        for src in ("+442079460958", "00442079460958", "02079460958"):
            with self.subTest(src):
                call = self.call(src, "s", dstchannel="PJSIP/101-0000000a")
                self.assertEqual(call.partner_id, self.ada)
                self.assertEqual((call.direction, call.user_id), ("in", self.user))
                self.assertEqual(call.number, "+442079460958")

    def test_an_outgoing_call_is_the_callers(self):
        call = self.call("101", "02079460958", channel="PJSIP/101-0000000b")
        self.assertEqual((call.direction, call.user_id), ("out", self.user))
        self.assertEqual(call.partner_id, self.ada)
        self.assertEqual(call.minutes, 1.5)

    def test_colleagues_call_each_other(self):
        call = self.call("101", "102", "PJSIP/101-0000000c", "PJSIP/102-0000000d")
        self.assertEqual((call.direction, call.user_id), ("internal", self.user))
        self.assertEqual(call.partner_id, self.manager.partner_id)

    def test_a_number_of_one_company_is_the_companys(self):
        company = self.env["res.partner"].create({"name": "Engines", "is_company": True})
        self.ada.parent_id = company
        self.env["res.partner"].create(
            {"name": "Charles", "phone": "020 7946 0958", "parent_id": company.id}
        )
        self.assertEqual(self.call("+442079460958", "101").partner_id, company)

    def test_a_number_of_strangers_is_nobodys(self):
        self.env["res.partner"].create({"name": "Eve", "phone": "020 7946 0958"})
        self.assertFalse(self.call("+442079460958", "101").partner_id)

    def test_a_contacts_own_country_counts(self):
        self.ada.write({"country_id": self.env.ref("base.fr").id, "phone": "01 99 00 12 34"})
        self.assertEqual(self.call("+33199001234", "101").partner_id, self.ada)

    def test_a_call_of_unknown_phones_has_nobody(self):
        call = self.call("200", "201")
        self.assertFalse(call.direction or call.user_id or call.partner_id)

    def test_a_contact_who_comes_later_gets_the_calls_he_made_before(self):
        calls = [
            self.call("02079460999", dst, dstchannel=f"PJSIP/{dst}-01") for dst in ("101", "102")
        ]
        self.assertFalse(calls[0].partner_id or calls[1].partner_id)
        charles = self.env["res.partner"].create({"name": "Charles", "phone": "020 7946 0999"})
        self.assertEqual(calls[0].partner_id | calls[1].partner_id, charles)

    def test_a_contacts_new_number_tells_whose_its_calls_were(self):
        call = self.call("02079460999", "101", dstchannel="PJSIP/101-01")
        self.ada.phone = "020 7946 0999"
        self.assertEqual(call.partner_id, self.ada)

    def test_a_call_that_is_somebodys_stays_his(self):
        call = self.call("02079460958", "101", dstchannel="PJSIP/101-01")
        self.ada.phone = False
        self.env["res.partner"].create({"name": "Charles", "phone": "020 7946 0958"})
        self.assertEqual(call.partner_id, self.ada)

    def test_of_calls_without_end_the_newest_are_claimed(self):
        old = self.call("02079460999", "101", dstchannel="PJSIP/101-01")
        new = self.call("02079460999", "102", dstchannel="PJSIP/102-01")
        self.started(patch.object(partner_module, "CLAIMED", 1))
        self.ada.phone = "020 7946 0999"
        self.assertEqual((old.partner_id, new.partner_id), (self.ada.browse(), self.ada))

    def test_the_companys_country_reads_the_numbers_anew(self):
        ben = self.env["res.partner"].create({"name": "Ben", "phone": "01 99 00 12 34"})
        call = self.call("+33199001234", "101", dstchannel="PJSIP/101-01")
        self.assertFalse(ben.asterisk_plus_number or call.partner_id)
        self.env.company.country_id = self.env.ref("base.fr")
        self.assertEqual(ben.asterisk_plus_number, "+33199001234")
        self.assertEqual(call.partner_id, ben)

    def test_another_companys_contacts_are_not_named_in_a_companys_calls(self):
        other = self.env["res.company"].create({"name": "Other"})
        self.ada.company_id = other
        early = self.call("+442079460958", "101", dstchannel="PJSIP/101-01")
        self.ada.phone = "020 7946 0999"
        late = self.call("+442079460999", "101", dstchannel="PJSIP/101-02")
        self.ada.phone = "020 7946 0958"
        self.assertFalse(early.partner_id or late.partner_id)

        self.pbx1.user_id.write({"company_ids": [(4, other.id)], "company_id": other.id})
        self.env.flush_all()
        self.assertEqual(self.call("+442079460958", "102", dstchannel="x").partner_id, self.ada)
        self.ada.phone = "020 7946 0958 "
        self.assertEqual(early.partner_id, self.ada)
