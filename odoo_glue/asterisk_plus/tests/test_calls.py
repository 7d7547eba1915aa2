from datetime import datetime

from odoo.tests import tagged

from .common import PbxCase, event

CDR = {
    "UniqueID": "1795400000.1",
    "sequence": "0",
    "linkedid": "1795400000.1",
    "AccountCode": "acc",
    "Source": "101",
    "Destination": "100",
    "DestinationContext": "from-internal",
    "CallerID": '"Zoë" <101>',
    "Channel": "PJSIP/101-00000001",
    "DestinationChannel": "PJSIP/102-00000002",
    "StartTime": "2026-11-23 10:00:00",
    "AnswerTime": "2026-11-23 10:00:05",
    "EndTime": "2026-11-23 10:01:05",
    "Duration": "65",
    "BillableSeconds": "60",
    "Disposition": "ANSWERED",
    "UserField": "note",
}


@tagged("post_install", "-at_install")
class TestCalls(PbxCase):
    def cdr(self, item_id, **header):
        return event(item_id, "create_cdrs", batch=True, **{**CDR, **header})

    def test_a_cdr_becomes_a_call_of_the_pbx_that_sent_it(self):
        self.assertEqual(self.answers([self.cdr("a")]), {"a": ["done"]})
        call = self.env["asterisk_plus.call"].search([])
        self.assertEqual(call.server_id, self.pbx1)
        self.assertEqual((call.uniqueid, call.sequence), ("1795400000.1", 0))
        self.assertEqual((call.src, call.dst, call.clid), ("101", "100", '"Zoë" <101>'))
        self.assertEqual(call.started, datetime(2026, 11, 23, 10, 0, 0))
        self.assertEqual(call.answered, datetime(2026, 11, 23, 10, 0, 5))
        self.assertEqual(call.ended, datetime(2026, 11, 23, 10, 1, 5))
        self.assertEqual((call.duration, call.billsec), (65, 60))
        self.assertEqual((call.disposition, call.userfield), ("ANSWERED", "note"))
        self.assertEqual(call.dstchannel, "PJSIP/102-00000002")

    def test_a_call_that_a_handler_makes_of_text_is_complete(self):
        calls = self.env["asterisk_plus.call"]
        values = {"server_id": self.pbx1.id, "uniqueid": "1795400000.9"}
        call = calls.create(
            {**values, "billsec": "90", "started": "2026-11-23 10:00:00", "answered": ""}
        )
        self.assertEqual((call.billsec, call.minutes), (90, 1.5))
        self.assertEqual(call.started, datetime(2026, 11, 23, 10, 0, 0))
        self.assertFalse(call.answered)
        call.billsec = 30
        self.assertEqual(call.minutes, 0.5)
        with self.assertRaises(ValueError):
            calls.create({**values, "started": "yesterday"})

    def test_a_call_that_nobody_answered_has_no_such_time(self):
        self.receive([self.cdr("a", AnswerTime="", Disposition="NO ANSWER")])
        self.assertFalse(self.env["asterisk_plus.call"].search([]).answered)

    def test_a_cdr_that_comes_from_two_sources_is_one_call(self):
        self.receive([self.cdr("a"), self.cdr("b")])
        self.receive([self.cdr("c"), self.cdr("d", sequence="1")])
        self.assertEqual(len(self.calls()), 2)

    def test_two_pbxs_may_count_alike(self):
        self.receive([self.cdr("a")])
        self.receive([self.cdr("a")], number=1, server=self.pbx2)
        self.assertEqual(len(self.calls()), 2)

    def test_without_a_sequence_every_record_is_a_call(self):
        self.receive([self.cdr("a", sequence=None), self.cdr("b", sequence=None)])
        self.assertEqual(len(self.calls()), 2)

    def test_a_broken_record_is_alone(self):
        answers = self.answers(
            [
                self.cdr("a"),
                self.cdr("b", sequence="1", StartTime="yesterday"),
                self.cdr("c", UniqueID=None),
                self.cdr("d", sequence="2"),
            ]
        )
        words = [answers[key][0] for key in "abcd"]
        self.assertEqual(words, ["done", "failed", "failed", "done"])

    def test_a_minions_start_shows_on_its_server(self):
        self.assertFalse(self.pbx1.last_start)
        item = event("a", "on_minion_start", "asterisk_plus.server", id="pbx1.test")
        self.assertEqual(self.answers([item]), {"a": ["done"]})
        self.pbx1.invalidate_recordset()
        self.assertTrue(self.pbx1.last_start)
