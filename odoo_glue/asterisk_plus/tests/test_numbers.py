from unittest import skipUnless

from odoo.tests import BaseCase, tagged

from .. import numbers


@tagged("post_install", "-at_install")
class TestNumbers(BaseCase):
    @skipUnless(numbers.phonenumbers, "the library phonenumbers is not installed")
    def test_numbers_of_the_public_network_become_e164(self):
        for written, country in (
            ("+44 20 7946 0958", False),
            ("0044 20 7946 0958", "DE"),
            ("020 7946 0958", "GB"),
            ("(020) 7946-0958", "GB"),
        ):
            with self.subTest(written):
                self.assertEqual(numbers.e164(written, country), "+442079460958")

    def test_what_is_none_is_told(self):
        for written in ("101", "", False, None, "anonymous", "+1"):
            with self.subTest(written):
                self.assertFalse(numbers.e164(written, "GB"))

    def test_an_extension_is_dialled_as_it_is(self):
        self.assertEqual(numbers.dialable("101", "GB"), "101")
        self.assertEqual(numbers.dialable("*97", "GB"), "*97")
        self.assertEqual(numbers.dialable("+44 20 7946 0958", "US"), "+442079460958")

    def test_nothing_but_a_number_reaches_the_action(self):
        for bad in ("101&102", "101,1", "1\r\nAction: Reload", "Local/1@x", "${EXTEN}", "", None):
            with self.subTest(bad), self.assertRaises(ValueError):
                numbers.dialable(bad, "GB")
