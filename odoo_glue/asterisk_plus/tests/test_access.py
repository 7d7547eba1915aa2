import inspect

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import file_open, mute_logger
from psycopg2 import IntegrityError

from .common import PbxCase

SECRET = "secret of salt-api"
# A person may notify himself; a test of its own tries others.
OPEN = {"asterisk_plus_notify"}


def _is_ours(cls):
    return cls.__module__.startswith("odoo.addons.asterisk_plus.")


@tagged("post_install", "-at_install")
class TestAccess(PbxCase):
    def rpc(self, user, model, method, *args, **kwargs):
        return call_kw(self.env[model].with_user(user), method, args, kwargs)

    def test_public_methods_of_a_server_are_the_managers(self):
        methods = {
            "generate_agent_key": (),
            "action_new_agent_key": (),
            "action_test_connection": (),
            "action_refresh": (),
            "action_reload": (),
            "action_ping_salt": (),
            "action_ping_asterisk": (),
            "action_push_map": (),
            "action_outbox_failed": (),
            "action_outbox_retry": (),
            "action_outbox_drop": (),
            "local_job": ("test.ping",),
            "ami_action": ({"Action": "Ping"},),
        }
        for user in (self.user, self.employee, self.portal, self.pbx1.user_id):
            for method, args in methods.items():
                with self.subTest(user=user.login, method=method):
                    with self.assertRaises(AccessError):
                        self.rpc(user, "asterisk_plus.server", method, self.pbx1.ids, *args)

    def test_no_method_of_the_addon_is_forgotten(self):
        """Each one refuses strangers before it looks at its arguments."""
        tried = 0
        for model, method, function in self.own_methods():
            signature = inspect.signature(function)
            wanted = [
                None
                for parameter in list(signature.parameters.values())[1:]
                if parameter.default is parameter.empty
                and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ]
            # The first name is 19's, the second 14's.
            of_model = getattr(function, "_api_model", getattr(function, "_api", "") == "model")
            if not of_model:
                abstract = self.env[model]._abstract
                wanted.insert(0, [] if abstract else self.env[model].search([], limit=1).ids)
            for user in (self.employee, self.portal):
                with self.subTest(user=user.login, model=model, method=method):
                    with self.assertRaises(AccessError):
                        self.rpc(user, model, method, *wanted)
                    tried += 1
        self.assertGreater(tried, 20)

    def own_methods(self):
        """``(model, method, function)`` of what the addon adds and RPC might reach."""
        for name, model in self.registry.items():
            theirs = {method for cls in model.mro() if not _is_ours(cls) for method in vars(cls)}
            for cls in filter(_is_ours, model.mro()):
                for method, function in vars(cls).items():
                    public = inspect.isfunction(function) and not method.startswith("_")
                    # What Odoo has too, such as create, is guarded by access lists.
                    if public and method not in theirs and method not in OPEN:
                        yield name, method, function

    def test_handlers_and_callbacks_cannot_be_called_by_rpc(self):
        for model, method, args in (
            ("asterisk_plus.call", "create_cdrs", ([],)),
            ("asterisk_plus.server", "on_minion_start", ({},)),
            ("asterisk_plus.server", "on_ami_state", ({},)),
            ("asterisk_plus.server", "on_told", ([], {})),
            ("asterisk_plus.server", "on_status", ([], {})),
            ("asterisk_plus.server", "on_way_back", ([], {})),
            ("asterisk_plus.user", "on_originate_response", ({},)),
            ("asterisk_plus.server", "originate_call_response", ([], {})),
        ):
            for user in (self.manager, self.user, self.employee, self.portal):
                with self.subTest(user=user.login, method=method):
                    with self.assertRaises(AccessError):
                        self.rpc(user, model, method, *args)

    def test_handlers_check_their_group_where_private_methods_are_not_known(self):
        for user in (self.manager, self.portal):
            with self.assertRaises(AccessError):
                self.env["asterisk_plus.call"].with_user(user).create_cdrs([])
            with self.assertRaises(AccessError):
                self.env["asterisk_plus.server"].with_user(user).on_minion_start({})

    def test_the_map_is_the_agents_and_the_managers(self):
        for user in (self.user, self.employee, self.portal):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.rpc(user, "asterisk_plus.event", "get_map")
        for user in (self.manager, self.pbx1.user_id):
            self.assertIn("serial", self.rpc(user, "asterisk_plus.event", "get_map"))

    def test_records_are_for_those_who_need_them(self):
        readers = {
            "asterisk_plus.server": {"manager", "user", "agent"},
            "asterisk_plus.call": {"manager", "user", "agent"},
            "asterisk_plus.status": {"manager", "user"},
            "asterisk_plus.user": {"manager", "user"},
            "asterisk_plus.event": {"manager"},
            "asterisk_plus.job": {"manager"},
            "asterisk_plus.outbox": {"manager"},
            "asterisk_plus.applied": {"manager"},
        }
        people = {
            "manager": self.manager,
            "user": self.user,
            "employee": self.employee,
            "portal": self.portal,
            "agent": self.pbx1.user_id,
        }
        for model, allowed in readers.items():
            for name, user in people.items():
                with self.subTest(model=model, user=name):
                    try:
                        self.rpc(user, model, "search_read", [], ["id"])
                        may = True
                    except AccessError:
                        may = False
                    self.assertEqual(may, name in allowed)

    def test_nobody_writes_jobs_calls_or_protocol_rows_by_rpc(self):
        for model in ("job", "call", "outbox", "applied", "status"):
            for user in (self.manager, self.user, self.employee, self.portal):
                with self.subTest(model=model, user=user.login), self.assertRaises(AccessError):
                    self.rpc(user, f"asterisk_plus.{model}", "create", {})

    def test_an_agent_sees_its_own_pbx_and_calls_only(self):
        calls = self.env["asterisk_plus.call"]
        for server in (self.pbx1, self.pbx2):
            calls.create({"uniqueid": server.minion_id, "server_id": server.id})
        agent = self.pbx1.user_id
        seen = self.rpc(agent, "asterisk_plus.call", "search_read", [], ["uniqueid"])
        self.assertEqual([row["uniqueid"] for row in seen], ["pbx1.test"])
        seen = self.rpc(agent, "asterisk_plus.server", "search_read", [], ["minion_id"])
        self.assertEqual([row["minion_id"] for row in seen], ["pbx1.test"])
        with self.assertRaises(AccessError):
            calls.with_user(agent).create({"uniqueid": "x", "server_id": self.pbx2.id})

    def test_the_password_is_kept_where_no_rpc_finds_it(self):
        model, manager = "asterisk_plus.server", self.manager
        found = self.rpc(manager, model, "search_read", [("id", "=", self.pbx1.id)])
        self.assertNotIn(SECRET, str(found))
        self.assertFalse(found[0]["salt_api_password"])
        self.assertNotIn(SECRET, str(self.rpc(manager, model, "copy_data", self.pbx1.ids)))
        exported = self.rpc(
            manager, model, "export_data", self.pbx1.ids, ["salt_api_password", "name"]
        )
        self.assertNotIn(SECRET, str(exported))
        self.assertEqual(self.pbx1._salt_api().password, SECRET)

    def test_no_search_or_grouping_tells_the_password(self):
        """Refused, or blind: what is guessed right is answered like what is guessed wrong."""
        self.pbx2.salt_api_password = "another"
        newer = hasattr(self.env["base"], "formatted_read_group")
        group = "formatted_read_group" if newer else "read_group"

        def outcome(method, *args, **kwargs):
            try:
                with self.env.cr.savepoint():
                    found = self.rpc(self.manager, "asterisk_plus.server", method, *args, **kwargs)
            except (ValueError, UserError, KeyError) as error:
                return type(error)
            self.assertNotIn(SECRET, str(found))
            return found

        for field in ("salt_api_secret", "salt_api_password"):
            with self.subTest(field), mute_logger("odoo.osv.expression", "odoo.models"):
                right, wrong = (
                    outcome("search", [(field, "=like", guess)]) for guess in ("secret%", "x%")
                )
                self.assertEqual(right, wrong)
                up, down = (
                    outcome("search", [], order=f"{field} {way}") for way in ("asc", "desc")
                )
                self.assertEqual(up, down)
                outcome(group, [], [field], ["__count"])
        refused = outcome("read", self.pbx1.ids, ["salt_api_secret"])
        self.assertIn(refused, (ValueError, KeyError, UserError))

    def test_the_answer_to_a_save_does_not_show_the_password(self):
        if not hasattr(self.env["base"], "web_save"):
            self.skipTest("saves are answered from 17 on")
        answer = self.rpc(
            self.manager,
            "asterisk_plus.server",
            "web_save",
            self.pbx1.ids,
            {"salt_api_password": "another"},
            specification={"salt_api_password": {}, "name": {}},
        )
        self.assertFalse(answer[0]["salt_api_password"])
        self.assertEqual(self.pbx1._salt_api().password, "another")

    def test_the_password_is_for_the_host_that_it_was_entered_for(self):
        server = self.pbx1.with_user(self.manager)
        server.write({"salt_api_url": "https://hub.test:8000/path", "salt_api_user": "other"})
        self.assertEqual(self.pbx1._salt_api().password, SECRET)
        for url in ("https://my.host:8000", "https://my.host:8001", "http://localhost:8001"):
            with self.subTest(url):
                server.write({"salt_api_url": url})
                with self.assertRaisesRegex(UserError, "Password"):
                    self.pbx1._salt_api()
                server.write({"salt_api_password": "another"})
        server.write({"salt_api_url": "https://hub.test:8000", "salt_api_password": "third"})
        self.assertEqual(self.pbx1._salt_api().password, "third")

    def test_the_token_of_a_job_is_no_field(self):
        self.assertNotIn("token", self.env["asterisk_plus.job"]._fields)

    def test_settings_of_salt_api_are_the_managers_to_see(self):
        for name in ("salt_api_url", "salt_api_user", "salt_api_ca", "salt_api_password"):
            with self.assertRaises(AccessError):
                self.rpc(self.user, "asterisk_plus.server", "read", self.pbx1.ids, [name])

    def test_a_copy_of_the_database_reaches_no_pbx_and_lets_none_in(self):
        key = self.pbx1.generate_agent_key()
        with self.salt() as asked:
            self.pbx1.local_job("test.ping")
            self.env.flush_all()
            with file_open("asterisk_plus/data/neutralize.sql") as script:
                self.env.cr.execute(script.read())
            self.pbx1.invalidate_recordset()
            self.commit()
        self.assertEqual(asked, [])
        job = self.env["asterisk_plus.job"].search([("server_id", "=", self.pbx1.id)])
        self.assertEqual((job.state, job.error), ("error", "neutralized"))
        with self.assertRaises(UserError):
            self.pbx1._salt_api()
        keys = self.env["res.users.apikeys"]
        self.assertFalse(keys._check_credentials(scope="rpc", key=key))

    def test_wrong_settings_are_refused_with_the_way_to_mend_them(self):
        for values, reason in (
            ({"minion_id": "pbx*"}, "is not a minion id"),
            ({"salt_api_url": "hub"}, "is not an address"),
            ({"salt_api_url": "https://hub.test:80a"}, "is not an address"),
            ({"salt_api_url": "https://[hub.test"}, "is not an address"),
            ({"salt_api_url": "http://hub.test:8000"}, "clear text"),
            ({"salt_api_ca": "no PEM"}, "PEM"),
        ):
            with self.subTest(values), self.assertRaisesRegex(ValidationError, reason):
                with self.env.cr.savepoint():
                    self.pbx1.write(values)

    def test_a_minion_has_one_server(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError):
            self.pbx1.minion_id = "pbx2.test"
            self.env.flush_all()

    def test_notifying_others_takes_a_group(self):
        for user in (self.user, self.employee, self.portal):
            self.rpc(user, "res.users", "asterisk_plus_notify", [user.id], "to myself")
            with self.assertRaises(AccessError):
                self.rpc(
                    user, "res.users", "asterisk_plus_notify", [user.id], "x", uid=self.manager.id
                )
        agent = self.pbx1.user_id
        self.rpc(agent, "res.users", "asterisk_plus_notify", [agent.id], "x", uid=self.user.id)
