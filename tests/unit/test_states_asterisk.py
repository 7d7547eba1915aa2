"""The state module by itself: honest changes, nothing done under test=True, no exception."""

import importlib.util
import os
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

STATES = Path(__file__).resolve().parents[2] / "_states"


class Console:
    """Asterisk's console: answers by command, and a list of what was asked.

    An answer that is a list gives one after another, and goes on with its last.
    """

    def __init__(self, **answers):
        self.answers = {name.replace("_", " "): text for name, text in answers.items()}
        self.asked = []

    def run_all(self, command, python_shell, timeout=None, **options):
        assert command[:2] == ["asterisk", "-rx"]
        assert python_shell is False
        assert options["output_loglevel"] == "quiet"
        self.asked.append(command[2])
        for start, text in self.answers.items():
            if command[2].startswith(start):
                if isinstance(text, list):
                    text = text.pop(0) if len(text) > 1 else text[0]
                return {"retcode": 0, "stdout": text + "\n", "stderr": ""}
        return {"retcode": 1, "stdout": "", "stderr": "Unable to connect to remote asterisk"}


@pytest.fixture
def states(tmp_path):
    spec = importlib.util.spec_from_file_location("states_asterisk", STATES / "asterisk.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {
        "test": False,
        "cachedir": str(tmp_path / "cache"),
    }
    module.__salt__ = {}
    module.__running__ = {}
    return module


def asterisk(states, **answers):
    console = Console(**answers)
    states.__salt__["cmd.run_all"] = console.run_all
    return console


def test_a_module_that_is_loaded_is_reloaded(states):
    console = asterisk(states, module_reload="Module 'cdr' reloaded successfully.")
    ret = states.reloaded("cdr")
    assert (ret["result"], ret["changes"]) == (True, {"reloaded": "cdr"})
    assert console.asked == ["module reload cdr"]


def test_the_bridge_logs_in_anew_after_its_account_was_changed(states):
    asterisk(states, module_reload="Module 'manager' reloaded successfully.")
    fired = []
    states.__salt__["event.fire"] = lambda data, tag: fired.append(tag)
    assert states.reloaded("manager")["result"] is True
    assert fired == ["asterisk/ami/reconnect"]


def test_a_module_that_had_no_configuration_at_the_start_is_loaded(states):
    console = asterisk(
        states,
        module_reload="The module 'cdr_custom.so' was not properly initialized.",
        module_load="Loaded cdr_custom.so",
    )
    assert states.reloaded("cdr_custom.so")["result"] is True
    assert console.asked == ["module reload cdr_custom.so", "module load cdr_custom.so"]


def test_a_module_that_cannot_be_loaded_is_a_failure_without_changes(states):
    asterisk(
        states, module_reload="No such module 'x.so'", module_load="Unable to load module x.so"
    )
    ret = states.reloaded("x.so")
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "x.so was not reloaded" in ret["comment"]


def test_an_asterisk_that_does_not_run_is_a_failure_in_its_own_words(states):
    asterisk(states)
    ret = states.reloaded("cdr")
    assert ret["result"] is False
    assert "Unable to connect to remote asterisk" in ret["comment"]


def test_asterisk_restarts_at_once_when_no_channel_is_up(states):
    asterisk(states, core_show="0 active channels\n0 active calls\n12 calls processed")
    restarts = []
    states.__salt__["service.restart"] = lambda name: restarts.append(name) or True
    assert states.restarted("asterisk")["changes"] == {"restarted": "asterisk"}
    assert restarts == ["asterisk"]


def test_a_service_that_does_not_start_is_told_and_is_no_traceback(states):
    def restart(name):
        raise CommandExecutionError("Job for asterisk.service failed")

    asterisk(states, core_show="0 active channels\n0 active calls\n12 calls processed")
    states.__salt__["service.restart"] = restart
    ret = states.restarted("asterisk")
    assert ret["result"] is False
    assert "Job for asterisk.service failed" in ret["comment"]


TALKING = "1 active channel\n1 active call\n3 calls processed"
QUIET = "0 active channels\n0 active calls\n3 calls processed"


