"""What a person does in Odoo: the server's buttons, and a click on a number."""

import json

import pytest

NOTIFICATIONS = """
import json
env.cr.execute("SELECT message FROM bus_bus WHERE id > {after} ORDER BY id")
sent = [json.loads(message) for message, in env.cr.fetchall()]
print("RESULT " + json.dumps([
    one["payload"]["message"] for one in sent if one.get("type") == "simple_notification"
]))
"""
LAST = """
import json
env.cr.execute("SELECT coalesce(max(id), 0) FROM bus_bus")
print("RESULT " + json.dumps(env.cr.fetchone()[0]))
"""
# Which phone the administrator has.
PHONE = """
import json
given = json.loads({given!r})
phones = env["asterisk_plus.user"]
phones.search([]).unlink()
phones.create({{"user_id": env.ref("base.user_admin").id, **given}})
env.cr.commit()
print("RESULT true")
"""


@pytest.fixture
def notified(house):
    """Wait for a notification that holds some words: its text."""
    after = house.odoo_shell(LAST)

    def wait(words):
        def look():
            sent = house.odoo_shell(NOTIFICATIONS.format(after=after))
            return [message for message in sent if words in message]

        return house.await_that(look, f"a notification with {words!r}", 180)[0]

    return wait


def press(house, button):
    return house.odoo("asterisk_plus.server", button, ids=[house.server])


def give_phone(house, channel):
    given = {"server_id": house.server, "exten": "101", "channel": channel}
    house.odoo_shell(PHONE.format(given=json.dumps(given)))


def test_the_connection_test_goes_there_and_back(house, notified):
    answer = press(house, "action_test_connection")

    assert "Asterisk answer" in answer["params"]["message"]
    notified("Every hop works")


def test_refresh_shows_the_pbx(house, notified):
    press(house, "action_refresh")

    notified("Asterisk 22.")
    fields = ["state", "asterisk", "ami", "channels", "outbox_failed"]
    shown = house.odoo("asterisk_plus.server", "read", ids=[house.server], fields=fields)[0]
    assert shown["asterisk"].startswith("22.")
    assert (shown["state"], shown["ami"]) == ("online", "connected")


def test_the_servers_page_follows_its_asterisk(house):
    def shows(state):
        found = house.odoo("asterisk_plus.server", "read", ids=[house.server], fields=["state"])
        return found[0]["state"] == state

    house.run("pbx1", "systemctl", "stop", "asterisk")
    try:
        house.await_that(lambda: shows("trouble"), "the page to say that Asterisk is away", 180)
    finally:
        house.run("pbx1", "systemctl", "start", "asterisk")
    house.await_that(lambda: shows("online"), "the page to say that Asterisk is back", 180)


def test_reload_reaches_asterisk(house, notified):
    press(house, "action_reload")
    notified("Asterisk has reloaded.")


def test_who_clicks_a_number_hears_why_there_is_no_call(house, notified):
    give_phone(house, "PJSIP/nobody")

    message = house.odoo("asterisk_plus.user", "dial", number="600")

    assert "call 600" in message
    notified("Your phone cannot be reached")


@pytest.fixture(scope="module")
def stopped_minion(house):
    house.run("pbx1", "systemctl", "stop", "salt-minion")
    yield
    house.run("pbx1", "systemctl", "start", "salt-minion")
    house.await_bridge()


def test_a_stopped_minion_is_named_as_the_hop_that_fails(house, stopped_minion):
    with pytest.raises(RuntimeError, match="from salt-api to the minion: pbx1 did not answer"):
        press(house, "action_test_connection")


def test_the_callback_of_a_job_comes_though_its_minion_is_stopped(house, stopped_minion, notified):
    admin = house.odoo("res.users", "search", domain=[("login", "=", "admin")])[0]
    jid = house.odoo(
        "asterisk_plus.server", "local_job", ids=[house.server], fun="test.ping", timeout=1,
        res_model="asterisk_plus.server", res_method="on_way_back", pass_back={"uid": admin},
    )  # fmt: skip
    # Odoo looks once a minute for what came to nothing: not in this test.
    crons = house.odoo("ir.cron", "search", domain=[("model_id.model", "=", "asterisk_plus.job")])

    def ended():
        try:
            house.odoo("ir.cron", "method_direct_trigger", ids=crons)
        except RuntimeError as error:
            # It is Odoo's minute just now.
            if "already executing" not in str(error):
                raise
        wanted = [("jid", "=", jid), ("state", "=", "error")]
        return house.odoo("asterisk_plus.job", "search", domain=wanted)

    house.await_that(ended, "the end of the job")
    notified("The connection breaks from the PBX to Odoo: pbx1 did not answer within 1 s.")
