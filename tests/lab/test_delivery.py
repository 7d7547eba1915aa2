"""Every call record reaches Odoo once, whatever breaks meanwhile.

LAB_CALLS says how many calls are made while each fault happens (default 300). From 1,000 on the
outages are as long as in life, too. LAB_ODOO says on which Odoo: ``odoo``, ``odoo14`` or ``all``
run every test there; without it Odoo 14 has those that its protocol or its database has a part in,
with fewer calls.
"""

import os
import time

import faults
import pytest
from house import House

HOSTS = ("odoo", "odoo14")
ASKED = os.environ.get("LAB_ODOO", "")
CALLS = int(os.environ.get("LAB_CALLS", "300"))
LONG = CALLS >= 1000
RATE = 80.0 if LONG else 40.0  # calls a second
OUTAGE = 120.0 if LONG else 8.0
TIMES = 10 if LONG else 2
# What breaks is the PBX's alone, whatever Odoo there is.
of_the_pbx = pytest.mark.of_the_pbx


def pytest_generate_tests(metafunc):
    if "probed" in metafunc.fixturenames:
        hosts = HOSTS if ASKED in ("", "all") else [ASKED]
        if not ASKED and metafunc.definition.get_closest_marker("of_the_pbx"):
            hosts = HOSTS[:1]
        metafunc.parametrize("probed", hosts, indirect=True, scope="module")


def calls_at(house):
    """How many calls a test makes with that house's Odoo."""
    return CALLS if ASKED or house.odoo_host == HOSTS[0] else CALLS // 3


@pytest.fixture(scope="module")
def probed(house, request):
    """A house with the probe in its Odoo, to which impatient engines on pbx1 deliver."""
    there = house if request.param == house.odoo_host else House(request.param)
    with faults.other_odoo(there, "pbx1"):
        faults.install_probe(there)
        faults.be_impatient(there, ["pbx1"])
        yield there
    faults.be_patient(house, ["pbx1"])


@pytest.fixture
def trial(probed):
    """A trial on pbx1."""
    faults.behave(probed, "")
    faults.drop_set_aside(probed, "pbx1")
    yield faults.Trial(probed, ["pbx1"], calls_at(probed), RATE)
    probed.lab("mend", "pbx1")
    faults.behave(probed, "")


@pytest.fixture
def tell(request, capsys):
    """Print a line of figures where a person sees it."""

    def say(line):
        with capsys.disabled():
            print(f"\n   {request.node.name}: {line}")

    return say


def spread(trial):
    """Pauses (s) that spread TIMES faults over the calls."""
    for _ in range(TIMES):
        time.sleep(trial.count / trial.rate / (TIMES + 1))
        yield


def test_calls_while_nothing_breaks(trial, tell):
    with trial.calls():
        pass
    tell(trial.verdict())
    assert trial.unlike("pbx1") == []


def test_odoo_is_stopped_for_a_while(trial, probed, tell):
    with trial.calls():
        probed.run(probed.odoo_host, "systemctl", "stop", "odoo")
        time.sleep(OUTAGE)
        probed.run(probed.odoo_host, "systemctl", "start", "odoo")
    tell(trial.verdict())


def test_odoo_is_killed_in_the_middle_of_batches(trial, probed, tell):
    faults.behave(probed, "slow")
    hit = 0
    with trial.calls():
        for _ in spread(trial):
            faults.await_odoo(probed)
            in_batch = faults.waiting(probed, "pbx1")[2]
            probed.run(probed.odoo_host, "systemctl", "kill", "--signal=KILL", "odoo")
            hit += bool(in_batch)
            # Not "start", which does nothing while systemd does not know yet of the kill.
            probed.run(probed.odoo_host, "systemctl", "restart", "odoo")
    faults.await_odoo(probed)
    faults.behave(probed, "")
    tell(f"{trial.verdict()}; killed {TIMES} times, {hit} of them in a batch")
    assert hit


def test_postgresql_is_restarted(trial, probed, tell):
    with trial.calls():
        for _ in spread(trial):
            probed.run(probed.odoo_host, "systemctl", "restart", "postgresql")
    tell(trial.verdict())


@of_the_pbx
def test_the_sender_is_killed(trial, probed, tell):
    faults.behave(probed, "slow")
    with trial.calls():
        for _ in spread(trial):
            faults.kill_engine(probed, "pbx1", "odoo_outbox")
    faults.behave(probed, "")
    tell(f"{trial.verdict()}; killed {TIMES} times")


