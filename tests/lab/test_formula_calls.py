"""The formula beside real calls: what it changes drops none, and what it does not manage stays."""

import contextlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from house import HERE
from pbx import Pbx
from phones import SCENARIOS, Phone

BY_HAND = "/etc/asterisk/by-hand.conf"
WRITTEN_BY_HAND = "[general]\ncolour = red ; Ada's\n"
STATES = f"""
forward:
  asterisk.db_present:
    - name: CFU/101
    - value: 'say "0123; \\ $(id)"'
no-other-forward:
  asterisk.db_absent:
    - name: CFU/102
member:
  asterisk.queue_member:
    - name: PJSIP/102
    - queue: lab-support
    - penalty: 2
    - membername: Grace (the "admiral") Hopper
    - paused: true
no-other-member:
  asterisk.queue_member_absent:
    - name: PJSIP/109
    - queue: lab-support
phone:
  asterisk.endpoint_registered:
    - name: '102'
by-hand:
  asterisk.config:
    - name: {BY_HAND}
    - sections:
        general: {{colour: green}}
"""


@pytest.fixture(scope="module")
def pbx(house):
    queues = {"general": {"persistentmembers": False}, "lab-support": {"strategy": "ringall"}}
    with house.other_pillar("pbx1", config={"queues.conf": queues}):
        pbx = Pbx(house, "pbx1")
        apply(pbx)
        yield pbx
    apply(pbx)


def apply(pbx, sls="service", *arguments):
    """State id -> what became of it, for one SLS of the formula."""
    result = pbx.house.salt(pbx.name, "state.apply", f"asterisk-formula.{sls}", *arguments)
    assert [state["comment"] for state in result.values() if state["result"] is False] == []
    return {state["__id__"]: state for state in result.values()}


def changed(states):
    return {name for name, state in states.items() if state["changes"]}


def channels(pbx):
    """The names of the channels that talk."""
    lines = pbx.console("core show channels concise").splitlines()
    return {line.split("!")[0] for line in lines if "!Up!" in line}


# How the calling scenario goes on when it waits for the other side to hang up.
UNTIL_BYE = """  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

  ]]></send>
</scenario>
"""


@contextlib.contextmanager
def talking(pbx):
    """Phone 101 talks with phone 102 until Asterisk hangs up: the names of their channels.

    Raises ``AssertionError`` when the call did not go its way to the end.
    """
    house = pbx.house
    Phone(house, pbx.name, "101")
    Phone(house, pbx.name, "102").register()
    scenario = (HERE / "sipp/call.xml").read_text().split("  <pause/>")[0] + UNTIL_BYE
    house.write("hub", "/root/talk.xml", scenario)
    phones = [_sipp(house, pbx, f"{SCENARIOS}/answer.xml", "102", "-p", "5102", "-mp", "6200")]
    try:
        house.await_that(lambda: ":5102" in house.run("hub", "ss", "-lun").stdout, "a phone")
        options = ["-p", "5101", "-mp", "6100", "-s", "102"]
        phones.append(_sipp(house, pbx, "/root/talk.xml", "101", *options))
        house.await_that(lambda: len(channels(pbx)) == 2, "a call")
        yield channels(pbx)
        said = [phone.communicate(timeout=60)[0][-2000:] for phone in phones]
        assert [phone.returncode for phone in phones] == [0, 0], said
    finally:
        for phone in phones:
            phone.kill()
            phone.wait()


