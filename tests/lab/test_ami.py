"""The bridge on real Asterisk, 22 and 16: what breaks it, what goes through it, what does not."""

import datetime
import json
import re
import time

import pytest
from pbx import Pbx

VERSIONS = {"pbx1": "22.", "pbx16": "16."}
# A tenth of it is what noticing a silence may take of the machine's time.
PING_INTERVAL = 10
QUEUES = [f"sales-{number}" for number in range(40)]
ENDPOINTS = [str(number) for number in range(300, 360)]
LINES = 3000
PHONE = "+442079460123"
SETTINGS = {
    "ami": {
        "ping_interval": PING_INTERVAL,
        "allow_actions": ["Command"],
        "write": ["system", "call", "originate", "reporting", "agent", "user", "command"],
    },
    "events": {"UserEvent": [{}], "Cdr": [{}]},
    "endpoints": {name: {"auth": {"password": "not-a-secret"}} for name in ENDPOINTS},
    "config": {
        "manager.conf": {"general": {"channelvars": "LAB_CITY,LAB_NOTE"}},
        "queues.conf": {
            "general": {"persistentmembers": False},
            **{
                queue: {"member": [f"Local/{queue[6:]}{seat}@lab-ami" for seat in range(5)]}
                for queue in QUEUES
            },
        },
        "extensions.conf": {
            "lab-ami": [
                {"exten": "_[+0-9].,1,UserEvent(Dialled,Number: ${EXTEN})"},
                {"exten": "wait,1,Answer()"},
                {"same": ["n,Wait(60)", "n,Hangup()"]},
                {"exten": "slow,1,Wait(4)"},
                {"same": ["n,Answer()", "n,Wait(1)"]},
                {"exten": "city,1,Answer()"},
                {"same": ["n,Set(LAB_CITY=Zürich: 8001)", "n,Set(LAB_NOTE=a=b)"]},
                {"same": "n,UserEvent(City)"},
                {"exten": "count,1,Answer()"},
                {"same": ["n(next),Set(N=$[0${N}+1])", "n,UserEvent(Count,N: ${N})"]},
                {"same": ["n,Wait(0.02)", "n,GotoIf($[${N}<6000]?next)"]},
            ],
            "lab-many": {"exten": [f"{number},1,NoOp()" for number in range(1000, 1000 + LINES)]},
        },
    },
}

only_22 = pytest.mark.parametrize("pbx", ["pbx1"], indirect=True)


@pytest.fixture(scope="module", params=VERSIONS)
def pbx(request, house):
    """A PBX with the tests' dialplan and queues, and a bridge that pings often."""
    name = request.param
    if name != "pbx1":
        house.lab("up", name)
        house.write("hub", f"/srv/pillar/{name}.sls", '{"asterisk": {}}')
    with house.other_pillar(name, **SETTINGS):
        house.apply(name)
        house.await_bridge(name)
        pbx = Pbx(house, name)
        # A bridge that begins with the settings before these connects, too.
        house.await_that(lambda: "UserEvent" in pbx.map(), "the tests' settings")
        yield pbx
    house.apply(name)


def counted(pbx):
    """Names of AMI events with how often each has come over this AMI session."""
    return pbx.call("asterisk.stats")["events"]["read"]


def test_the_formula_installs_each_version_and_connects(pbx):
    status = pbx.call("asterisk.status")
    assert status["asterisk"].startswith(VERSIONS[pbx.name])
    assert status["ami"] == "connected"


# What breaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [["restart", "asterisk"], ["kill", "--signal=KILL", "asterisk"]],
    ids=["restarted", "killed"],
)
def test_the_bridge_is_back_after_asterisk_and_tells_the_gap(pbx, end):
    with pbx.listening() as ear:
        pbx.run("systemctl", *end)

        assert ear.await_state("disconnected")["reason"]
        connected = ear.await_state("connected")

    assert connected["gap"] > 0
    assert "reason" not in connected
    assert pbx.call("asterisk.ping") is True
    assert pbx.sessions() == 1


def test_a_silent_asterisk_is_noticed_within_two_ping_intervals(pbx):
    with pbx.listening() as ear:
        pbx.signal_asterisk("STOP")
        try:
            reason = ear.await_state("disconnected")["reason"]
        finally:
            pbx.signal_asterisk("CONT")
        connected = ear.await_state("connected")

    silence = float(re.search(r"said nothing for ([\d.]+) s", reason).group(1))
    assert PING_INTERVAL < silence <= 2 * PING_INTERVAL
    assert connected["gap"] >= silence
    pbx.house.await_that(lambda: pbx.sessions() == 1, "the end of the old session")