def test_a_restart_waits_for_the_calls_and_tells_that_it_was_made(states):
    console = asterisk(
        states,
        core_show_channels=TALKING,
        core_restart="Waiting for inactivity to perform restart",
        core_show_uptime="System uptime: 0\nLast reload: 0",
        core_waitfullybooted="Asterisk has fully booted.",
    )
    ret = states.restarted("asterisk", wait="10s")
    assert (ret["result"], ret["changes"]) == (True, {"restarted": "asterisk"})
    assert "when its 1 channels had ended" in ret["comment"]
    assert console.asked[-1] == "core waitfullybooted"


def test_a_restart_that_calls_hold_up_too_long_is_left_to_asterisk_and_told(states):
    console = asterisk(
        states,
        core_show_channels=TALKING,
        core_restart="Waiting for inactivity to perform restart",
        core_show_uptime="System uptime: 500",
    )
    ret = states.restarted("asterisk", wait=0)
    assert ret["result"] is True
    assert ret["changes"] == {"restarted": "when the last channel has ended"}
    assert "core abort shutdown" in ret["comment"]
    assert "core restart when convenient" in console.asked


def test_calls_are_dropped_for_a_restart_only_where_the_admin_says_so(states):
    asterisk(
        states,
        core_show_channels=TALKING,
        core_restart="Waiting for inactivity to perform restart",
        core_show_uptime="System uptime: 500",
    )
    restarts = []
    states.__salt__["service.restart"] = lambda name: restarts.append(name) or True
    ret = states.restarted("asterisk", wait=0, then="now")
    assert (ret["result"], restarts) == (True, ["asterisk"])
    assert "1 channels were dropped" in ret["comment"]


@pytest.mark.parametrize("bad", [{"wait": "soon"}, {"wait": "forever"}, {"then": "later"}])
def test_a_wrong_limit_is_told_and_nothing_is_restarted(states, bad):
    console = asterisk(states, core_show_channels=TALKING)
    ret = states.restarted("asterisk", **bad)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert not any(command.startswith("core restart") for command in console.asked)


@pytest.mark.parametrize(("count", "result"), [(QUIET, True), (TALKING, False)])
def test_no_calls_fails_while_a_channel_is_up(states, count, result):
    asterisk(states, core_show=count)
    ret = states.no_calls("quiet")
    assert (ret["result"], ret["changes"]) == (result, {})


def test_no_calls_waits_until_the_last_channel_has_ended(states):
    asterisk(states, core_show=[TALKING, QUIET])
    assert states.no_calls("quiet", wait=5)["result"] is True


def test_no_calls_does_not_wait_under_test(states):
    states.__opts__["test"] = True
    asterisk(states, core_show=TALKING)
    assert states.no_calls("quiet", wait="10m")["result"] is None


def test_a_module_that_reads_its_file_at_the_start_only_is_a_failure(states):
    asterisk(states, module_reload="The module 'ccss' does not support reloads")
    ret = states.reloaded("ccss")
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "restart" in ret["comment"]


def test_all_of_pjsip_is_reloaded_that_is_there(states):
    console = asterisk(
        states,
        module_reload=[
            "Module 'res_pjsip.so' reloaded successfully.",
            "No such module 'res_pjsip_mwi.so'\n"
            "Module 'res_pjsip_notify.so' reloaded successfully.",
        ],
    )
    assert states.reloaded("res_pjsip.so")["result"] is True
    assert console.asked[0] == "module reload res_pjsip.so"
    assert "res_pjsip_outbound_registration.so" in console.asked[1]
    # `pjsip reload` is an alias, which only some Asterisks have.
    assert not [command for command in console.asked if command.startswith("pjsip")]


def test_files_that_were_written_and_not_reloaded_are_made_up_for(states, tmp_path):
    file = tmp_path / "queues.conf"
    file.touch()
    console = asterisk(
        states,
        core_show_uptime="System uptime: 3600",
        module_reload=["No such module", "Module 'app_queue.so' reloaded successfully."],
        module_load="Unable to load module",
    )
    files = [str(file), str(tmp_path / "queuerules.conf")]
    assert states.reloaded("app_queue.so", files=files)["result"] is False
    assert states.reloaded("app_queue.so", files=files)["changes"] == {"reloaded": "app_queue.so"}
    again = states.reloaded("app_queue.so", files=files)
    assert (again["result"], again["changes"]) == (True, {})
    assert console.asked.count("module reload app_queue.so") == 2

    file.touch()
    states.__opts__["test"] = True
    assert states.reloaded("app_queue.so", files=files)["result"] is None


