"""The Odoo developer: a module with an XML record and a method, and nothing else to be done."""

import json

import pytest

SETTINGS = "/var/cache/salt/minion/asterisk/settings.json"
MODULE = "asterisk_plus_example"
# What the last notifications said, as the browser gets them.
NOTIFICATIONS = """
import json
env.cr.execute("SELECT message FROM bus_bus ORDER BY id DESC LIMIT 20")
sent = [json.loads(message) for message, in env.cr.fetchall()]
print("RESULT " + json.dumps([
    one["payload"]["message"] for one in sent if one.get("type") == "simple_notification"
]))
"""
# In Odoo's shell, since JSON-2 keeps the name `context` for itself.
ORIGINATE = """
import json
server = env(user=env.ref("base.user_admin").id)["asterisk_plus.server"].browse({server})
jid = server.originate("600@from-internal", "Local", "{exten}", "from-internal")
env.cr.commit()
print("RESULT " + json.dumps(jid))
"""


def module_id(house):
    found = house.odoo("ir.module.module", "search", domain=[("name", "=", MODULE)])
    if not found:
        house.odoo("ir.module.module", "update_list")
        found = house.odoo("ir.module.module", "search", domain=[("name", "=", MODULE)])
    return found


def highest_id(house, model):
    last = house.odoo(model, "search", domain=[], order="id desc", limit=1)
    return last[0] if last else 0


def originate(house, exten):
    return house.odoo_shell(ORIGINATE.format(server=house.server, exten=exten))


def await_map(house, last_job, route):
    """Wait until the PBX was told to fetch the map, as Odoo's list of jobs shows it, and has it."""
    domain = [
        ("id", ">", last_job), ("fun", "=", "saltutil.refresh_pillar"), ("state", "=", "done"),
    ]  # fmt: skip
    house.await_record("asterisk_plus.job", domain, ["jid"])

    def taken():
        routes = json.loads(house.run("pbx1", "cat", SETTINGS).stdout)["events"].get(route, [])
        return "asterisk_calls.call" in [one.get("model") for one in routes]

    # The refresh is over later than the job that asks for it.
    house.await_that(taken, f"the module's route of {route} on pbx1")


def at_rest(house, button, module):
    """Install or uninstall a module when Odoo's own scheduled actions, once a minute, let it."""

    def done():
        try:
            house.odoo("ir.module.module", button, ids=module)
        except RuntimeError as error:
            if "processing a scheduled action" not in str(error):
                raise
            return False
        return True

    house.await_that(done, f"a moment for {button}")


@pytest.fixture(scope="module")
def example(house):
    """The example module, installed from Odoo's list of apps while everything runs."""
    module = module_id(house)
    last_job = highest_id(house, "asterisk_plus.job")
    at_rest(house, "button_immediate_install", module)
    await_map(house, last_job, "Cdr")
    yield
    at_rest(house, "button_immediate_uninstall", module)


def test_a_call_becomes_a_record_with_no_salt_command_in_between(house, example):
    house.sip_call("101", "102")

    record = house.await_record(
        "asterisk_calls.call",
        [("src", "=", "101")],
        ["dst", "disposition", "billsec", "uniqueid", "linkedid", "started"],
    )
    assert (record["dst"], record["disposition"]) == ("102", "ANSWERED")
    assert record["billsec"] >= 1
    own = house.await_record(
        "asterisk_plus.call", [("uniqueid", "=", record["uniqueid"])], ["started", "linkedid"]
    )
    assert (record["started"], record["linkedid"]) == (own["started"], own["linkedid"])


def test_a_record_that_is_saved_is_in_force_within_seconds(house, example):
    last_job = highest_id(house, "asterisk_plus.job")
    route = {"name": "Hangup", "model": "asterisk_calls.call", "method": "create_cdr"}
    saved = house.odoo("asterisk_plus.event", "create", vals_list=[route])
    try:
        await_map(house, last_job, "Hangup")
        house.sip_call("101", "102")

        # A Hangup has a channel and nothing else that this handler reads.
        domain = [("channel", "like", "PJSIP/101-"), ("src", "=", False)]
        house.await_record("asterisk_calls.call", domain, ["uniqueid"])
    finally:
        house.odoo("asterisk_plus.event", "unlink", ids=saved)


def test_originate_dials_by_way_of_odoo(house, example):
    job = house.await_job(originate(house, "600"))
    assert (job["state"], job["error"]) == ("done", False)


def test_whoever_dialled_is_told_why_there_is_no_call(house, example):
    house.await_job(originate(house, "999"))
    assert "Extension does not exist." in house.odoo_shell(NOTIFICATIONS)
