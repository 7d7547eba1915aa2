from unittest.mock import patch

from odoo.exceptions import ValidationError
from odoo.tests import tagged

from .common import PbxCase


@tagged("post_install", "-at_install")
class TestEvents(PbxCase):
    def add(self, **values):
        return self.env["asterisk_plus.event"].create(
            {
                "name": "Test",
                "model": "asterisk_plus.call",
                "method": "create_cdrs",
                "batch": True,
                **values,
            }
        )

    def test_what_cannot_work_is_refused_with_a_reason(self):
        for values, reason in (
            ({"model": "no.model"}, "there is no model 'no.model'"),
            ({"method": "no_method"}, "has no method 'no_method'"),
            ({"method": "_order"}, "underscore"),
            ({"method": "_unlink"}, "underscore"),
            ({"condition": "event.A =="}, "condition"),
            ({"condition": "event.__class__"}, "may not be used"),
            ({"condition": "range(10**9)"}, "only these may be called"),
            ({"condition": "other.A"}, "only 'event' is in scope"),
            ({"condition": "event.A.startswith(*event.B)"}, "may not be used"),
            ({"condition": "(" * 300 + "event.A" + ")" * 300}, "nested too deeply"),
            ({"keep": "long"}, "not a duration"),
            ({"keep": "999999999999d"}, "300 years"),
            ({"delay": -1.0}, "300 years"),
            ({"delay": 1e11}, "300 years"),
        ):
            with self.subTest(values), self.assertRaisesRegex(ValidationError, reason):
                self.add(**values)

    def test_a_change_is_checked_too(self):
        event = self.add()
        with self.assertRaises(ValidationError):
            event.method = "no_method"

    def test_an_event_that_asterisk_does_not_document_is_noted(self):
        event = self.add(name="hangup")
        self.assertFalse(event.note)
        event.name = "Hangupp"
        self.assertIn("documents no event of this name", event.note)
        self.assertIn("Hangupp", self.env["asterisk_plus.event"].get_map()["events"])
        event.source = "Salt"
        self.assertFalse(event.note)

    def test_the_map_holds_what_is_set_and_nothing_else(self):
        self.add(
            condition="event.Cause == '16'",
            delay=0.5,
            keep="10s",
            latest_by="Channel",
            fields="Channel, Cause",
        )
        self.add(name="salt/job/*/ret/*", source="Salt", batch=False)
        content = self.env["asterisk_plus.event"].with_user(self.pbx1.user_id).get_map()
        self.assertEqual(
            content["events"]["Test"],
            [
                {
                    "model": "asterisk_plus.call",
                    "method": "create_cdrs",
                    "batch": True,
                    "condition": "event.Cause == '16'",
                    "delay": 0.5,
                    "keep": "10s",
                    "latest_by": "Channel",
                    "fields": ["Channel", "Cause"],
                }
            ],
        )
        self.assertEqual(
            content["bus_events"]["salt/job/*/ret/*"],
            [{"model": "asterisk_plus.call", "method": "create_cdrs"}],
        )

    def test_the_addons_own_events_are_in_the_map(self):
        content = self.env["asterisk_plus.event"].with_user(self.pbx1.user_id).get_map()
        self.assertEqual(content["events"]["Cdr"][0]["keep"], "forever")
        self.assertIn("salt/minion/*/start", content["bus_events"])

    def test_the_serial_follows_the_content(self):
        events = self.env["asterisk_plus.event"]
        before = events.get_map()["serial"]
        event = self.add()
        during = events.get_map()["serial"]
        event.enabled = False
        self.assertNotEqual(before, during)
        self.assertEqual(before, events.get_map()["serial"])
        event.enabled = True
        event.unlink()
        self.assertEqual(before, events.get_map()["serial"])

    def test_while_modules_are_installed_a_fault_is_noted_and_checked_again_later(self):
        with patch.object(self.registry, "ready", False):
            event = self.add(model="model.of.later")
        self.assertIn("there is no model", event.error)
        content = self.env["asterisk_plus.event"].get_map()
        self.assertNotIn("Test", content["events"])
        with patch.object(self.registry, "ready", False):
            event.model = "asterisk_plus.call"
        self.env["asterisk_plus.event"]._register_hook()
        self.assertFalse(event.error)
        self.assertIn("Test", self.env["asterisk_plus.event"].get_map()["events"])

    def test_the_map_is_pushed_once_modules_were_installed(self):
        if "ir.cron.trigger" not in self.env:
            self.skipTest("scheduled actions are triggered from 15 on")
        cron = self.env.ref("asterisk_plus.cron_push_map")
        waiting = [("cron_id", "=", cron.id)]
        self.env["ir.cron.trigger"].search(waiting).unlink()
        with patch.object(self.registry, "updated_modules", []):
            self.env["asterisk_plus.event"]._register_hook()
        self.assertFalse(self.env["ir.cron.trigger"].search(waiting))
        with patch.object(self.registry, "updated_modules", ["some_module"]):
            self.env["asterisk_plus.event"]._register_hook()
        self.assertTrue(self.env["ir.cron.trigger"].search(waiting))

    def broken(self):
        """An event whose module is gone."""
        event = self.add()
        self.env.cr.execute(
            "UPDATE asterisk_plus_event SET model = 'gone' WHERE id = %s", [event.id]
        )
        event.invalidate_recordset()
        return event

    def test_a_broken_route_can_be_switched_off_and_not_on(self):
        event = self.broken()
        event.enabled = False
        self.assertIn("there is no model", event.error)
        with self.assertRaisesRegex(ValidationError, "there is no model"):
            event.enabled = True

    def test_a_route_whose_module_is_gone_leaves_the_map(self):
        self.broken()
        with self.assertLogs("odoo.addons.asterisk_plus.models.event", "WARNING"):
            self.env["asterisk_plus.event"]._register_hook()
        self.assertNotIn("Test", self.env["asterisk_plus.event"].get_map()["events"])
