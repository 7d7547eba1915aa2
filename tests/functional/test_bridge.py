"""The engines in a real minion, between a scripted Asterisk and a scripted Odoo."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from tests.fake_ami import frame
from tests.functional.conftest import MAPPED, metadata

from pbxlib.lock import EngineLock


@pytest.fixture
def ask(minion, client):
    """Call a function on the minion as Odoo does: what it returned, and its exit code."""

    def call(function, *arguments, **others):
        answer = client.cmd("pbx1", function, arguments, full_return=True, timeout=30, **others)
        return answer["pbx1"]["ret"], answer["pbx1"].get("retcode")

    return call


@pytest.fixture
def restored(pillar, ask):
    """The pillar, put back after the test."""
    yield pillar
    pillar.write()
    ask("saltutil.refresh_pillar")


def happened(odoo, **data):
    """Wait until an item with these data took effect in Odoo; the item."""

    def match(item):
        return item["data"].items() >= data.items()

    odoo.wait_for(lambda odoo: any(match(item) for item in odoo.applied), 60)
    (item,) = [item for item in odoo.applied if match(item)]
    return item


# Actions


def test_an_action_on_the_command_line_is_answered_as_asterisk_does(minion):
    command = minion.salt_call_cli().run("asterisk.manager_action", '{"Action": "Ping"}')
    assert command.returncode == 0
    (reply,) = command.data
    assert reply["Response"] == "Success"
    assert reply["Ping"] == "Pong"
    assert reply["content"] == ""
    assert reply["ActionID"].startswith("action/")


def test_an_event_list_comes_with_its_reply(ask):
    reply, code = ask("asterisk.manager_action", {"Action": "CoreShowChannels"})
    assert [message.get("Channel") for message in reply[1:3]] == ["PJSIP/101-1", "PJSIP/102-1"]
    assert code == 0


def test_asterisks_error_is_returned_and_the_exit_code_tells(ask, ami):
    ami.answers["Originate"] = lambda peer, action: peer.refuse(action, "Extension does not exist.")
    (reply,), code = ask(
        "asterisk.manager_action", {"Action": "Originate", "Exten": "999", "Async": "true"}
    )
    assert (reply["Response"], reply["Message"]) == ("Error", "Extension does not exist.")
    assert code == 1


def test_an_action_that_is_not_allowed_never_reaches_asterisk(ask, ami):
    (reply,), code = ask("asterisk.manager_action", {"Action": "Command", "Command": "core stop"})
    assert "asterisk:ami:allow_actions" in reply["Message"]
    assert code == 1
    assert not [action for action in ami.actions if action["Action"] == "Command"]


@pytest.mark.parametrize("timeout", ["soon", 0, -1])
def test_a_timeout_that_is_none_is_refused_and_the_bridge_lives_on(ask, timeout):
    _reply, code = ask("asterisk.manager_action", {"Action": "Ping"}, f"timeout={timeout}")
    assert code != 0
    assert ask("asterisk.ping") == (True, 0)


@pytest.mark.parametrize("action", ["Ping", {}, {"Exten": "100"}, None])
def test_what_is_no_action_is_refused_with_an_example(ask, action):
    text, code = ask("asterisk.manager_action", action)
    assert '{"Action": "Ping"}' in str(text)
    assert code != 0


# Facts


def test_a_mapped_event_reaches_odoo_and_another_does_not(minion, ami, odoo):
    ami.send(frame("Event: Newchannel", Channel="PJSIP/1"))
    ami.send(frame("Event: Newstate", Channel="PJSIP/1"))
    item = happened(odoo, Event="Newstate", Channel="PJSIP/1")
    assert (item["model"], item["method"], item["name"]) == ("my.channel", "on_state", "Newstate")
    assert not [item for item in odoo.applied if item["data"].get("Event") == "Newchannel"]


def test_asterisk_is_asked_for_the_mapped_events_only(minion, ami):
    assert [action for action in ami.actions if "Newstate" in str(action.get("MatchCriteria"))]
    assert ami.received("Login")[0]["Events"] == "off"


def test_odd_events_do_not_stop_the_ones_that_follow(minion, ami, odoo):
    ami.send(b"Event: Newstate\r\nChannel: odd-\xf6-\\u0000\r\nChannel: twice\r\n\r\n")
    ami.send(frame("Event: Newstate", Channel="after-odd"))
    happened(odoo, Channel="after-odd")
    happened(odoo, Channel=["odd-\ufffd-\\u0000", "twice"])


def test_the_result_of_a_job_of_odoos_reaches_odoo(ask, odoo):
    ask("asterisk.ping", ret="odoo", metadata=metadata("token-2"))
    item = happened(odoo, token="token-2")
    assert item["kind"] == "result"
    assert (item["data"]["fun"], item["data"]["return"]) == ("asterisk.ping", True)
    assert item["data"]["jid"].isdigit()


def test_the_failure_of_a_job_of_odoos_reaches_odoo(ask, odoo):
    ask("test.exception", "no luck", ret="odoo", metadata=metadata("token-3"))
    item = happened(odoo, token="token-3")
    assert item["data"]["success"] is False
    assert item["data"]["retcode"] != 0
    assert "no luck" in item["data"]["return"]


def test_a_result_that_is_too_long_is_left_out_and_says_so(ask, odoo):
    text = "ж" * 150_000  # of two bytes each
    ask("test.echo", text, ret="odoo", metadata=metadata("token-4"))
    assert "longer than 262144" in happened(odoo, token="token-4")["data"]["return"]


def test_a_job_of_somebody_elses_is_not_returned_to_odoo(ask, odoo):
    ask("test.echo", "private", ret="odoo")
    ask("test.echo", "mine", ret="odoo", metadata=metadata("token-5"))
    happened(odoo, token="token-5")
    assert not [item for item in odoo.applied if item["data"].get("return") == "private"]


def test_a_bus_event_reaches_odoo_by_its_route(ask, odoo):
    assert ask("asterisk.bus_event", "salt/minion/pbx9/start", {"id": "pbx9"}) == (1, 0)
    item = happened(odoo, id="pbx9")
    assert item["model"] == "my.server"
    assert item["name"] == "salt/minion/*/start"
    assert item["data"]["tag"] == "salt/minion/pbx9/start"
    assert ask("asterisk.bus_event", "salt/job/1/ret", {"id": "pbx9"}) == (0, 0)


def test_while_odoo_is_away_the_outbox_grows_and_says_why(ask, ami, odoo):
    odoo.stop()
    try:
        ami.send(frame("Event: Newstate", Channel="while-away"))
        watch = Watch(lambda: ask("asterisk.outbox")[0])
        status = watch.until(lambda status: status["depth"] and status.get("error"))
        assert odoo.url in status["error"]
        assert status["next_try"] > 0
    finally:
        odoo.start()
    happened(odoo, Channel="while-away")


def test_what_was_set_aside_is_shown_sent_again_or_deleted_by_command(ask, ami, odoo):
    before, odoo.handler = odoo.handler, lambda item: ["refused", "no such route"]
    try:
        for name in ("aside-1", "aside-2", "aside-3"):
            ami.send(frame("Event: Newstate", Channel=name))
        watch = Watch(lambda: ask("asterisk.outbox_failed")[0])
        failed = watch.until(lambda failed: len(failed) == 3)
    finally:
        odoo.handler = before
    assert {item["error"] for item in failed} == {"no such route"}
    ids = {item["data"]["Channel"]: item["id"] for item in failed}

    assert ask("asterisk.outbox_drop")[1] != 0
    assert ask("asterisk.outbox_drop", ids["aside-1"]) == (1, 0)
    assert ask("asterisk.outbox_retry", ids["aside-2"]) == (1, 0)
    happened(odoo, Channel="aside-2")
    assert ask("asterisk.outbox_retry", "all") == (1, 0)
    happened(odoo, Channel="aside-3")
    assert ask("asterisk.outbox_failed") == ([], 0)


class Watch:
    """Ask until the answer is right: another process's state has no event to wait for."""

    def __init__(self, question):
        self._question = question

    def until(self, condition, times=600):
        for _ in range(times):
            answer = self._question()
            if condition(answer):
                return answer
            threading.Event().wait(0.1)
        raise AssertionError(f"at last: {answer}")


