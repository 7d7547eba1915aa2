from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .. import compat
from .common import PbxCase


@tagged("post_install", "-at_install")
class TestAgents(PbxCase):
    """Who a PBX logs in as."""

    def test_a_key_ends_the_one_before_and_logs_in_as_the_agent(self):
        keys = self.env["res.users.apikeys"]
        first = self.pbx1.with_user(self.manager).generate_agent_key()
        second = self.pbx1.with_user(self.manager).generate_agent_key()
        self.assertFalse(keys._check_credentials(scope="rpc", key=first))
        self.assertEqual(keys._check_credentials(scope="rpc", key=second), self.pbx1.user_id.id)

    def test_the_agent_has_its_group_and_no_other_and_no_password(self):
        agent = self.pbx1.user_id
        self.assertEqual(
            agent[compat.group_field(self.env)], self.env.ref("asterisk_plus.group_agent")
        )
        self.assertEqual(agent.login, "pbx1.test")
        self.assertTrue(agent.share)
        self.env.cr.execute("SELECT password FROM res_users WHERE id = %s", [agent.id])
        self.assertFalse(self.env.cr.fetchone()[0])

    def test_a_login_that_is_taken_is_named(self):
        server = self.env["asterisk_plus.server"].create({"name": "New", "minion_id": "employee"})
        with self.assertRaisesRegex(UserError, "There is a user 'employee' already"):
            server.generate_agent_key()

    def test_a_manager_does_not_say_who_the_agent_is(self):
        servers = self.env["asterisk_plus.server"].with_user(self.manager)
        admin = self.env.ref("base.user_admin").id
        values = {"name": "New", "minion_id": "pbx3"}
        for way, attempt in {
            "write": lambda: self.pbx1.with_user(self.manager).write({"user_id": admin}),
            "create": lambda: servers.create({**values, "user_id": admin}),
            "default": lambda: servers.with_context(default_user_id=admin).create(values),
        }.items():
            with self.subTest(way), self.assertRaises(AccessError), self.env.cr.savepoint():
                attempt()
        self.assertNotEqual(self.pbx1.user_id.id, admin)
        self.assertTrue(servers.create(values))

    def test_a_person_gets_no_key_and_keeps_his_own(self):
        keys = self.env["res.users.apikeys"]
        manager = self.manager
        manager[compat.group_field(self.env)] += self.env.ref("asterisk_plus.group_agent")
        for person in (self.portal, manager):
            own = compat.new_api_key(person, "own")
            self.pbx1.user_id = person
            with self.subTest(person.login), self.assertRaisesRegex(UserError, "no PBX's agent"):
                self.pbx1.with_user(manager).generate_agent_key()
            self.assertEqual(keys._check_credentials(scope="rpc", key=own), person.id)

    def test_a_server_that_is_deleted_takes_its_key_along_and_can_be_added_again(self):
        keys = self.env["res.users.apikeys"]
        agent = self.pbx1.user_id
        key = self.pbx1.generate_agent_key()
        self.pbx1.with_user(self.manager).unlink()
        self.assertFalse(keys._check_credentials(scope="rpc", key=key))
        agent.active = False

        again = self.env["asterisk_plus.server"].create({"name": "Again", "minion_id": "pbx1.test"})
        key = again.with_user(self.manager).generate_agent_key()

        self.assertEqual(again.user_id, agent)
        self.assertEqual(keys._check_credentials(scope="rpc", key=key), agent.id)

    def test_the_agent_of_another_server_is_not_taken_over(self):
        self.pbx1.write({"minion_id": "renamed.test", "active": False})
        self.env.flush_all()
        server = self.env["asterisk_plus.server"].create({"name": "New", "minion_id": "pbx1.test"})
        with self.assertRaisesRegex(UserError, "There is a user 'pbx1.test' already"):
            server.generate_agent_key()