@of_the_pbx
def test_the_bridge_is_killed(trial, probed, tell):
    with trial.calls():
        for _ in spread(trial):
            faults.kill_engine(probed, "pbx1", "asterisk_ami")
    probed.await_bridge()
    tell(f"{trial.verdict()}; killed {TIMES} times")


@of_the_pbx
def test_the_whole_minion_is_killed_and_one_bridge_runs_afterwards(trial, probed, tell):
    with trial.calls():
        for number, _ in enumerate(spread(trial)):
            # As KillMode=process has it, Salt's other processes outlive the first one.
            whom = "--kill-who=all" if number % 2 else "--kill-who=main"
            before = faults.engine_pid(probed, "pbx1", "asterisk_ami")
            probed.run("pbx1", "systemctl", "kill", whom, "--signal=KILL", "salt-minion")
            faults.await_another(probed, "pbx1", "asterisk_ami", before)  # nobody starts it
            probed.await_bridge()
    sessions = probed.run("pbx1", "asterisk", "-rx", "manager show connected").stdout
    tell(f"{trial.verdict()}; killed {TIMES} times")
    assert sessions.splitlines()[-1].startswith("1 users connected"), sessions


@of_the_pbx
def test_the_minion_is_stopped_for_a_while(trial, probed, tell):
    probed.run("pbx1", "systemctl", "stop", "salt-minion")
    with trial.calls():
        time.sleep(min(OUTAGE, 30))
        probed.run("pbx1", "systemctl", "start", "salt-minion")
    probed.await_bridge()
    tell(trial.verdict())
    assert trial.unlike("pbx1") == []


@of_the_pbx
def test_the_power_of_all_hosts_fails(trial, probed, tell):
    faults.behave(probed, "slow")
    # The program that makes the calls dies with the PBX.
    with pytest.raises(RuntimeError, match="The calls failed"):
        calls_until_the_power_fails(trial, probed)
    faults.behave(probed, "")
    with trial.calls():
        pass
    tell(trial.verdict())
    assert trial.unlike("pbx1") == []


def calls_until_the_power_fails(trial, probed):
    with trial.calls(trial.count * 4):
        probed.await_that(lambda: faults.waiting(probed, "pbx1")[2], "a batch under way", 60)
        faults.power_cut(probed)