@pytest.mark.parametrize("uptime", ["System uptime: 0", None], ids=["just now", "not yet"])
def test_what_asterisk_reads_when_it_starts_needs_no_reload(states, tmp_path, uptime):
    file = tmp_path / "queues.conf"
    file.touch()
    asterisk(states, **({"core_show_uptime": uptime} if uptime else {}))
    for ret in (
        states.reloaded("app_queue.so", files=[str(file)]),
        states.restarted("asterisk", files=[str(file)]),
    ):
        assert (ret["result"], ret["changes"]) == (True, {})


@pytest.mark.parametrize("files", ["/etc/asterisk/queues.conf", 5, [5], [["/a"]], {"/a": None}])
def test_what_is_no_list_of_paths_is_told_and_nothing_is_done(states, files):
    console = asterisk(states)
    for ret in (states.reloaded("app_queue.so", files=files), states.restarted(files=files)):
        assert (ret["result"], ret["changes"]) == (False, {})
        assert "write a list of paths" in ret["comment"]
    assert console.asked == []


def test_a_restart_that_was_missed_is_made_up_for(states, tmp_path):
    file = tmp_path / "modules.conf"
    file.touch()
    answers = {"core_show_channels": "0 active channels", "core_show_uptime": "System uptime: 60"}
    asterisk(states, **answers)
    states.__salt__["service.restart"] = lambda name: True
    ret = states.restarted("asterisk", files=[str(file)])
    assert ret["changes"] == {"restarted": "asterisk"}
    os.utime(file, (1000, 1000))
    assert states.restarted("asterisk", files=[str(file)])["changes"] == {}


def test_a_file_that_this_run_changed_is_put_in_force(states):
    # Under test it would be changed only.
    states.__running__ = {"a": {"name": "/x/cdr.conf", "changes": {"diff": "..."}, "result": None}}
    asterisk(
        states,
        module_reload="Module 'cdr' reloaded successfully.",
        core_show_channels="0 active channels",
        core_show_uptime="System uptime: 0",
    )
    states.__salt__["service.restart"] = lambda name: True
    for test in (True, False):
        states.__opts__["test"] = test
        assert states.reloaded("cdr", files=["/x/cdr.conf"])["changes"] == {"reloaded": "cdr"}
        ret = states.restarted("asterisk", files=["/x/cdr.conf"])
        assert ret["changes"] == {"restarted": "asterisk"}
        assert states.reloaded("cel", files=["/x/cel.conf"])["changes"] == {}


def transports(states, tmp_path, text, uptime):
    """What is said of a pjsip.conf that is written now, by an Asterisk that is up for so long."""
    file = tmp_path / "pjsip.conf"
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    asterisk(states, core_show_uptime=f"System uptime: {uptime}")
    return states.transports_current(str(file))


UDP = "[udp]\ntype = transport\nprotocol = udp\nbind = 0.0.0.0:5060\n"


@pytest.fixture
def old_file(states, tmp_path):
    """A pjsip.conf that Asterisk started with an hour ago, and that was looked at since."""
    file = tmp_path / "pjsip.conf"
    file.write_text(UDP)
    os.utime(file, (1000, 1000))
    assert transports(states, tmp_path, UDP, 3600)["changes"] == {}
    return file


def test_a_changed_transport_is_told_until_asterisk_has_restarted(states, tmp_path, old_file):
    changed = UDP.replace("5060", "5062")
    for _ in range(2):
        ret = transports(states, tmp_path, changed, 3600)
        assert ret["changes"] == {"not in force": ["transport udp"]}
    assert transports(states, tmp_path, changed, 0)["changes"] == {}


def test_a_transport_in_an_included_file_is_looked_at(states, tmp_path, old_file):
    more = tmp_path / "more.conf"
    more.write_text("[tls]\ntype = transport\nprotocol = tls\nbind = 0.0.0.0:5061\n")
    text = UDP + "#include more.conf\n"
    assert transports(states, tmp_path, text, 3600)["changes"] == {}
    more.write_text(more.read_text().replace("5061", "5081"))
    ret = transports(states, tmp_path, text, 3600)
    assert ret["changes"] == {"not in force": ["transport tls"]}


