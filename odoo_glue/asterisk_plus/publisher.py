"""Publishing jobs once their transaction is committed.

A post-commit hook that was added in a savepoint fires also when the savepoint was rolled back,
and one that raises takes the others with it. So there is one hook a transaction, it looks up
which rows really are there, with a cursor of its own, and it never raises.
"""

import logging
import threading
import time

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.modules.registry import Registry

from . import salt_api
from .guard import conflict_in

_logger = logging.getLogger(__name__)

_KEY = "asterisk_plus.jobs"
# A callback may start a job when its own failed. Below that many levels it waits for the cron,
# so that a dead hub does not hold the worker for ever.
_MAX_DEPTH = 3
# Seconds for all that one commit publishes, what failing callbacks start included.
BUDGET = 30.0
# A result may arrive at the very moment in which a job is ended.
_TRIES = 3
_thread = threading.local()


def after_commit(env, job_ids):
    """Publish ``job_ids`` after the transaction of ``env`` has been committed."""
    callbacks = env.cr.postcommit
    if _KEY not in callbacks.data:
        callbacks.data[_KEY] = []
        dbname = env.cr.dbname
        callbacks.add(lambda: _run(dbname, callbacks.data.pop(_KEY, [])))
    callbacks.data[_KEY].extend(job_ids)


def _run(dbname, job_ids):
    depth = getattr(_thread, "depth", 0)
    if depth >= _MAX_DEPTH:
        return
    _thread.depth = depth + 1
    if not depth:
        _thread.ends = time.monotonic() + BUDGET
    try:
        _publish(Registry(dbname), job_ids)
    except Exception:
        _logger.exception("Jobs %s could not be published", job_ids)
    finally:
        _thread.depth = depth


def _publish(registry, job_ids):
    # What was committed may be asked for from another worker before this request is over.
    if registry.ready:
        registry.signal_changes()
    with registry.cursor() as cr:
        claimed = _claim(cr, job_ids)
    sent, failing, dead = [], [], {}
    for job_id, account, lowstate, fault in claimed:
        fault = fault or dead.get(account)
        left = _thread.ends - time.monotonic()
        if not fault and left < 1:
            fault = f"salt-api took the {BUDGET:.0f} s that Odoo has for it for other jobs"
        if not fault:
            try:
                if _send(account, lowstate, min(left, salt_api.TIMEOUT)):
                    sent.append((job_id, None))
                    continue
                fault = (
                    f"Salt knows no minion {lowstate['kwarg']['minion']!r}: the minion id on the "
                    "server's page, or its key on the Salt master"
                )
            except salt_api.SaltApiError as error:
                fault = str(error)
                if error.status is None:
                    # The others would each wait as long for the same hub.
                    dead[account] = fault
                if error.unsure:
                    sent.append((job_id, fault))
                    continue
        failing.append((job_id, fault))
    # Their callbacks wait for nothing more.
    for job_id, fault in failing:
        fail(registry, job_id, fault)
    if sent:
        _retried(registry, lambda cr: _mark_sent(cr, sent), [job_id for job_id, _note in sent])


def fail(registry, job_id, error):
    """End a job with an error result, in a transaction of its own. Never raises."""

    def end(cr):
        env = api.Environment(cr, SUPERUSER_ID, {})
        env["asterisk_plus.job"].browse(job_id)._fail(error)

    _retried(registry, end, [job_id])


def _retried(registry, change, job_ids):
    """Do ``change(cr)`` in a transaction of its own, again after a conflict. Never raises."""
    for _try in range(_TRIES):
        try:
            with registry.cursor() as cr:
                change(cr)
            return
        except Exception as failure:
            if not conflict_in(failure):
                _logger.exception("Jobs %s could not be changed", job_ids)
                return
    _logger.warning("Jobs %s are busy: the next round ends them if need be", job_ids)


def _mark_sent(cr, sent):
    for job_id, note in sent:
        # A result may have come already.
        cr.execute(
            "UPDATE asterisk_plus_job SET state = 'sent', error = %s"
            " WHERE id = %s AND state = 'sending'",
            [note, job_id],
        )


def _claim(cr, job_ids):
    """``[(job id, account, lowstate, fault)]`` of the jobs that are committed and were new."""
    # The time for the result begins now: the transaction that made the job may have been long.
    cr.execute(
        "UPDATE asterisk_plus_job SET state = 'sending',"
        " expires = clock_timestamp() AT TIME ZONE 'utc' + timeout * interval '1 second'"
        " WHERE id = ANY(%s) AND state = 'new' RETURNING id",
        [list(job_ids)],
    )
    claimed = []
    env = api.Environment(cr, SUPERUSER_ID, {})
    for job in env["asterisk_plus.job"].browse(sorted(row[0] for row in cr.fetchall())):
        try:
            claimed.append((job.id, job.server_id._salt_api(), job._lowstate(), None))
        except UserError as error:
            claimed.append((job.id, None, None, str(error)))
    return claimed


def _send(account, lowstate, timeout):
    """Publish; once more when the answer was lost and time is left: Salt runs a jid once."""
    ends = time.monotonic() + timeout
    try:
        return salt_api.low(account, lowstate, timeout=timeout)
    except salt_api.SaltApiError as error:
        left = ends - time.monotonic()
        if not error.unsure or left < 1:
            raise
        try:
            return salt_api.low(account, lowstate, timeout=left)
        except salt_api.SaltApiError as again:
            again.unsure = True
            raise