def test_an_action_in_flight_when_asterisk_dies_has_an_unknown_outcome(pbx):
    with pbx.listening() as ear:
        pbx.signal_asterisk("STOP")
        with pbx.asking({"Action": "UserEvent", "UserEvent": "Lost"}) as answers:
            pbx.signal_asterisk("KILL")
            (((reply,), _),) = answers()
        ear.await_state("connected")

        assert reply["Response"] == "Error"
        assert "Asterisk may have performed it" in reply["Message"]
        # It is not sent again: the first that is heard is the one that was sent after it.
        pbx.ask({"Action": "UserEvent", "UserEvent": "Next"})
        assert ear.await_event("UserEvent")["UserEvent"] == "Next"


def test_a_refused_login_names_its_setting_and_an_apply_mends_it(pbx):
    conf = "/etc/asterisk/manager.conf"
    with pbx.listening() as ear:
        pbx.run("sed", "-i", "s/^secret = .*/secret = another/", conf)
        pbx.run("systemctl", "restart", "asterisk")
        reason = ear.await_state("refused")["reason"]
        assert "asterisk:ami:secret differs from manager.conf" in reason

        states = pbx.house.apply(pbx.name)
        assert states["asterisk-manager.conf"]["changes"]
        ear.await_state("connected")


@only_22
def test_a_minion_that_was_killed_comes_back_with_one_bridge(pbx):
    before = pbx.bridges()
    assert len(before) == 1

    # The minion is two processes; what they started is left alone by KillMode=process.
    minion = "$(systemctl show -p MainPID --value salt-minion) $(cat /run/salt-minion.pid)"
    pbx.run("sh", "-c", f"kill -9 {minion}")

    def another():
        now = pbx.bridges()
        return len(now) == 1 and now[0][0] != before[0][0]

    pbx.house.await_that(another, "one bridge, and another one", 180)
    pbx.house.await_bridge(pbx.name)
    assert pbx.sessions() == 1


# What goes through ---------------------------------------------------------------------------


def test_fifty_pings_do_not_wait_for_a_slow_action(pbx):
    slow = {"Action": "Originate", "Channel": "Local/slow@lab-ami", "Application": "Hangup"}
    with pbx.asking(slow, *[{"Action": "Ping"}] * 50) as answers:
        (reply, slow_seconds), *pings = answers()

    assert reply[0]["Response"] == "Success"
    assert [reply[0]["Ping"] for reply, _ in pings] == ["Pong"] * 50
    assert slow_seconds > 3
    assert max(seconds for _, seconds in pings) < slow_seconds


def test_the_queues_come_whole(pbx):
    ((reply, *events, complete),) = pbx.ask({"Action": "QueueStatus"})

    assert reply["Response"] == "Success"
    assert complete["Event"] == "QueueStatusComplete"
    assert {event["Queue"] for event in events if event["Event"] == "QueueParams"} == set(QUEUES)
    members = [event["Name"] for event in events if event["Event"] == "QueueMember"]
    assert len(members) == len(set(members)) == 5 * len(QUEUES)


def test_the_endpoints_come_whole(pbx):
    endpoints = pbx.call("asterisk.endpoints")
    assert {endpoint["ObjectName"] for endpoint in endpoints} == {"101", "102", *ENDPOINTS}
    assert len(endpoints) == len(ENDPOINTS) + 2


def test_a_command_of_thousands_of_lines_comes_whole_and_in_order(pbx):
    lines = pbx.call("asterisk.command", "dialplan show lab-many")
    assert len(lines) > LINES
    assert lines == pbx.console("dialplan show lab-many").rstrip("\n").split("\n")


def test_channel_variables_come_as_a_dict(pbx):
    with pbx.listening() as ear:
        pbx.originate("city")
        event = ear.await_event("UserEvent", UserEvent="City")

    assert event["ChanVariable"] == {"LAB_CITY": "Zürich: 8001", "LAB_NOTE": "a=b"}


def test_call_records_come_with_times_in_utc(pbx):
    assert pbx.run("date", "+%z").stdout.strip() != "+0000"
    with pbx.listening() as ear:
        pbx.originate("slow", Data="0")
        cdr = ear.await_event("Cdr")

    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for header in ("StartTime", "AnswerTime", "EndTime"):
        ago = now - datetime.datetime.strptime(cdr[header], "%Y-%m-%d %H:%M:%S")
        assert datetime.timedelta(seconds=-1) < ago < datetime.timedelta(minutes=1), header


