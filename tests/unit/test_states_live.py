"""AstDB, queue members and registrations: honest changes, nothing under test=True, no exception."""

import importlib.util
import shlex
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "_states" / "asterisk_live.py"
QUEUE = "support has 0 calls (max unlimited) in 'ringall' strategy (0s holdtime, 0s talktime), W:0"
STATIC = "      PJSIP/101 (ringinuse enabled)\x1b[0m (\x1b[1;31;40mUnavailable\x1b[0m) has"
ENDPOINT = """
 Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>
      Contact:  <Aor/ContactUri..........................> <Hash....> <Status> <RTT(ms)..>
==========================================================================================

 Endpoint:  101                                                  Unavailable   0 of inf
        Aor:  101                                                1
"""
CONTACT = "      Contact:  101/sip:101@192.0.2.1:5070             81e2c11b1e {}         nan\n"


class Asterisk:
    """An Asterisk with a database and a queue, that prints what 22 does. Without ``up`` it is down;
    ``deaf``: it takes every command and does nothing."""

    def __init__(self):
        self.up, self.deaf = True, False
        self.database = {}
        self.members = {}
        self.endpoint = [ENDPOINT]
        self.asked = []

    def run_all(self, command, **options):
        assert command[:2] == ["asterisk", "-rx"]
        assert options["python_shell"] is False
        if not self.up:
            return {"retcode": 1, "stdout": "", "stderr": "Unable to connect"}
        # Asterisk takes a backslash in double quotes for what shlex does.
        words = shlex.split(command[2])
        self.asked.append(" ".join(words[:2]))
        return {"retcode": 0, "stdout": self.say(words) + "\n", "stderr": ""}

    def say(self, words):
        if words[:2] == ["database", "get"]:
            value = self.database.get("/".join(words[2:]))
            return "Database entry not found." if value is None else f"Value: {value}"
        if words[:2] == ["queue", "show"]:
            return self.queue() if words[2] == "support" else f"No such queue: {words[2]}."
        if words[:2] == ["pjsip", "show"]:
            return self.endpoint.pop(0) if len(self.endpoint) > 1 else self.endpoint[0]
        if self.deaf:
            return "No."
        if words[0] == "database":
            key = "/".join(words[2:4])
            if words[1] == "put":
                self.database[key] = words[4]
            else:
                del self.database[key]
            return "Updated database successfully"
        return self.change(words)

    def change(self, words):
        if words[1] == "add":
            rest = dict(zip(words[6::2], words[7::2]))
            state = rest["state_interface"]
            self.members[words[3]] = [int(rest["penalty"]), rest["as"], state, False]
        elif words[1] == "remove":
            del self.members[words[3]]
        elif words[1] == "set":
            self.members[words[5]][0] = int(words[3])
        else:
            self.members[words[3]][3] = words[1] == "pause"
        return "Done"

    def queue(self):
        lines = [QUEUE, "   Members: ", STATIC]
        for interface, (penalty, name, state, paused) in self.members.items():
            source = f" from {state}" if state != interface else ""
            lines.append(
                f"      {name}"
                + (f" ({interface}{source})" if name != interface else "")
                + (f" with penalty {penalty}" if penalty else "")
                + " (ringinuse enabled)\x1b[1;36;40m (dynamic)\x1b[0m\x1b[0m"
                + ("\x1b[1;33;40m (paused:lunch (long) was 9 secs ago)\x1b[0m" if paused else "")
                + " (Not in use) has taken no calls yet"
            )
        return "\n".join([*lines, "   No Callers", ""])


@pytest.fixture
def asterisk():
    return Asterisk()


