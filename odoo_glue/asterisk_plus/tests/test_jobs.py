from datetime import datetime, timezone
from types import SimpleNamespace
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .. import publisher, salt_api
from ..salt_api import SaltApiError
from .common import PbxCase

ORIGINATE = {"Action": "Originate", "Channel": "PJSIP/101", "Exten": "+4420", "Priority": "1"}


@tagged("post_install", "-at_install")
class TestLocalJob(PbxCase):
    def setUp(self):
        super().setUp()
        self.called = []
        self.handle(
            lambda records, data, pass_back: self.called.append((records.env.uid, data, pass_back)),
            method="on_result",
        )

    def start(self, server=None, **options):
        options.setdefault("res_model", "asterisk_plus.call")
        options.setdefault("res_method", "on_result")
        return (server or self.pbx1).local_job("asterisk.manager_action", ORIGINATE, **options)

    def job(self, jid):
        job = self.env["asterisk_plus.job"].search([("jid", "=", jid)])
        job.invalidate_recordset()
        return job

    def test_it_is_sent_after_the_commit_and_not_before(self):
        with self.salt() as asked:
            jid = self.start()
            self.assertEqual(asked, [])
            self.commit()
        self.assertEqual(len(asked), 1)
        lowstate = asked[0]
        self.assertRegex(jid, r"^\d{20}$")
        self.assertEqual((lowstate["client"], lowstate["fun"]), ("runner", "asterisk.job"))
        job = lowstate["kwarg"]
        self.assertEqual(job["jid"], jid)
        self.assertEqual(job["minion"], "pbx1.test")
        self.assertEqual(job["arg"], [ORIGINATE])
        self.assertGreater(len(job["token"]), 24)
        self.assertEqual(self.job(jid).state, "sent")

    def test_nothing_is_sent_when_the_savepoint_was_rolled_back(self):
        with self.salt() as asked:
            with self.assertRaises(ZeroDivisionError), self.env.cr.savepoint():
                self.start()
                raise ZeroDivisionError
            kept = self.start()
            self.commit()
        self.assertEqual([lowstate["kwarg"]["jid"] for lowstate in asked], [kept])

    def test_nothing_is_sent_when_the_transaction_was_rolled_back(self):
        with self.salt() as asked:
            self.start()
            self.env.cr.postcommit.clear()
            self.commit()
        self.assertEqual(asked, [])

    def test_one_hook_sends_all_of_a_transaction_each_once(self):
        with self.salt() as asked:
            jids = [self.start() for _number in range(3)]
            self.commit()
            self.commit()
        self.assertEqual([lowstate["kwarg"]["jid"] for lowstate in asked], jids)

    def test_a_failure_reaches_the_callback_as_the_agent(self):
        with self.salt(SaltApiError("salt-api answered 401: the user or password", 401)):
            jid = self.start(pass_back={"uid": 5})
            self.commit()
        message = "salt-api answered 401: the user or password"
        self.assertEqual(
            self.called,
            [
                (
                    self.pbx1.user_id.id,
                    [{"Response": "Error", "Message": message}],
                    {"uid": 5},
                )
            ],
        )
        self.assertEqual((self.job(jid).state, self.job(jid).error), ("error", message))

    def test_an_unknown_minion_is_an_error_result(self):
        with self.salt({}):
            self.start()
            self.commit()
        self.assertIn("knows no minion 'pbx1.test'", self.called[0][1][0]["Message"])

    def test_a_lost_answer_is_asked_for_again_under_the_same_jid(self):
        with self.salt(SaltApiError("broke", unsure=True)) as asked:
            jid = self.start()
            self.commit()
        self.assertEqual([lowstate["kwarg"]["jid"] for lowstate in asked], [jid, jid])
        self.assertEqual(self.job(jid).state, "sent")

    def test_when_it_is_not_known_whether_it_ran_the_result_decides(self):
        with self.salt(SaltApiError("broke", unsure=True), SaltApiError("refused")):
            jid = self.start()
            self.commit()
        self.assertEqual((self.job(jid).state, self.called), ("sent", []))

    def test_a_hub_that_cannot_be_reached_is_tried_once_a_transaction(self):
        with self.salt(SaltApiError("Nothing listens")) as asked:
            self.start()
            self.start()
            self.commit()
        self.assertEqual((len(asked), len(self.called)), (1, 2))

    def test_the_time_for_the_result_begins_when_the_job_is_sent(self):
        jid = self.start(timeout=60)
        self.job(jid).expires = "2000-01-01"
        self.env.flush_all()
        before = datetime.now(timezone.utc).replace(tzinfo=None)
        with self.salt():
            self.commit()
        left = self.job(jid).expires - before
        self.assertTrue(59 <= left.total_seconds() < 90, left)

    def test_a_slow_hub_is_given_one_time_for_all_jobs_of_a_commit(self):
        now, times = [0.0], []

        def slow(account, lowstate, timeout):
            now[0] += timeout
            times.append(timeout)
            return {"jid": lowstate["kwarg"]["jid"]}

        clock = SimpleNamespace(monotonic=lambda: now[0])
        with patch.object(salt_api, "low", slow), patch.object(publisher, "time", clock):
            for _number in range(5):
                self.start()
            self.commit()
        self.assertEqual(times, [10, 10, 10])
        self.assertEqual(len(self.called), 2)
        self.assertIn("took the 30 s", self.called[0][1][0]["Message"])

    def test_a_conflict_keeps_no_callback_waiting_and_no_mark_from_being_made(self):
        execute = self.env.cr.execute
        conflicts = [None]
        seen = []

        def conflicting(query, *args, **kwargs):
            if "SET state = 'sent'" in str(query):
                seen.append(len(self.called))
                if conflicts:
                    conflicts.pop()
                    query = "DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40001'; END $$"
                    args, kwargs = (), {"log_exceptions": False}
            return execute(query, *args, **kwargs)

        with self.salt({"jid": "1"}, {}):
            jids = [self.start(), self.start()]
            with self.one_transaction(), patch.object(self.env.cr, "execute", conflicting):
                self.env.cr.postcommit.run()
        self.assertEqual([self.job(jid).state for jid in jids], ["sent", "error"])
        self.assertEqual(seen, [1, 1])

    def test_a_callback_that_fails_is_noted_and_raises_nothing(self):
        def broken(records, data, pass_back):
            raise ValueError("the callback is broken")

        self.started(patch.object(self.registry["asterisk_plus.call"], "on_result", broken))
        with self.salt(SaltApiError("no")), self.assertLogs("odoo.addons.asterisk_plus", "ERROR"):
            jid = self.start()
            self.commit()
        self.assertEqual(self.job(jid).error, "no\nValueError: the callback is broken")

    def test_a_callback_that_starts_its_job_again_does_not_go_on_for_ever(self):
        started = []

        def fails_and_is_started_again(registry, job_ids):
            started.append(job_ids)
            publisher._run(self.env.cr.dbname, job_ids)

        with patch.object(publisher, "_publish", fails_and_is_started_again):
            publisher._run(self.env.cr.dbname, [1])
        self.assertEqual(len(started), publisher._MAX_DEPTH)

    def test_publishing_never_raises(self):
        with patch.object(publisher, "_publish", side_effect=ZeroDivisionError):
            with self.assertLogs("odoo.addons.asterisk_plus.publisher", "ERROR"):
                publisher._run(self.env.cr.dbname, [1])

    def test_a_job_that_was_never_sent_ends_with_an_error(self):
        jid = self.start()
        job = self.job(jid)
        job.expires = "2000-01-01"
        self.env.flush_all()
        with self.one_transaction(), self.salt() as asked:
            self.env["asterisk_plus.job"]._cron_expire()
            self.env.cr.postcommit.run()
        self.assertEqual(asked, [])
        self.assertIn("never sent", self.called[0][1][0]["Message"])

    def test_missing_settings_are_an_error_result_that_names_them(self):
        self.pbx1.salt_api_url = False
        self.pbx1.salt_api_password = False
        with self.salt() as asked:
            self.start()
            self.commit()
        self.assertEqual(asked, [])
        self.assertIn("salt-api address, Password", self.called[0][1][0]["Message"])

    def test_arguments_that_cannot_work_are_refused_at_once(self):
        for options in (
            {"timeout": 0},
            {"timeout": 100000},
            {"res_method": None},
            {"res_method": "_private"},
            {"res_method": "no_such"},
            {"res_model": "no.model"},
            {"pass_back": object()},
        ):
            with self.subTest(options), self.assertRaises(UserError):
                self.start(**options)

    def test_a_server_without_agent_is_named(self):
        server = self.env["asterisk_plus.server"].create({"name": "New", "minion_id": "pbx3"})
        with self.assertRaisesRegex(UserError, "New has no agent user"):
            self.start(server)

    def test_sync_returns_what_the_function_returned(self):
        with self.salt({"pbx1.test": True}) as asked:
            self.assertIs(self.pbx1.local_job("test.ping", sync=True, timeout=600), True)
        self.assertEqual(asked[0]["kwarg"]["wait"], 30)

    def test_sync_raises_in_words(self):
        with self.salt({}), self.assertRaisesRegex(UserError, "pbx1.test did not answer"):
            self.pbx1.local_job("test.ping", sync=True)
        with self.salt(SaltApiError("no")), self.assertRaisesRegex(UserError, "no"):
            self.pbx1.local_job("test.ping", sync=True)

    def test_ami_action_is_a_job_of_manager_action(self):
        with self.salt() as asked:
            self.pbx1.ami_action({"Action": "QueueStatus"}, as_list=True)
            self.commit()
        self.assertEqual(asked[0]["kwarg"]["fun"], "asterisk.manager_action")
        self.assertEqual(asked[0]["kwarg"]["arg"], [{"Action": "QueueStatus"}])
        self.assertEqual(asked[0]["kwarg"]["kwarg"], {"as_list": True})

    def test_users_need_sudo_code_to_start_a_job(self):
        server = self.pbx1.with_user(self.user)
        with self.assertRaises(AccessError):
            self.start(server)
        jid = self.start(server.sudo())
        self.assertEqual(self.job(jid).create_uid, self.user)

    def test_a_changed_map_is_pushed_once_a_transaction(self):
        with self.salt() as asked:
            for number in range(3):
                self.env["asterisk_plus.event"].create(
                    {
                        "name": f"Event{number}",
                        "model": "asterisk_plus.call",
                        "method": "create_cdrs",
                        "batch": True,
                    }
                )
            self.commit()
        wanted = [lowstate["kwarg"] for lowstate in asked]
        pushed = sorted((job["minion"], job["fun"]) for job in wanted)
        fun = "saltutil.refresh_pillar"
        self.assertEqual(pushed, [("pbx1.test", fun), ("pbx2.test", fun)])