@of_the_pbx
@pytest.mark.parametrize("bridge", ["up", "down"])
def test_the_file_of_call_records_is_rotated(trial, probed, tell, bridge):
    if bridge == "down":
        probed.run("pbx1", "systemctl", "stop", "salt-minion")
    for rotate in (faults.RENAME, faults.COPY_AND_EMPTY):
        with trial.calls(trial.count // 4):
            pass
        trial.await_end()  # what is written between copying and emptying is nowhere
        probed.run("pbx1", "sh", "-c", rotate)
    with trial.calls(trial.count // 4):
        pass
    probed.run("pbx1", "systemctl", "start", "salt-minion")
    probed.await_bridge()
    tell(f"{trial.verdict()}; rotated twice, with the bridge {bridge}")
    assert trial.unlike("pbx1") == []


@of_the_pbx
def test_asterisk_is_restarted_between_calls(trial, probed, tell):
    for _ in range(TIMES):
        with trial.calls(trial.count // TIMES):
            pass
        trial.await_empty()
        probed.run("pbx1", "systemctl", "restart", "asterisk")
    probed.await_bridge()
    tell(f"{trial.verdict()}; restarted {TIMES} times")


@of_the_pbx
def test_the_network_is_cut_and_mended(trial, probed, tell):
    with trial.calls():
        for _ in spread(trial):
            probed.lab("cut", "pbx1")
            time.sleep(OUTAGE / TIMES)
            probed.lab("mend", "pbx1")
    tell(f"{trial.verdict()}; cut {TIMES} times")


def test_the_network_is_cut_after_the_request_was_sent(trial, probed, tell):
    faults.behave(probed, "slow")
    patience = 8  # longer than the sender's read timeout
    hit = 0
    with trial.calls():
        for _ in range(2):
            probed.await_that(lambda: faults.waiting(probed, "pbx1")[2], "a batch under way")
            time.sleep(0.2)
            probed.lab("cut", "pbx1")
            hit += bool(faults.waiting(probed, "pbx1")[2])
            time.sleep(patience)
            probed.lab("mend", "pbx1")
    faults.behave(probed, "")
    tell(f"{trial.verdict()}; cut twice for {patience} s, {hit} times with a batch under way")
    assert hit


@pytest.mark.parametrize("mode", ["raise", "commit"])
def test_a_handler_fails_for_every_tenth_record(trial, probed, tell, mode):
    faults.behave(probed, mode)
    with trial.calls():
        pass
    line = trial.verdict(absent=is_tenth)
    aside = faults.waiting(probed, "pbx1")[1]
    tell(f"{line}; {aside} set aside")
    assert aside == sum(map(is_tenth, trial.expected("pbx1"))) > 0
    faults.behave(probed, "")
    assert probed.call("pbx1", "asterisk.outbox_retry") == aside
    tell(f"retried: {trial.verdict()}")


def test_a_handler_hangs(trial, probed, tell):
    faults.limit_hanging(probed, True)
    faults.behave(probed, "hang")
    try:
        with trial.calls(1, extension="600"), trial.calls():
            pass
        line = trial.verdict(absent=trial.hangs)
    finally:
        faults.behave(probed, "")
        faults.limit_hanging(probed, False)
    tell(f"{line}; {faults.waiting(probed, 'pbx1')[1]} set aside")
    assert probed.call("pbx1", "asterisk.outbox_retry") == 1
    tell(f"retried: {trial.verdict()}")


@of_the_pbx
def test_the_disk_of_the_pbx_is_full_for_a_while(trial, probed, tell):
    faults.small_disk(probed, True)
    probed.run(probed.odoo_host, "systemctl", "stop", "odoo")  # so that the outbox must grow
    try:
        with trial.calls():
            faults.fill_disk(probed)
            probed.await_that(lambda: not faults.has_reserve(probed), "the use of the reserve")
            faults.fill_disk(probed)
            time.sleep(min(OUTAGE, 30))
            faults.empty_disk(probed)
            probed.run(probed.odoo_host, "systemctl", "start", "odoo")
        line = trial.verdict()
    finally:
        faults.small_disk(probed, False)
        probed.run(probed.odoo_host, "systemctl", "start", "odoo")
    tell(f"{line}; the reserve was used, and full in its turn")


@pytest.fixture(scope="module")
def second_pbx(house):
    """pbx2, with the formula applied; which Odoo it has is the test's to say."""
    house.lab("up", "pbx2")
    house.connect_odoo("pbx2")
    house.apply("pbx2")
    house.await_bridge("pbx2")


@pytest.fixture
def both(probed, second_pbx):
    """A trial on two PBXs at once, into one Odoo with two workers."""
    with faults.other_odoo(probed, "pbx2"):
        faults.be_impatient(probed, ["pbx1", "pbx2"])
        faults.behave(probed, "")
        yield faults.Trial(probed, ["pbx1", "pbx2"], calls_at(probed), RATE)
        faults.behave(probed, "")


def test_two_pbxs_at_once(both, probed, tell):
    faults.behave(probed, "slow")
    with both.calls():
        for _ in spread(both):
            probed.run(probed.odoo_host, "systemctl", "restart", "postgresql")
    faults.await_odoo(probed)
    faults.behave(probed, "")
    tell(f"{both.verdict()}; on two PBXs, PostgreSQL restarted {TIMES} times")


def test_a_result_reaches_odoo_while_the_master_is_down(probed, tell):
    faults.drop_set_aside(probed, "pbx1")
    # A token that no job has: Odoo refuses the result, which shows that it was asked.
    job = ["test.sleep", "6", "--return=odoo", '--metadata={"asterisk_plus": {"token": "none"}}']
    probed.run("hub", "salt", "--async", "pbx1", *job)
    probed.run("hub", "systemctl", "stop", "salt-master")
    try:
        began = time.monotonic()
        probed.await_that(lambda: faults.waiting(probed, "pbx1")[1], "Odoo's refusal", 180)
        seconds = time.monotonic() - began
    finally:
        probed.run("hub", "systemctl", "start", "salt-master")
        probed.await_minion("pbx1")
    (item,) = probed.call("pbx1", "asterisk.outbox_failed")
    assert (item["kind"], item["name"]) == ("result", "test.sleep")
    assert probed.call("pbx1", "asterisk.outbox_drop", "all") == 1
    tell(f"the result of a job of 6 s was at Odoo after {seconds:.1f} s without a master")


def is_tenth(key):
    """Whether the probe fails on this record in the modes 'raise' and 'commit'."""
    return int(key[0].rsplit(".", 1)[1]) % 10 == 0
