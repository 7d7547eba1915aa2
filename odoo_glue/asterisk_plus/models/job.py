import hmac
import json
import logging
import secrets
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from .. import publisher
from ..access import require
from ..guard import attempt

_logger = logging.getLogger(__name__)

OPEN = ("new", "sending", "sent")
KEEP = timedelta(days=30)
SHOWN = 10000


class Job(models.Model):
    """A function that Odoo had a PBX run, and where its result goes.

    new → sending (claimed by the post-commit hook) → sent → done, or error.
    """

    _name = "asterisk_plus.job"
    _description = "PBX job"
    _order = "id desc"
    _rec_name = "jid"

    server_id = fields.Many2one(
        "asterisk_plus.server", required=True, index=True, ondelete="cascade"
    )
    jid = fields.Char("Job id", help="Salt's job id.")
    fun = fields.Char("Function", required=True)
    arg = fields.Text("Arguments", help="JSON")
    kwarg = fields.Text("Named arguments", help="JSON")
    res_model = fields.Char("Callback model")
    res_method = fields.Char("Callback method")
    pass_back = fields.Text(help="JSON: handed to the callback beside the result.")
    res_notify_uid = fields.Many2one("res.users", "Tell of errors", ondelete="set null")
    state = fields.Selection(
        [
            ("new", "New"),
            ("sending", "Sending"),
            ("sent", "Sent"),
            ("done", "Done"),
            ("error", "Error"),
        ],
        required=True,
        default="new",
        index=True,
    )
    answered = fields.Boolean(readonly=True, help="Whether the PBX sent a result, in time or not.")
    result = fields.Text(help="JSON, cut at 10,000 characters.")
    error = fields.Text()
    timeout = fields.Integer(help="Seconds to wait for the result.")
    expires = fields.Datetime(help="When the callback gets an error if no result came.")

    def init(self):
        require(self.env)
        # The token is a column without a field: who could read it could answer for the PBX.
        self.env.cr.execute(
            """
            ALTER TABLE asterisk_plus_job ADD COLUMN IF NOT EXISTS token varchar;
            CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_job_jid ON asterisk_plus_job (jid);
            """
        )

    @api.model_create_multi
    def create(self, vals_list):
        jobs = super().create(vals_list)
        for job in jobs:
            # The row's own number in place of the microseconds: two workers never make one jid.
            now = fields.Datetime.now()
            job.jid = f"{now:%Y%m%d%H%M%S}{job.id % 1000000:06}"
            job.expires = now + timedelta(seconds=job.timeout)
        jobs.flush_model()
        for job in jobs:
            self.env.cr.execute(
                "UPDATE asterisk_plus_job SET token = %s WHERE id = %s",
                [secrets.token_urlsafe(24), job.id],
            )
        publisher.after_commit(self.env, jobs.ids)
        return jobs

    def _lowstate(self):
        """What salt-api is asked for."""
        self.ensure_one()
        self.env.cr.execute("SELECT token FROM asterisk_plus_job WHERE id = %s", [self.id])
        (token,) = self.env.cr.fetchone()
        return {
            "client": "runner",
            "fun": "asterisk.job",
            "kwarg": {
                "minion": self.server_id.minion_id,
                "fun": self.fun,
                "arg": json.loads(self.arg),
                "kwarg": json.loads(self.kwarg),
                "jid": self.jid,
                "token": token,
            },
        }

    @api.model
    def _awaiting(self, server, result):
        """``(job, None)`` for the first result that ``server`` sends, or ``(no job, why not)``."""
        self.env.cr.execute(
            "SELECT id, server_id, answered, token FROM asterisk_plus_job"
            " WHERE jid = %s FOR UPDATE",
            [str(result.get("jid"))],
        )
        row = self.env.cr.fetchone()
        if not row or row[1] != server.id:
            return self.browse(), "Odoo started no such job on this minion"
        job_id, _server, answered, token = row
        if not hmac.compare_digest(str(result.get("token")).encode(), token.encode()):
            return self.browse(), "its token is not the job's"
        if answered:
            return self.browse(), "the job has its result already"
        return self.browse(job_id), None

    def _finish(self, env, result):
        """Take the job's result: call back in ``env``, the agent's. Errors go up.

        What comes when the callback was told that nothing came is kept for who looks at the job.
        """
        # Two results in one batch: the second finds the row answered.
        if self.answered:
            raise UserError(self.env._("the job has its result already"))
        data, error = _read_result(result)
        kept = {"answered": True, "result": _shown(data)}
        if self.state not in OPEN:
            late = self.env._("This result came too late for the callback.")
            self.write({**kept, "error": f"{self.error}\n{late}"})
            return
        self.write({**kept, "state": "error" if error else "done", "error": error})
        self._call_back(env, data, error)

    def _wait_for_callback(self, failure):
        """The result is here and its callback failed: it comes again, however long that takes."""
        if self.state in OPEN:
            self.write({"expires": False, "error": failure})

    def _call_back(self, env, data, error):
        if self.res_model:
            pass_back = json.loads(self.pass_back)
            getattr(env[self.res_model], self.res_method)(data, pass_back)
        if error and self.res_notify_uid:
            self.res_notify_uid.asterisk_plus_notify(error, title=self.server_id.name, warning=True)

    def _fail(self, error):
        """End the job with an error result, unless it has one. Its transaction is the caller's."""
        self.ensure_one()
        self.env.cr.execute(
            "SELECT state FROM asterisk_plus_job WHERE id = %s FOR UPDATE", [self.id]
        )
        row = self.env.cr.fetchone()
        if not row or row[0] not in OPEN:
            return
        data = [{"Response": "Error", "Message": error}]
        self.write({"state": "error", "error": error, "result": _shown(data)})
        agent = self.server_id.user_id
        env = self.env(user=agent.id, su=False, context=agent.with_user(agent).context_get())
        failure = attempt(self.env.cr, lambda guard: self._call_back(env, data, error))
        if failure:
            _logger.error("The callback of job %s failed", self.jid, exc_info=failure.exception)
            self.error = f"{error}\n{failure.text}"

    @api.model
    def _cron_expire(self):
        """End the jobs whose result did not come in time."""
        jobs = self.search([("state", "in", OPEN), ("expires", "<", fields.Datetime.now())])
        for job in jobs:
            name = job.server_id.minion_id
            if job.state == "new":
                error = self.env._("The job for %s was never sent: Odoo stopped just then.", name)
            else:
                error = self.env._(
                    "%(name)s did not answer within %(timeout)s s.", name=name, timeout=job.timeout
                )
                if job.error:
                    error = f"{error} {job.error}"
            publisher.fail(self.env.registry, job.id, error)

    @api.autovacuum
    def _gc_jobs(self):
        old = ("write_date", "<", fields.Datetime.now() - KEEP)
        self.search([old, "|", ("state", "not in", OPEN), ("expires", "=", False)]).unlink()


def _shown(data):
    return json.dumps(data, ensure_ascii=False)[:SHOWN]


def _read_result(result):
    """``(data for the callback, error text or False)`` from what the returner sent."""
    data = result.get("return")
    if isinstance(data, list) and data and all(isinstance(part, dict) for part in data):
        if data[0].get("Response") == "Error":
            return data, str(data[0].get("Message") or "Error")
        return data, False
    if isinstance(data, dict) and result.get("retcode"):
        error = json.dumps(data, ensure_ascii=False)
        return [{"Response": "Error", "Message": error, "Return": data}], error
    if result.get("retcode") or not result.get("success", True):
        error = data if isinstance(data, str) else json.dumps(data)
        return [{"Response": "Error", "Message": error}], error
    return data, False
