import json

from odoo import api, models
from odoo.exceptions import UserError

from .. import compat, salt_api
from ..access import AGENT, MANAGER, require

TIMEOUT = 60
MAX_TIMEOUT = 86400
MAX_SYNC = 30
# What Salt returns in place of a result.
_NO_ANSWER = "Minion did not return"


class Server(models.Model):
    # Its buttons are in a file of their own.
    _inherit = "asterisk_plus.server"  # pylint: disable=consider-merging-classes-inherited

    def local_job(
        self,
        fun,
        arg=None,
        kwarg=None,
        timeout=None,
        res_model=None,
        res_method=None,
        res_notify_uid=None,
        pass_back=None,
        sync=False,
    ):
        """Have the PBX's minion run ``fun`` and return the job's id (20 digits) at once.

        ``arg``: a list of arguments, or the only one; ``kwarg``: a dict of named ones. It is sent
        once the caller's transaction is committed, and not at all when that is rolled back.

        The result goes to ``res_model``'s ``res_method(data, pass_back)``, run as the PBX's agent
        user. ``data`` is what the function returned; for an error, whatever its cause, it is
        ``[{"Response": "Error", "Message": text}]``. No result after ``timeout`` seconds (60) is
        an error too. ``res_notify_uid``: a user who is shown errors.

        ``sync=True`` asks at once, waits at most ``timeout`` seconds (up to 30) and returns what
        the function returned; it takes no callback and holds the worker meanwhile.

        Raises ``AccessError`` for callers without the manager group (``server.sudo()``) and
        ``UserError`` for arguments that cannot work.
        """
        require(self.env, MANAGER)
        self.ensure_one()
        args = list(arg) if isinstance(arg, (list, tuple)) else [] if arg is None else [arg]
        timeout = TIMEOUT if timeout is None else timeout
        if not 1 <= timeout <= MAX_TIMEOUT:
            raise UserError(self.env._("timeout: from 1 to %d seconds.", MAX_TIMEOUT))
        if sync:
            return self._run_now(fun, args, kwarg or {}, min(timeout, MAX_SYNC))
        self._check_callback(res_model, res_method)
        server = self.sudo()
        if not server.user_id:
            raise UserError(
                self.env._(
                    "The server %s has no agent user yet: make its key on its page.", server.name
                )
            )
        try:
            values = {
                "arg": json.dumps(args),
                "kwarg": json.dumps(kwarg or {}),
                "pass_back": json.dumps(pass_back),
            }
        except TypeError as error:
            raise UserError(
                self.env._("A job's arguments must be plain JSON: %s", error)
            ) from error
        job = (
            self.env["asterisk_plus.job"]
            .sudo()
            .create(
                dict(
                    values,
                    server_id=server.id,
                    fun=fun,
                    timeout=timeout,
                    res_model=res_model,
                    res_method=res_method,
                    res_notify_uid=res_notify_uid,
                )
            )
        )
        return job.jid

    def ami_action(self, action, as_list=None, **options):
        """Perform an AMI action (a dict of headers): :meth:`local_job` of ``manager_action``.

        ``as_list``: whether an event list is to be gathered. ``options``: those of ``local_job``.
        """
        kwarg = {} if as_list is None else {"as_list": as_list}
        return self.local_job("asterisk.manager_action", [action], kwarg=kwarg, **options)

    def _check_callback(self, model, method):
        if not model and not method:
            return
        if not model or not method:
            raise UserError(self.env._("A callback needs both res_model and res_method."))
        if (
            method.startswith("_")
            or model not in self.env
            or not callable(getattr(type(self.env[model]), method, None))
        ):
            raise UserError(
                self.env._("There is no callback %(model)s.%(method)s.", model=model, method=method)
            )

    def _run_now(self, fun, args, kwarg, timeout):
        self.ensure_one()
        lowstate = {
            "client": "runner",
            "fun": "asterisk.job",
            "kwarg": {
                "minion": self.minion_id,
                "fun": fun,
                "arg": args,
                "kwarg": kwarg,
                "wait": timeout,
            },
        }
        try:
            answer = salt_api.low(self._salt_api(), lowstate, timeout=timeout)
        except salt_api.SaltApiError as error:
            # Salt itself waits longer than it was told for a minion that is down.
            if not error.unsure:
                raise UserError(str(error)) from error
            answer = {}
        result = answer.get(self.minion_id, _NO_ANSWER)
        if isinstance(result, str) and result.startswith(_NO_ANSWER):
            raise UserError(
                self.env._(
                    "%(minion)s did not answer within %(timeout)s s: is its minion up, and its "
                    "key accepted on the Salt master?",
                    minion=self.minion_id,
                    timeout=timeout,
                )
            )
        return result

    @api.model
    def _push_map(self):
        """Have every PBX that can be reached fetch the event map, once a transaction."""
        for server in self.sudo().search([("salt_api_url", "!=", False), ("user_id", "!=", False)]):
            waiting = [
                ("server_id", "=", server.id),
                ("fun", "=", "saltutil.refresh_pillar"),
                ("state", "=", "new"),
            ]
            if not self.env["asterisk_plus.job"].sudo().search_count(waiting):
                server.local_job("saltutil.refresh_pillar")

    @api.model
    @compat.private
    def originate_call_response(self, data, pass_back):
        """Callback of ``Originate``: tell the user of ``pass_back['uid']`` why there is no call."""
        require(self.env, AGENT)
        if data[0]["Response"] == "Error":
            self.env.user.asterisk_plus_notify(
                data[0]["Message"], title=self.env._("Call"), uid=pass_back["uid"], warning=True
            )
        return True
