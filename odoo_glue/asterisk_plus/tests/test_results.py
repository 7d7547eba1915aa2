import json
from unittest.mock import patch

from odoo.tests import tagged

from .common import PbxCase, result

PONG = [{"Response": "Success", "Ping": "Pong"}]
NO_SUCH = [{"Response": "Error", "Message": "Extension does not exist."}]


@tagged("post_install", "-at_install")
class TestResults(PbxCase):
    def setUp(self):
        super().setUp()
        self.called = []

        def call_back(records, data, pass_back):
            self.called.append((records.env.uid, records.env.su, data, pass_back))
            if pass_back == "raise":
                raise ValueError("the callback is broken")

        self.handle(call_back, method="on_result")
        self.told = []

        def notify(user, message, uid=None, **more):
            self.told.append((uid or user.id, message))

        self.started(patch.object(self.registry["res.users"], "asterisk_plus_notify", notify))

    def start(self, pass_back=None, **options):
        """A job that was sent, and its token."""
        with self.salt():
            jid = self.pbx1.local_job(
                "asterisk.manager_action",
                {"Action": "Ping"},
                res_model="asterisk_plus.call",
                res_method="on_result",
                pass_back=pass_back,
                **options,
            )
            self.commit()
        job = self.env["asterisk_plus.job"].search([("jid", "=", jid)])
        self.assertEqual(job.state, "sent")
        return job, job._lowstate()["kwarg"]["token"]

    def test_a_result_reaches_its_callback_as_the_agent_with_what_was_passed(self):
        job, token = self.start(pass_back={"uid": 7})
        self.assertEqual(self.answers([result("r", job.jid, token, PONG)]), {"r": ["done"]})
        agent = self.pbx1.user_id.id
        self.assertEqual(self.called, [(agent, False, PONG, {"uid": 7})])
        self.assertEqual(job.state, "done")

    def test_an_error_response_is_the_callbacks_and_told_to_the_user(self):
        job, token = self.start(res_notify_uid=self.user.id)
        self.receive([result("r", job.jid, token, NO_SUCH, retcode=1)])
        self.assertEqual(self.called[0][2], NO_SUCH)
        self.assertEqual(self.told, [(self.user.id, "Extension does not exist.")])
        self.assertEqual((job.state, job.error), ("error", "Extension does not exist."))

    def test_the_addons_own_callback_tells_who_originated_why_there_is_no_call(self):
        with self.salt():
            jid = self.pbx1.local_job(
                "asterisk.manager_action",
                {"Action": "Originate"},
                res_model="asterisk_plus.server",
                res_method="originate_call_response",
                pass_back={"uid": self.user.id},
            )
            self.commit()
        job = self.env["asterisk_plus.job"].search([("jid", "=", jid)])
        token = job._lowstate()["kwarg"]["token"]
        self.assertEqual(self.answers([result("r", jid, token, NO_SUCH)]), {"r": ["done"]})
        self.assertEqual(self.told, [(self.user.id, "Extension does not exist.")])

    def test_a_function_that_broke_on_the_minion_is_an_error_response(self):
        job, token = self.start()
        self.receive([result("r", job.jid, token, "Traceback: no", retcode=1, success=False)])
        self.assertEqual(self.called[0][2], [{"Response": "Error", "Message": "Traceback: no"}])

    def test_another_kind_of_return_reaches_the_callback_as_it_is(self):
        job, token = self.start()
        self.receive([result("r", job.jid, token, True)])
        self.assertIs(self.called[0][2], True)

    def test_a_result_with_a_wrong_token_is_refused(self):
        job, _token = self.start()
        for token in ("guess", "", None, 1, "é"):
            answer = self.answers([result("r", job.jid, token, PONG)])["r"]
            self.assertEqual(answer[0], "refused")
        self.assertEqual((self.called, job.state), ([], "sent"))

    def test_a_result_from_another_minion_is_refused(self):
        job, token = self.start()
        answer = self.answers([result("r", job.jid, token, PONG)], server=self.pbx2)["r"]
        self.assertEqual(answer, ["refused", "Odoo started no such job on this minion"])
        self.assertEqual((self.called, job.state), ([], "sent"))

    def test_a_second_result_is_refused(self):
        job, token = self.start()
        self.receive([result("r", job.jid, token, PONG)])
        answer = self.answers([result("s", job.jid, token, NO_SUCH)])["s"]
        self.assertEqual(answer[0], "refused")
        self.assertEqual(len(self.called), 1)

    def test_two_results_in_one_batch_are_one(self):
        job, token = self.start()
        answers = self.answers(
            [result("r", job.jid, token, PONG), result("s", job.jid, token, NO_SUCH)]
        )
        self.assertEqual([answers["r"][0], answers["s"][0]], ["done", "failed"])
        self.assertEqual(job.state, "done")
        self.assertEqual([call[2] for call in self.called], [PONG, PONG])

    def test_a_callback_that_fails_leaves_the_job_open_for_another_try(self):
        job, token = self.start(pass_back="raise")
        answer = self.answers([result("r", job.jid, token, PONG)])["r"]
        self.assertEqual(answer, ["failed", "ValueError: the callback is broken"])
        self.assertEqual(job.state, "sent")

    def test_a_result_whose_callback_failed_reaches_it_after_the_jobs_time(self):
        job, token = self.start(pass_back="raise")
        job.expires = "2000-01-01"
        self.receive([result("r", job.jid, token, PONG)])
        self.env.flush_all()
        with self.one_transaction():
            self.env["asterisk_plus.job"]._cron_expire()
        self.assertEqual((job.state, job.error), ("sent", "ValueError: the callback is broken"))
        job.pass_back = '"mended"'
        self.assertEqual(self.answers([result("r", job.jid, token, PONG)]), {"r": ["done"]})
        self.assertEqual((job.state, job.error), ("done", False))
        self.assertEqual([call[2:] for call in self.called], [(PONG, "raise"), (PONG, "mended")])

    def test_a_late_result_is_kept_with_the_job_and_calls_nobody(self):
        job, token = self.start()
        job.expires = "2000-01-01"
        self.env.flush_all()
        with self.one_transaction():
            self.env["asterisk_plus.job"]._cron_expire()
        self.assertEqual(job.state, "error")
        message = self.called[0][2][0]["Message"]
        self.assertEqual(message, "pbx1.test did not answer within 60 s.")
        self.assertEqual(self.called[0][:2], (self.pbx1.user_id.id, False))
        self.assertEqual(self.answers([result("r", job.jid, token, PONG)]), {"r": ["done"]})
        self.assertEqual((job.state, json.loads(job.result)), ("error", PONG))
        self.assertIn("too late for the callback", job.error)
        self.assertEqual(self.answers([result("s", job.jid, token, PONG)])["s"][0], "refused")
        self.assertEqual(len(self.called), 1)