@pytest.fixture
def states(asterisk):
    spec = importlib.util.spec_from_file_location("states_asterisk_live", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {"test": False}
    module.__salt__ = {"cmd.run_all": asterisk.run_all}
    return module


def done(ret):
    return ret["result"], ret["changes"]


# AstDB ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "a b", 'say "hi"', "a\\b", "x;y $(id) `id` !id", "", " é "])
def test_an_entry_gets_its_value_whatever_is_in_it(states, asterisk, value):
    assert done(states.db_present("CFU/101", value)) == (True, {"old": None, "new": value})
    assert asterisk.database == {"CFU/101": value}
    assert done(states.db_present("CFU/101", value)) == (True, {})


def test_an_entry_is_changed_and_removed(states, asterisk):
    asterisk.database["a/b/c"] = "old"
    assert done(states.db_present("a/b/c", "new")) == (True, {"old": "old", "new": "new"})
    assert done(states.db_absent("a/b/c")) == (True, {"old": "new", "new": None})
    assert done(states.db_absent("a/b/c")) == (True, {})


def test_values_are_hidden_on_demand(states, asterisk):
    asterisk.database["a/b"] = "hush"
    assert "hush" not in str(states.db_present("a/b", "hush2", show_changes=False))
    assert "hush" not in str(states.db_absent("a/b", show_changes=False))


@pytest.mark.parametrize("name", ["CFU", "/101", "CFU/", "CFU/1\n2", 101])
def test_what_is_no_entry_is_refused(states, asterisk, name):
    assert done(states.db_present(name, "x")) == (False, {})
    assert asterisk.asked == []


def test_a_value_that_yaml_made_a_number_is_refused(states):
    ret = states.db_present("CFU/101", 123)
    assert ret["result"] is False
    assert "in quotes" in ret["comment"]


def test_a_value_that_asterisk_did_not_keep_is_a_failure_without_changes(states, asterisk):
    asterisk.deaf = True
    assert done(states.db_present("CFU/101", "x")) == (False, {})
    asterisk.database["CFU/101"] = "x"
    assert done(states.db_absent("CFU/101")) == (False, {})


# Queues --------------------------------------------------------------------------------------


def test_a_member_is_added_once(states, asterisk):
    ret = states.queue_member("PJSIP/102", "support", 3, 'Ada (the "boss") L.')
    new = {"membername": 'Ada (the "boss") L.', "state_interface": "PJSIP/102"}
    assert done(ret) == (True, {"old": None, "new": {**new, "penalty": 3, "paused": False}})
    again = states.queue_member("PJSIP/102", "support", 3, 'Ada (the "boss") L.')
    assert done(again) == (True, {})


def test_only_what_differs_is_changed(states, asterisk):
    states.queue_member("PJSIP/102", "support", 3)
    ret = states.queue_member("PJSIP/102", "support", penalty=4, paused=True)
    assert done(ret) == (
        True,
        {"penalty": {"old": 3, "new": 4}, "paused": {"old": False, "new": True}},
    )
    assert "queue remove" not in asterisk.asked


def test_another_name_takes_a_new_login_and_keeps_the_rest(states, asterisk):
    states.queue_member("PJSIP/102", "support", 3, paused=True)
    ret = states.queue_member("PJSIP/102", "support", membername="Ada", state_interface="PJSIP/9")
    assert set(ret["changes"]) == {"membername", "state_interface"}
    assert asterisk.members == {"PJSIP/102": [3, "Ada", "PJSIP/9", True]}


def test_a_paused_member_is_added_paused_and_unpaused(states, asterisk):
    states.queue_member("PJSIP/102", "support", paused=True)
    assert asterisk.members["PJSIP/102"][3] is True
    states.queue_member("PJSIP/102", "support", paused=False)
    assert asterisk.members["PJSIP/102"][3] is False


def test_a_member_is_taken_away_once(states, asterisk):
    states.queue_member("PJSIP/102", "support")
    ret = states.queue_member_absent("PJSIP/102", "support")
    assert (ret["result"], ret["changes"]["new"], asterisk.members) == (True, None, {})
    assert done(states.queue_member_absent("PJSIP/102", "support")) == (True, {})


@pytest.mark.parametrize("state", ["queue_member", "queue_member_absent"])
def test_a_member_of_the_file_is_left_to_the_file(states, state):
    ret = getattr(states, state)("PJSIP/101", "support")
    assert done(ret) == (False, {})
    assert "queues.conf" in ret["comment"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"penalty": penalty} for penalty in (-1, True, "2", 1.5)),
        {"paused": "yes"},
        {"membername": 102},
        {"queue": 5},
        {"name": 102},
        {"state_interface": "PJSIP/9"},
    ],
    ids=str,
)
def test_a_wrong_argument_is_told_and_asterisk_is_not_asked(states, asterisk, wrong):
    ret = states.queue_member(**{"name": "PJSIP/102", "queue": "support", **wrong})
    assert done(ret) == (False, {})
    assert next(iter(wrong)) in ret["comment"]
    assert asterisk.asked == []