# Settings


def test_a_changed_map_is_taken_without_a_restart(restored, ask, ami, odoo):
    logins = len(ami.received("Login"))
    restored.write(events={"Newstate": [MAPPED], "Hangup": [MAPPED]})
    ask("saltutil.refresh_pillar")
    filtered(ami, "Hangup")
    ami.send(frame("Event: Hangup", Channel="PJSIP/hung-up"))
    happened(odoo, Channel="PJSIP/hung-up")
    assert len(ami.received("Login")) == logins


def test_a_map_that_changed_in_odoo_comes_by_its_serial(minion, ami, odoo):
    odoo.map = {"events": {"BridgeEnter": [MAPPED]}, "bus_events": {}}
    odoo.serial = "s2"
    ami.send(frame("Event: Newstate", Channel="brings the serial"))
    filtered(ami, "BridgeEnter")
    ami.send(frame("Event: BridgeEnter", Channel="PJSIP/bridged"))
    happened(odoo, Channel="PJSIP/bridged")


def filtered(ami, name):
    """Wait until Asterisk was asked for events of this name."""
    with ami._changed:
        assert ami._changed.wait_for(
            lambda: any(f"name({name})" in str(action) for action in ami.actions), 60
        ), ami.actions[-5:]


def test_a_bad_pillar_leaves_the_last_good_settings_and_is_told(restored, ask, ami, odoo):
    restored.write(events={"Newstate": [{**MAPPED, "condition": "event."}]}, oddo={})
    ask("saltutil.refresh_pillar")
    problems = Watch(lambda: ask("asterisk.settings_errors")[0]).until(bool)
    assert [line.split(": ")[0] for line in problems] == ["asterisk:oddo"]
    ami.send(frame("Event: Newstate", Channel="in spite of it"))
    happened(odoo, Channel="in spite of it")


