"""Odoo as a person sees it, in a real browser; screenshots go to artifacts/."""

import json
import shutil

import pytest
from browser import Browser

SEED = """
import json
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
env.cr.commit()
print("RESULT " + json.dumps(ada.id))
"""
LOG_IN = """
document.querySelector("#login").value = "admin";
document.querySelector("#password").value = arguments[0];
document.querySelector("form.oe_login_form").submit();
"""


@pytest.fixture(scope="module")
def contact(house):
    """A contact whose number is extension 600; the administrator's phone is not there."""
    return house.odoo_shell(SEED.format(given=json.dumps({"server": house.server})))


@pytest.fixture(scope="module")
def browser(house, contact):
    if not shutil.which("chromedriver"):
        pytest.skip("no browser here: apt-get install chromium chromium-driver")
    window = Browser({"odoo": house.address("odoo")})
    try:
        window.open("https://odoo/web/login")
        window.find("#login")
        window.run(LOG_IN, house.run("odoo", "cat", "/root/odoo-admin-password").stdout.strip())
        window.find(".o_main_navbar")
        yield window
    finally:
        window.close()


def test_the_call_log_is_a_list_a_graph_and_a_pivot(house, browser):
    house.sip_call("101", "102")
    house.await_record("asterisk_plus.call", [("src", "=", "101"), ("dst", "=", "102")], ["id"])

    browser.open("https://odoo/odoo/action-asterisk_plus.call_action")
    browser.find(".o_list_view .o_data_row")
    browser.shot("call-log")
    for view in ("graph", "pivot"):
        browser.click(f".o_switch_view.o_{view}")
        browser.find(f".o_{view}_view canvas, .o_{view}_view table")
        browser.shot(f"call-log-{view}")


def test_a_click_on_a_number_calls_it_and_tells_the_outcome(browser, contact):
    browser.open(f"https://odoo/odoo/contacts/{contact}")

    browser.click(".o_field_phone a")

    browser.notification("Your phone rings: pick it up to call 600")
    browser.notification("Your phone cannot be reached")
    browser.shot("click-to-call")


def test_the_servers_form_tests_the_connection(house, browser):
    browser.open(f"https://odoo/odoo/action-asterisk_plus.server_action/{house.server}")

    browser.click("button[name=action_test_connection]")

    browser.notification("Every hop works")
    browser.shot("server")


def test_a_new_key_is_asked_for_twice(house, browser):
    """It would end the one in the PBX's pillar."""
    browser.open(f"https://odoo/odoo/action-asterisk_plus.server_action/{house.server}")

    browser.click("button[name=action_new_agent_key]")

    text = browser.await_that("return document.querySelector('.modal-body')?.textContent")
    assert "present key ends at once" in text
    browser.shot("new-agent-key")
