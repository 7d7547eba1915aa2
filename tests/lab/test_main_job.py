"""From a bare PBX to a call record in Odoo, and back: the main job on real parts."""

import csv
import datetime

import pytest

CDR_FILE = "/var/log/asterisk/cdr-custom/asterisk-formula.csv"
# The order in which the formula has Asterisk write its own CDR file.
CDR_COLUMNS = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp",
    "lastdata", "started", "answered", "ended", "duration", "billsec", "disposition",
    "amaflags", "uniqueid", "userfield", "sequence", "linkedid",
)  # fmt: skip
ORIGINATE = {
    "Action": "Originate",
    "Channel": "Local/600@from-internal",
    "Context": "from-internal",
    "Exten": "600",
    "Priority": "1",
    "Timeout": 10000,
    "Async": "true",
}


def cdr_rows(house):
    """Asterisk's own records, as dicts, oldest first."""
    text = house.run("pbx1", "cat", CDR_FILE, check=False).stdout
    return [dict(zip(CDR_COLUMNS, row)) for row in csv.reader(text.splitlines())]


def as_utc(epoch):
    """Asterisk's epoch seconds as Odoo writes a time; no answer has no time."""
    if not float(epoch or 0):
        return False
    moment = datetime.datetime.fromtimestamp(float(epoch), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def test_asterisk_and_the_minion_run_under_systemd(house):
    states = house.run("pbx1", "systemctl", "is-active", "asterisk", "salt-minion").stdout
    assert states.split() == ["active", "active"]


def test_a_second_apply_changes_nothing_and_restarts_nothing(house):
    house.apply()
    show = ["systemctl", "show", "-p", "MainPID,InvocationID", "asterisk", "salt-minion"]
    before = house.run("pbx1", *show).stdout

    states = house.apply()

    assert {key: state["changes"] for key, state in states.items() if state["changes"]} == {}
    assert house.run("pbx1", *show).stdout == before


def test_an_action_from_the_shell_answers_as_the_guide_shows(house):
    reply = house.call("pbx1", "asterisk.manager_action", '{"Action":"Ping"}')

    assert len(reply) == 1
    assert reply[0]["Response"] == "Success"
    assert reply[0]["Ping"] == "Pong"
    assert reply[0]["content"] == ""
    assert {"ActionID", "Timestamp"} <= reply[0].keys()


def test_the_command_line_fails_when_asterisk_answers_with_an_error(house):
    action = '{"Action":"Hangup","Channel":"PJSIP/nobody-1"}'
    done = house.run("pbx1", "salt-call", "asterisk.manager_action", action, check=False)

    assert done.returncode != 0
    assert "No such channel" in done.stdout


def test_a_sip_call_becomes_the_record_that_asterisk_wrote_itself(house):
    known = {(row["uniqueid"], row["sequence"]) for row in cdr_rows(house)}

    house.sip_call("101", "102")

    def new():
        return [row for row in cdr_rows(house) if (row["uniqueid"], row["sequence"]) not in known]

    # Asterisk writes it when the phones have hung up already.
    (own,) = house.await_that(new, "a record in Asterisk's own file")
    record = house.await_record(
        "asterisk_plus.call",
        [("uniqueid", "=", own["uniqueid"]), ("sequence", "=", int(own["sequence"]))],
        ["src", "dst", "started", "answered", "ended", "duration", "billsec", "disposition",
         "linkedid", "server_id"],
    )  # fmt: skip
    assert record["src"] == own["src"] == "101"
    assert record["dst"] == own["dst"] == "102"
    assert record["disposition"] == own["disposition"] == "ANSWERED"
    for time in ("started", "answered", "ended"):
        assert record[time] == as_utc(own[time]), time
    assert record["duration"] == int(own["duration"])
    assert record["billsec"] == int(own["billsec"])
    assert record["linkedid"] == own["linkedid"]
    assert record["server_id"][0] == house.server


def test_a_job_of_odoo_comes_back_to_its_callback(house):
    job = house.await_job(house.originate(house.server, ORIGINATE))

    assert job["state"] == "done"
    assert "Originate successfully queued" in job["result"]


def test_the_callback_hears_asterisks_error(house):
    job = house.await_job(house.originate(house.server, dict(ORIGINATE, Exten="999")))

    assert job["state"] == "error"
    assert "Extension does not exist." in job["result"]


def test_a_minions_start_reaches_odoo(house):
    before = house.server_record(house.server)
    house.run("pbx1", "systemctl", "restart", "salt-minion")

    house.await_that(lambda: house.server_record(house.server) != before, "a later start")
    house.await_bridge()


def test_the_runner_prints_a_line_for_each_pbx(house):
    lines = house.run("hub", "salt-run", "asterisk.status").stdout.splitlines()

    # Other tests may have brought other PBXs up.
    names = [line.partition(":")[0] for line in lines]
    assert len(names) == len(set(names))
    (line,) = [line for line in lines if line.startswith("pbx1: ")]
    assert line.startswith("pbx1: Asterisk 22.")
    assert "channels, AMI connected, outbox " in line


def test_the_map_of_odoo_is_in_the_pillar(house):
    events = house.call("pbx1", "pillar.get", "asterisk:events", "unmask=True")
    assert {"model": "asterisk_plus.call", "method": "create_cdrs"}.items() <= events["Cdr"][
        0
    ].items()


def runner_job(**kwarg):
    return {"client": "runner", "fun": "asterisk.job", "kwarg": {"minion": "pbx1", **kwarg}}


@pytest.mark.parametrize(
    "forbidden",
    [
        {"client": "local_async", "tgt": "pbx1", "fun": "cmd.run", "arg": ["id"]},
        # Salt's own access list lets this one pass: one of the functions is harmless.
        {
            "client": "local_async",
            "tgt": "pbx1",
            "fun": ["cmd.run", "test.ping"],
            "arg": [["id"], []],
        },
        {"client": "local", "tgt": "pbx1", "fun": "test.ping"},
        {"client": "runner", "fun": "saltutil.sync_all"},
        {"client": "runner", "fun": "asterisk.jobs"},
        {"client": "wheel", "fun": "key.list_all"},
        runner_job(fun="cmd.run", arg=["id"]),
        runner_job(fun=["cmd.run", "test.ping"], arg=[["id"], []]),
        runner_job(fun="asterisk.manager_actionx"),
        runner_job(fun="test.ping", minion="*"),
        runner_job(fun="test.ping", minion=["pbx1", "hub"]),
        runner_job(fun="test.ping", jid="../../evil"),
    ],
    ids=str,
)
def test_odoos_account_may_not_do_more_than_the_addon_does(house, forbidden):
    status, body = house.salt_api(forbidden)
    refused = status in (400, 401, 403, 500) or set(body["return"][0]) == {"error"}
    assert refused, (status, body)


def test_odoos_account_may_have_a_minion_pinged(house):
    status, body = house.salt_api(runner_job(fun="test.ping", wait=10))
    assert (status, body["return"]) == (200, [{"pbx1": True}])


def test_an_unknown_minion_is_told_from_a_job_that_was_sent(house):
    status, body = house.salt_api(runner_job(fun="test.ping", minion="nobody"))
    assert (status, body["return"]) == (200, [{}])