def _sipp(house, pbx, scenario, user, *options):
    command = ["sipp", house.address(pbx.name), "-i", house.address("hub"), "-sf", scenario]
    command += ["-inf", f"/root/phone-{user}.csv", "-nostdin", "-m", "1", "-timeout", "600"]
    return subprocess.Popen(
        [HERE / "lab", "exec", "hub", "--", *command, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def waits_for_calls(pbx):
    """Whether Asterisk has been told to restart when the last channel has ended."""
    return not pbx.run("pgrep", "-f", "core restart when convenient", check=False).returncode


def test_a_call_survives_a_changed_endpoint_and_a_restart_waits_for_its_end(pbx):
    house = pbx.house
    options = {"asterisk.conf": {"options": {"systemname": "lab"}}}
    with ThreadPoolExecutor() as threads, talking(pbx) as call:
        with house.other_pillar(endpoints={"102": {"callerid": '"Admiral Hopper" <102>'}}):
            states = apply(pbx)
            assert changed(states) == {"asterisk-pjsip.conf", "asterisk-reload-res_pjsip.so"}
            assert "Admiral Hopper" in pbx.console("pjsip show endpoint 102")
            assert channels(pbx) == call

        with house.other_pillar(config=options, restart={"wait": "10m"}):
            applying = threads.submit(apply, pbx)
            house.await_that(lambda: waits_for_calls(pbx), "a restart that waits", 120)
            assert channels(pbx) == call
            pbx.console(f"channel request hangup {min(call)}")
            restart = applying.result()["asterisk-restart"]
    assert restart["changes"] == {"restarted": "asterisk"}
    assert "when its 2 channels had ended" in restart["comment"]
    assert pbx.console("core show settings").split("System name:")[1].split()[0] == "lab"


def test_what_was_changed_by_hand_is_told_and_put_right_and_other_files_stay(pbx):
    pbx.run("sed", "-i", "s/^strategy = .*/strategy = random/", "/etc/asterisk/queues.conf")
    pbx.run("sed", "-i", "s/^password = .*/password = by-hand-secret/", "/etc/asterisk/pjsip.conf")
    pbx.run("tee", BY_HAND, stdin=WRITTEN_BY_HAND)
    before = pbx.run("sh", "-c", "cd /etc/asterisk; md5sum *.conf").stdout

    states = apply(pbx, "config", "test=True")
    assert "+strategy = ringall" in states["asterisk-queues.conf"]["changes"]["diff"]
    assert states["asterisk-pjsip.conf"]["result"] is None
    assert "by-hand-secret" not in json.dumps(states)
    assert pbx.run("sh", "-c", "cd /etc/asterisk; md5sum *.conf").stdout == before

    # With a changed transport, which a reload would leave as it was.
    with pbx.house.other_pillar(config={"pjsip.conf": {"transport-udp": {"bind": "0.0.0.0:5066"}}}):
        states = apply(pbx)
    assert {"asterisk-queues.conf", "asterisk-pjsip.conf"} <= changed(states)
    assert pbx.run("cat", BY_HAND).stdout == WRITTEN_BY_HAND
    assert "by-hand-secret" not in pbx.run("cat", "/etc/asterisk/pjsip.conf").stdout
    assert "ringall" in pbx.console("queue show lab-support")
    assert states["asterisk-transports"]["changes"] == {"not in force": ["transport transport-udp"]}
    assert ":5066" in pbx.run("ss", "-lun").stdout
    assert ":5060" not in pbx.run("ss", "-lun").stdout


def test_what_was_written_and_not_put_in_force_is_made_up_for(pbx):
    apply(pbx)
    # As after an apply that ended between the file and its reload.
    pbx.run("sed", "-i", "s/^strategy = .*/strategy = random/", "/etc/asterisk/queues.conf")
    pbx.console("module reload app_queue.so")
    apply(pbx, "config")
    assert "random" in pbx.console("queue show lab-support")
    assert changed(apply(pbx)) == {"asterisk-reload-app_queue.so"}
    assert "ringall" in pbx.console("queue show lab-support")
    assert changed(apply(pbx)) == set()

    pbx.run("touch", "/etc/asterisk/modules.conf", "/etc/asterisk/asterisk.conf")
    assert changed(apply(pbx)) == {"asterisk-restart"}
    assert changed(apply(pbx)) == set()


def test_the_states_alone_act_on_a_real_asterisk_once(pbx):
    pbx.console("database deltree CFU")
    pbx.console("database put CFU 102 0123")
    pbx.console("queue remove member PJSIP/102 from lab-support")
    pbx.run("tee", BY_HAND, stdin=WRITTEN_BY_HAND)
    # For five minutes; an earlier test's may be over.
    Phone(pbx.house, pbx.name, "102").register()
    first, second = (
        {state["__id__"]: state for state in pbx.call("state.template_str", STATES).values()}
        for _ in range(2)
    )
    assert {state["result"] for state in [*first.values(), *second.values()]} == {True}
    assert changed(first) == {"forward", "no-other-forward", "member", "by-hand"}
    assert changed(second) == set()
    assert pbx.console("database get CFU 101") == 'Value: say "0123; \\ $(id)"\n'
    assert 'Grace (the "admiral") Hopper (PJSIP/102)' in pbx.console("queue show lab-support")
    assert pbx.run("cat", BY_HAND).stdout == "[general]\ncolour = green ; Ada's\n"
