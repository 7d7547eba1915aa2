"""Odoo as a person sees it, in a real browser; screenshots go to artifacts/."""

import json

import pytest
from browser import Browser

SEED = """
import json
from odoo import fields
given = json.loads({given!r})
admin = env.ref("base.user_admin")
phones = env["asterisk_plus.user"]
phones.search([]).unlink()
phones.create({{
    "user_id": admin.id, "server_id": given["server"],
    "exten": "101", "channel": "PJSIP/nobody",
}})
people = env["res.partner"]
ada = people.search([("name", "=", "Ada of the lab")]) or people.create(
    {{"name": "Ada of the lab", "phone": "600"}})
# One that a search for another number leaves out.
env["asterisk_plus.call"].create({{
    "server_id": given["server"], "uniqueid": "of the lab", "dst": "977",
    "number": "977", "started": fields.Datetime.now(),
}})
env.cr.commit()
print("RESULT " + json.dumps(ada.id))
"""


@pytest.fixture(scope="module")
def contact(house):
    """A contact whose number is extension 600; the administrator's phone is not there."""
    return house.odoo_shell(SEED.format(given=json.dumps({"server": house.server})))


@pytest.fixture(scope="module")
def window(house, contact):
    browser = Browser({"odoo": house.address("odoo")})
    try:
        browser.open("https://odoo/web/login")
        browser.fill("#login", "admin")
        password = house.run("odoo", "cat", "/root/odoo-admin-password").stdout.strip()
        browser.fill("#password", password)
        browser.click(".oe_login_form button[type=submit]")
        browser.find(".o_main_navbar")
        yield browser
    finally:
        browser.close()


@pytest.fixture
def browser(window):
    """The window, in which nothing may break in a test."""
    window.faults.clear()
    yield window
    assert window.faults == []


def test_the_call_log_is_a_list_a_graph_and_a_pivot(house, browser):
    house.sip_call("101", "102")
    house.await_record("asterisk_plus.call", [("src", "=", "101"), ("dst", "=", "102")], ["id"])

    browser.open("https://odoo/odoo/action-asterisk_plus.call_action")
    assert "102" in browser.text(".o_data_row .o_data_cell[name=dst]:has-text('102')")
    browser.shot("call-log")
    for view, shown in (("graph", "canvas"), ("pivot", "td:has-text('ANSWERED'), table")):
        browser.click(f".o_switch_view.o_{view}")
        browser.find(f".o_{view}_view {shown}")
        browser.shot(f"call-log-{view}")


def test_a_call_is_found_by_number_and_shown(browser):
    browser.open("https://odoo/odoo/action-asterisk_plus.call_action")
    other = ".o_data_row .o_data_cell[name=dst]:has-text('977')"
    browser.find(other)
    browser.fill(".o_searchview_input", "102")
    # Enter would be taken before the suggestions are there, and then searches for nothing.
    browser.click(".o_searchview_autocomplete .o-dropdown-item:has-text('Number')")
    browser.find(".o_searchview_facet:has-text('Number')")
    # The facet comes first, then the list anew: a click meanwhile may be on a row that goes.
    browser.gone(other)

    browser.click(".o_data_row .o_data_cell[name=dst]:has-text('102')")

    assert browser.text(".o_form_view [name=dst]") == "102"
    assert "PJSIP/101" in browser.text(".o_form_view [name=channel]")
    browser.shot("call")


def test_a_click_on_a_number_calls_it_and_tells_the_outcome(browser, contact):
    browser.open(f"https://odoo/odoo/contacts/{contact}")
    # Its link shows while the field is in use, wherever what loads meanwhile moves it.
    browser.click(".o_field_phone input")

    browser.click(".o_field_phone a")

    browser.notification("Your phone rings: pick it up to call 600")
    browser.notification("Your phone cannot be reached")
    browser.shot("click-to-call")


def test_a_click_on_a_call_calls_its_number_again(browser):
    browser.open("https://odoo/odoo/action-asterisk_plus.call_action")
    browser.click(".o_data_row .o_data_cell[name=dst]:has-text('977')")

    browser.click(".o_form_view [name=number] a.o_form_uri")

    browser.notification("Your phone rings: pick it up to call 977")


def test_the_servers_form_tests_the_connection(house, browser):
    browser.open(f"https://odoo/odoo/action-asterisk_plus.server_action/{house.server}")

    browser.click("button[name=action_test_connection]")

    browser.notification("Every hop works")
    browser.shot("server")


def test_a_new_key_is_asked_for_twice(house, browser):
    """It would end the one in the PBX's pillar."""
    browser.open(f"https://odoo/odoo/action-asterisk_plus.server_action/{house.server}")

    browser.click("button[name=action_new_agent_key]")

    assert "present key ends at once" in browser.text(".modal-body")
    browser.shot("new-agent-key")