@pytest.mark.parametrize("number", [PHONE, "0123"])
@pytest.mark.parametrize("way", ["salt-call", "salt", "runner"])
def test_a_number_in_an_action_is_dialled_as_it_was_written(pbx, way, number):
    action = {"Action": "Originate", "Channel": "Local/wait@lab-ami", "Async": "true"}
    action.update(Context="lab-ami", Exten=number, Priority=1)
    with pbx.listening() as ear:
        if way == "salt-call":
            reply = pbx.call("asterisk.manager_action", json.dumps(action))
        elif way == "salt":
            reply = pbx.house.salt(pbx.name, "asterisk.manager_action", json.dumps(action))
        else:
            job = ["asterisk.job", pbx.name, "asterisk.manager_action", "wait=20"]
            done = pbx.house.run(
                "hub", "salt-run", "--out=json", *job, f"arg={json.dumps([action])}"
            )
            reply = json.loads(done.stdout)[pbx.name]

        assert reply[0]["Response"] == "Success"
        assert ear.await_event("UserEvent", UserEvent="Dialled")["Number"] == number


@only_22
@pytest.mark.parametrize("written", [PHONE, "0123"])
def test_a_number_without_quotes_is_refused_with_the_way_to_write_it(pbx, written):
    action = f"{{Action: Originate, Channel: Local/wait@lab-ami, Exten: {written}}}"
    done = pbx.run("salt-call", "asterisk.manager_action", action, check=False)

    assert done.returncode != 0
    assert "Header 'Exten' came as the bare number" in done.stdout
    assert "Quote it" in done.stdout


# What does not -------------------------------------------------------------------------------


def test_asterisk_sends_no_event_that_is_in_no_route(pbx):
    before = counted(pbx)
    with pbx.listening() as ear:
        pbx.originate("city")
        ear.await_event("UserEvent", UserEvent="City")
        ear.await_event("Cdr")
    after = counted(pbx)

    crossed = {name for name, count in after.items() if count > before.get(name, 0)}
    assert {"UserEvent", "Cdr"} <= crossed
    assert crossed <= {*pbx.map(), "OriginateResponse", "FullyBooted", "Shutdown"}


def test_a_wider_map_is_in_force_within_seconds_and_no_event_is_lost(pbx):
    before = pbx.call("asterisk.stats")["connections"], pbx.bridges()[0][0]
    with pbx.listening() as ear:
        pbx.originate("count", Data="60")
        channel = ear.await_event("UserEvent", UserEvent="Count", N="1")["Channel"]
        with pbx.house.other_pillar(pbx.name, events={"LocalBridge": [{}]}):
            # The refresh is over later than the job that asks for it.
            pbx.house.await_that(lambda: "LocalBridge" in pbx.map(), "the wider map")
            pbx.originate("wait")
            ear.await_event("LocalBridge")
        pbx.ask({"Action": "Hangup", "Channel": channel})
        ear.await_event("Cdr", Channel=channel)
        numbers = [int(event["N"]) for event in ear.past if event.get("UserEvent") == "Count"]
    after = pbx.call("asterisk.stats")["connections"], pbx.bridges()[0][0]

    assert after == before
    assert numbers == list(range(1, len(numbers) + 1))


@only_22
def test_a_class_that_the_formula_grants_is_read_at_once(pbx):
    with pbx.house.other_pillar(pbx.name, events={"VarSet": [{}]}):
        missing = "VarSet (dialplan)"
        pbx.house.await_that(
            lambda: missing in pbx.call("asterisk.stats")["not_granted"], "a report of VarSet"
        )
        with pbx.listening() as ear:
            states = pbx.house.apply(pbx.name)
            assert states["asterisk-manager.conf"]["changes"]
            assert not states["asterisk-bridge-restart"]["changes"]
            ear.await_state("connected")
            pbx.originate("city")
            assert ear.await_event("VarSet", Variable="LAB_NOTE")["Value"] == "a=b"
        assert pbx.call("asterisk.stats")["not_granted"] == []


@only_22
def test_an_idle_bridge_uses_no_measurable_cpu(pbx):
    # To take the settings back that a test before has changed is work, too.
    pbx.house.await_that(lambda: "VarSet" not in pbx.map(), "the settings of this module")
    ((_, before),) = pbx.bridges()
    time.sleep(3 * PING_INTERVAL)  # pings of Asterisk are in it
    ((_, after),) = pbx.bridges()

    assert after - before <= 9, "of 3000 ticks"


def test_a_recorded_transcript_is_checked_without_master_or_asterisk(pbx):
    transcript = "/srv/asterisk-formula/tests/unit/transcripts/asterisk22-call.txt"
    done = pbx.run("salt-call", "--local", "--out=json", "asterisk.events_check", transcript)

    events = json.loads(done.stdout)["local"]
    taken = {event["event"] for event in events if event["routes"]}
    assert {"Cdr", "UserEvent"} <= taken <= pbx.map()
    assert "VarSet" in {event["event"] for event in events}
