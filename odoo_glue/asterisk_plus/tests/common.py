import contextlib
import itertools
from unittest.mock import patch

from odoo.tests import TransactionCase, new_test_user

from .. import batch as batch_module
from .. import salt_api

OUTBOX = "ab" * 16
HANDLER = "on_test_event"


class Tools:
    """What test cases of older series lack."""

    def started(self, patcher):
        """Start a patch for the time of the test."""
        patcher.start()
        self.addCleanup(patcher.stop)

    @contextlib.contextmanager
    def one_transaction(self):
        """Cursors that the code opens are part of the test's transaction."""
        if hasattr(self, "enter_registry_test_mode"):
            with self.enter_registry_test_mode():
                yield
        else:
            self.registry.enter_test_mode(self.env.cr)
            try:
                yield
            finally:
                self.registry.leave_test_mode()
        # Not every series forgets by itself what their environments have changed.
        self.env["asterisk_plus.job"].invalidate_model()


class PbxCase(Tools, TransactionCase):
    """Two PBXs with an agent each, and ways to play the PBX."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pbx1, cls.pbx2 = cls.env["asterisk_plus.server"].create(
            [
                {
                    "name": "Headquarters",
                    "minion_id": f"{minion}.test",
                    "salt_api_url": "https://hub.test:8000",
                    "salt_api_user": "odoo",
                    "salt_api_password": "secret of salt-api",
                }
                for minion in ("pbx1", "pbx2")
            ]
        )
        cls.pbx1.generate_agent_key()
        cls.pbx2.generate_agent_key()
        cls.manager = new_test_user(
            cls.env, "phone manager", groups="asterisk_plus.group_manager,base.group_allow_export"
        )
        cls.user = new_test_user(cls.env, "phone user", groups="asterisk_plus.group_user")
        cls.employee = new_test_user(cls.env, "employee", groups="base.group_user")
        cls.portal = new_test_user(cls.env, "portal", groups="base.group_portal")

    def setUp(self):
        super().setUp()
        # Handlers that fail are logged with their traceback; here they are meant to.
        self.started(patch.object(batch_module._logger, "warning"))
        self.numbers = itertools.count(1)

    def receive(self, items, number=None, server=None, outbox=OUTBOX, minion=None):
        """What the inbox answers the PBX ``server``'s agent."""
        server = server or self.pbx1
        number = next(self.numbers) if number is None else number
        inbox = self.env["asterisk_plus.inbox"].with_user(server.user_id)
        return inbox.receive(
            outbox=outbox, number=number, items=items, minion=minion or server.minion_id
        )

    def answers(self, items, **options):
        return self.receive(items, **options)["answers"]

    def handle(self, handler, batch=False, model="asterisk_plus.call", method=HANDLER):
        """Make ``handler(records, data)`` a method of ``model`` with an enabled route."""
        cls = self.registry[model]
        self.started(patch.object(cls, method, handler, create=True))
        with patch.object(self.registry["asterisk_plus.server"], "_push_map"):
            self.env["asterisk_plus.event"].create(
                {"name": "Test", "model": model, "method": method, "batch": batch}
            )

    def calls(self):
        """The unique ids of the calls there are, sorted."""
        return sorted(self.env["asterisk_plus.call"].search([]).mapped("uniqueid"))

    @contextlib.contextmanager
    def salt(self, *answers):
        """salt-api as the addon sees it: ``answers`` in turn, an exception is raised.

        Gives the list of lowstates that were asked.
        """
        asked = []
        waiting = list(answers)

        def low(account, lowstate, timeout=None):
            asked.append(lowstate)
            answer = waiting.pop(0) if waiting else {"jid": lowstate.get("jid"), "minions": ["x"]}
            if isinstance(answer, Exception):
                raise answer
            return answer

        with patch.object(salt_api, "low", low):
            yield asked

    def commit(self):
        """End the transaction as a request does: what hangs on the commit runs."""
        with self.one_transaction():
            self.env.cr.postcommit.run()


def event(item_id, method=HANDLER, model="asterisk_plus.call", batch=False, **data):
    return {
        "id": item_id,
        "kind": "event",
        "model": model,
        "method": method,
        "batch": batch,
        "name": "Test",
        "data": data,
    }


def result(item_id, jid, token, returned, **more):
    data = {
        "jid": jid,
        "token": token,
        "fun": "asterisk.manager_action",
        "retcode": 0,
        "success": True,
        "return": returned,
    }
    return {"id": item_id, "kind": "result", "name": data["fun"], "data": {**data, **more}}