def test_kept_settings_are_read_by_their_owner_only(minion, cache):
    assert {oct(file.stat().st_mode)[-3:] for file in cache.iterdir()} == {"600"}
    assert oct(cache.stat().st_mode)[-3:] == "700"


# The master's side


def test_the_pillar_has_the_last_map_of_odoo_while_odoo_is_away(master, minion, odoo):
    def events():
        shown = master.salt_run_cli().run("pillar.show_pillar", "pbx1")
        return shown.data["asterisk"]["events"], shown.data["asterisk"]["events_serial"]

    odoo.map = {"events": {"BridgeEnter": [MAPPED], "Newstate": [MAPPED]}, "bus_events": {}}
    assert events() == ({"Newstate": [MAPPED], "BridgeEnter": [MAPPED]}, odoo.serial)
    odoo.stop()
    try:
        assert events() == ({"Newstate": [MAPPED], "BridgeEnter": [MAPPED]}, odoo.serial)
    finally:
        odoo.start()


def test_the_runner_tells_each_pbx_in_a_line(master, minion):
    told = master.salt_run_cli().run("asterisk.status", "--out=txt")
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("pbx1")]
    assert "Asterisk 22.10.1, up " in line
    assert "2 channels, AMI connected" in line
    assert "outbox " in line


# One bridge


SECOND = """
import sys, salt.config, salt.loader, salt._logging
opts = salt.config.minion_config(sys.argv[1])
opts["grains"] = salt.loader.grains(opts)
salt._logging.setup_console_handler(log_level="warning")
salt.loader.engines(opts, None, None, None)["asterisk_ami.start"]()
"""


def test_a_second_bridge_waits_and_opens_no_second_session(minion, ami, ask):
    logins = len(ami.received("Login"))
    second = subprocess.Popen(
        [sys.executable, "-c", SECOND, minion.config["conf_file"]],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("waiting until it ends" in line for line in second.stderr)
    with pytest.raises(AssertionError, match="came"):
        ami.received("Login", count=logins + 1, timeout=2)
    assert ask("asterisk.ping") == (True, 0)
    second.kill()
    second.communicate()


def test_the_engines_of_a_killed_minion_leave_and_the_next_ones_take_over(minion, cache, ami, ask):
    logins = len(ami.received("Login"))
    locks = [str(cache / f"{name}.lock") for name in ("asterisk_ami", "odoo_outbox")]
    assert all(EngineLock.held(lock) for lock in locks)
    children = psutil.Process(minion.pid).children(recursive=True)
    os.kill(minion.pid, signal.SIGKILL)
    for lock in locks:
        Watch(lambda lock=lock: EngineLock.held(lock)).until(lambda held: not held)
    for child in children:  # the engine of pytest-salt-factories, which does not leave
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with contextlib.suppress(Exception):
        minion.terminate()
    minion.start()
    ami.received("Login", count=logins + 1, timeout=60)
    Watch(lambda: ask("asterisk.ping")).until(lambda answer: answer == (True, 0))