def test_a_removed_transport_goes_on_listening(states, tmp_path, old_file):
    assert transports(states, tmp_path, "", 3600)["changes"] == {"not in force": ["transport udp"]}


@pytest.mark.parametrize(
    "text",
    [
        UDP + "[101]\ntype = endpoint\n",
        UDP + "; said by hand\nexternal_media_address = 192.0.2.1\n",
        UDP + "[tcp]\ntype = transport\nprotocol = tcp\n",
        "[udp](!)\n" + UDP,
    ],
    ids=["another section", "taken at a reload", "a new transport", "a template"],
)
def test_what_a_reload_puts_in_force_needs_no_restart(states, tmp_path, old_file, text):
    assert transports(states, tmp_path, text, 3600)["changes"] == {}


def test_a_new_transport_that_is_changed_again_needs_a_restart(states, tmp_path, old_file):
    tcp = "[tcp]\ntype = transport\nprotocol = tcp\nbind = 0.0.0.0:"
    assert transports(states, tmp_path, UDP + tcp + "5060\n", 3600)["changes"] == {}
    ret = transports(states, tmp_path, UDP + tcp + "5070\n", 3600)
    assert ret["changes"] == {"not in force": ["transport tcp"]}


def test_a_change_after_a_start_that_was_not_looked_at_is_noticed(states, tmp_path, old_file):
    ret = transports(states, tmp_path, UDP.replace("5060", "5062"), 60)
    assert ret["changes"] == {"not in force": ["transport udp"]}


def test_a_restart_right_after_the_start_is_told_from_it(states, tmp_path):
    # A new host: the file was written in the second in which Asterisk started.
    assert transports(states, tmp_path, UDP, 0)["changes"] == {"not in force": ["transport udp"]}
    states.__salt__["service.restart"] = lambda name: True
    asterisk(states, core_show_channels="0 active channels", core_show_uptime="System uptime: 0")
    needed = {"files": [], "transports_of": str(tmp_path / "pjsip.conf")}
    assert states.restarted(**needed)["changes"] == {"restarted": "asterisk"}
    assert transports(states, tmp_path, UDP, 0)["changes"] == {}
    assert states.restarted(**needed)["changes"] == {}


def test_looking_under_test_is_not_kept(states, tmp_path, old_file):
    states.__opts__["test"] = True
    changed = UDP.replace("5060", "5062")
    assert transports(states, tmp_path, changed, 3600)["result"] is None
    kept = Path(states.__opts__["cachedir"], "asterisk", "transports.json")
    assert '"seen"' in kept.read_text()
    before = kept.read_text()
    transports(states, tmp_path, changed, 3600)
    assert kept.read_text() == before


def test_a_file_that_is_gone_has_no_transports(states, tmp_path, old_file):
    old_file.unlink()
    ret = states.transports_current(str(old_file))
    assert ret["changes"] == {"not in force": ["transport udp"]}


@pytest.mark.parametrize("wait", ["soon", "forever"])
@pytest.mark.parametrize("test", [True, False])
def test_no_calls_needs_a_limit(states, wait, test):
    states.__opts__["test"] = test
    asterisk(states, core_show=TALKING)
    assert states.no_calls("quiet", wait=wait)["result"] is False


def test_an_asterisk_that_does_not_run_has_no_transports_to_compare(states, tmp_path):
    asterisk(states)
    ret = states.transports_current(str(tmp_path / "pjsip.conf"))
    assert (ret["result"], ret["changes"]) == (True, {})


def test_under_test_nothing_is_asked_of_asterisk(states):
    states.__opts__["test"] = True
    console = asterisk(states)
    assert states.reloaded("cdr")["result"] is None
    assert states.restarted("asterisk")["result"] is None
    assert console.asked == []


def test_faults_of_the_pillar_are_told_line_by_line(states):
    states.__salt__["asterisk.settings_errors"] = lambda: [
        "asterisk:x: is wrong",
        "asterisk:y: too",
    ]
    ret = states.settings_valid("pillar")
    assert (ret["result"], ret["comment"]) == (False, "asterisk:x: is wrong\nasterisk:y: too")
