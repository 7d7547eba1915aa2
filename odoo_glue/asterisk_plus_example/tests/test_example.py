from unittest.mock import patch

from odoo.addons.asterisk_plus.tests.common import PbxCase, result
from odoo.exceptions import AccessError
from odoo.tests import tagged

CDR = {
    "Source": "101",
    "Destination": "102",
    "StartTime": "2026-11-23 05:00:00",
    "AnswerTime": "",
    "Duration": "12",
    "BillableSeconds": "0",
    "Disposition": "NO ANSWER",
    "UniqueID": "1763874000.1",
    "LinkedID": "1763874000.0",
}


@tagged("post_install", "-at_install")
class TestExample(PbxCase):
    def item(self, **more):
        return {
            "id": "a1",
            "kind": "event",
            "model": "asterisk_calls.call",
            "method": "create_cdr",
            "batch": False,
            "name": "Cdr",
            "data": {**CDR, **more},
        }

    def test_a_cdr_becomes_a_record(self):
        self.assertEqual(self.answers([self.item()]), {"a1": ["done"]})
        call = self.env["asterisk_calls.call"].search([("uniqueid", "=", CDR["UniqueID"])])
        self.assertEqual((call.src, call.dst, call.duration), ("101", "102", 12))
        self.assertEqual(str(call.started), CDR["StartTime"])
        self.assertFalse(call.answered)
        self.assertEqual(call.linkedid, CDR["LinkedID"])

    def test_only_agents_write_records(self):
        for user in (self.manager, self.user, self.employee, self.portal):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.env["asterisk_calls.call"].with_user(user).create_cdr(CDR)

    def test_originate_dials_and_tells_why_it_could_not(self):
        with self.salt() as asked:
            server = self.pbx1.with_user(self.manager)
            jid = server.originate("+15550100", "PJSIP/trunk", "101", "from-internal")
            self.commit()
        (action,) = asked[0]["kwarg"]["arg"]
        self.assertEqual(action["Channel"], "PJSIP/trunk/+15550100")
        self.assertEqual((action["Action"], action["Exten"]), ("Originate", "101"))
        told = []
        job = self.env["asterisk_plus.job"].search([("jid", "=", jid)])
        self.env.cr.execute("SELECT token FROM asterisk_plus_job WHERE id = %s", [job.id])
        (token,) = self.env.cr.fetchone()
        refusal = [{"Response": "Error", "Message": "Extension does not exist."}]
        with patch.object(
            type(self.env["res.users"]),
            "asterisk_plus_notify",
            lambda user, message, uid=None, **options: told.append((message, uid)),
        ):
            answers = self.answers([result("b1", jid, token, refusal)])
        self.assertEqual(answers, {"b1": ["done"]})
        self.assertEqual(told, [("Extension does not exist.", self.manager.id)])

    def test_originate_is_the_managers(self):
        for user in (self.user, self.employee, self.portal):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.pbx1.with_user(user).originate("1", "PJSIP/trunk", "101", "from-internal")