def test_what_asterisk_did_not_take_is_a_failure_with_its_words(states, asterisk):
    asterisk.deaf = True
    ret = states.queue_member("PJSIP/102", "support", 3)
    assert done(ret) == (False, {})
    assert "No." in ret["comment"]


# Phones --------------------------------------------------------------------------------------


def test_an_endpoint_is_waited_for(states, asterisk):
    asterisk.endpoint = [ENDPOINT, ENDPOINT + CONTACT.format("NonQual")]
    ret = states.endpoint_registered("101", wait=5)
    assert done(ret) == (True, {})
    assert "sip:101@192.0.2.1:5070" in ret["comment"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENDPOINT, "101 is not registered"),
        (ENDPOINT + CONTACT.format("Unavail"), "does not answer at 101/sip:101@192.0.2.1:5070"),
        ("Unable to find object 101.\n", "no PJSIP endpoint 101"),
    ],
)
def test_an_endpoint_that_cannot_be_reached_is_a_failure_in_words(states, asterisk, text, said):
    asterisk.endpoint = [text]
    # A number, as YAML reads what is not in quotes.
    ret = states.endpoint_registered(101, wait=0)
    assert done(ret) == (False, {})
    assert said in ret["comment"]


def test_a_wait_without_a_limit_is_refused(states):
    assert done(states.endpoint_registered("101", wait="forever")) == (False, {})


# All of them ---------------------------------------------------------------------------------

CALLS = [
    ("db_present", ("CFU/102", "x")),
    ("db_absent", ("CFU/101",)),
    ("queue_member", ("PJSIP/102", "support", 2)),
    ("queue_member", ("PJSIP/103", "support", 7)),
    ("queue_member_absent", ("PJSIP/103", "support")),
    ("endpoint_registered", ("101", "2m")),
]


@pytest.mark.parametrize(("state", "arguments"), CALLS)
def test_under_test_nothing_is_changed_and_it_is_told_what_would_be(
    states, asterisk, state, arguments
):
    asterisk.database["CFU/101"] = "x"
    states.queue_member("PJSIP/103", "support", 1)
    before = dict(asterisk.database), str(asterisk.members)
    states.__opts__["test"] = True
    ret = getattr(states, state)(*arguments)
    assert ret["result"] is None
    assert bool(ret["changes"]) is (state != "endpoint_registered")
    assert (dict(asterisk.database), str(asterisk.members)) == before


@pytest.mark.parametrize(("state", "arguments"), CALLS)
def test_an_asterisk_that_does_not_run_is_a_failure_in_its_own_words(
    states, asterisk, state, arguments
):
    asterisk.up = False
    ret = getattr(states, state)(*arguments)
    assert done(ret) == (False, {})
    assert "Unable to connect" in ret["comment"]


@pytest.mark.parametrize(("state", "arguments"), CALLS)
def test_a_host_without_asterisk_is_a_failure_in_words(states, state, arguments):
    def run_all(command, **options):
        raise OSError("No such file or directory")

    states.__salt__["cmd.run_all"] = run_all
    ret = getattr(states, state)(*arguments)
    assert done(ret) == (False, {})
    assert "No such file" in ret["comment"]
