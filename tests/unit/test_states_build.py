"""Going over to another build and back, with other programs in Asterisk's place."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

STATE = Path(__file__).resolve().parents[2] / "_states" / "asterisk_build.py"
OLD, NEW, OLDER = (digit * 16 for digit in "123")
RUNS, EXITS = "/bin/sleep", "/bin/false"


class Service:
    """A service that runs ``current/sbin/asterisk``, as systemd would."""

    def __init__(self, top):
        self.program = top / "current" / "sbin" / "asterisk"
        self.seconds = "600"
        self.process = None
        self.starts = 0
        self.asked = []
        self.calls = False

    def pid(self):
        return self.process.pid if self.process and self.process.poll() is None else 0

    def start(self, name="asterisk"):
        self.starts += 1
        self.process = subprocess.Popen([self.program, self.seconds])
        if os.path.realpath(self.program).endswith(f"{NEW}/sbin/asterisk") and self.fails:
            self.process.wait()
            raise CommandExecutionError("Job for asterisk.service failed")
        return True

    fails = False

    def stop(self, name="asterisk"):
        if self.process:
            self.process.kill()
            self.process.wait()

    def restarted(self, name, wait, then):
        if self.calls:
            return {"result": True, "comment": "2 channels are active"}
        self.stop()
        return {"result": self.start(), "comment": "restarted"}

    def run_all(self, command, **options):
        self.asked.append(command)
        return {"retcode": 0, "stdout": "", "stderr": ""}


@pytest.fixture
def top(tmp_path):
    return tmp_path / "builds"


@pytest.fixture
def make(top):
    """A function that makes a build out of a program."""

    def build(name, program=RUNS):
        folder = top / name / "sbin"
        folder.mkdir(parents=True)
        shutil.copy(program, folder / "asterisk")
        return str(top / name)

    return build


@pytest.fixture
def states():
    spec = importlib.util.spec_from_file_location("states_asterisk_build", STATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {"test": False}
    return module


@pytest.fixture
def service(states, top, make):
    """The service, running the old build, which took the place of an older one."""
    old = make(OLD)
    make(OLDER)
    states.build.put_in_force(old)
    states.build.forget_others(old, str(top / OLDER))
    service = Service(top)
    states.__salt__ = {
        "service.status": lambda name: service.pid() != 0,
        "service.start": service.start,
        "service.stop": service.stop,
        "cmd.run_all": service.run_all,
        "cmd.run_stdout": lambda command, python_shell: str(service.pid()),
    }
    states.__states__ = {"asterisk.restarted": service.restarted}
    service.start()
    yield service
    service.stop()


def runs(service):
    return os.readlink(f"/proc/{service.pid()}/exe").rsplit("/", 2)[0]


def test_the_new_build_takes_the_place_of_the_one_before_which_is_kept(states, service, top, make):
    ret = states.current(make(NEW), stays=0.1)
    assert ret["result"] is True
    assert ret["changes"] == {"current": {"old": str(top / OLD), "new": str(top / NEW)}}
    assert runs(service) == str(top / NEW)
    assert sorted(os.listdir(top)) == [OLD, NEW, "current", "previous"]
    again = states.current(str(top / NEW))
    assert (again["result"], again["changes"], service.starts) == (True, {}, 2)


def test_a_build_that_exits_at_its_start_is_taken_back_and_tried_once(states, service, top, make):
    service.fails = True
    new = make(NEW, EXITS)
    ret = states.current(new)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "the service asterisk does not run" in ret["comment"]
    assert f"{top / OLD} is in force again and runs" in ret["comment"]
    assert runs(service) == str(top / OLD) == os.path.realpath(top / "current")

    starts = service.starts
    ret = states.current(new)
    assert ret["result"] is False
    assert f"remove {new}/did-not-start" in ret["comment"]
    assert service.starts == starts

    os.unlink(f"{new}/did-not-start")
    shutil.copy(RUNS, f"{new}/sbin/asterisk")
    service.fails = False
    assert states.current(new, stays=0.1)["result"] is True


def test_a_run_that_ended_before_the_restart_is_made_up_for(states, service, top, make):
    new = make(NEW)
    states.build.put_in_force(new)
    ret = states.current(new, stays=0.1)
    assert ret["changes"] == {"current": {"old": str(top / OLD), "new": new}}
    assert runs(service) == new


def test_a_file_with_another_checksum_is_told(states, tmp_path):
    states.__salt__ = {"file.get_hash": lambda path, form: f"{form} of {path}"}
    file = str(tmp_path / "tarball")
    assert states.verified(file, f"sha256=sha256 of {file}")["result"] is True
    ret = states.verified(file, "sha256=00")
    assert ret["result"] is False
    assert f"sha256=sha256 of {file}, not sha256=00" in ret["comment"]


def test_a_build_that_ends_soon_after_its_start_is_taken_back(states, service, top, make):
    service.seconds = "2"
    ret = states.current(make(NEW), stays=30)
    assert ret["result"] is False
    assert "it ended within 30 s of its start" in ret["comment"]
    assert os.path.realpath(top / "current") == str(top / OLD)


def test_calls_that_do_not_end_in_time_keep_the_build_that_they_are_on(states, service, top, make):
    service.calls = True
    ret = states.current(make(NEW))
    assert ret["result"] is False
    assert "the next apply tries again: 2 channels are active" in ret["comment"]
    assert runs(service) == str(top / OLD) == os.path.realpath(top / "current")
    # The restart that was ordered is called off, or it would be one of the old build.
    assert service.asked == [[str(top / OLD / "sbin/asterisk"), "-rx", "core abort shutdown"]]
    assert states.build.failure(str(top / NEW)) is None


def test_what_did_not_run_before_is_not_left_running_by_a_way_back(states, service, top, make):
    service.stop()
    service.fails = True
    ret = states.current(make(NEW, EXITS))
    assert ret["result"] is False
    assert "is in force again; it did not run" in ret["comment"]
    assert service.pid() == 0


def test_under_test_nothing_is_done(states, service, top, make):
    states.__opts__["test"] = True
    ret = states.current(make(NEW))
    assert ret["result"] is None
    assert ret["changes"]["current"]["new"] == str(top / NEW)
    assert os.path.realpath(top / "current") == str(top / OLD)
    assert states.present(str(top / OLDER[::-1].replace("3", "4")), "/no/tarball")["result"] is None
    assert states.absent(str(top))["result"] is None
    assert sorted(os.listdir(top)) == [OLD, NEW, OLDER, "current", "previous"]


def test_a_build_that_is_there_is_not_made_again(states, service, top):
    ret = states.present(str(top / OLD), "/no/tarball")
    assert (ret["result"], ret["changes"]) == (True, {})


def test_what_cannot_be_built_is_a_failure_and_no_exception(states, service, top, tmp_path):
    states.__grains__ = {"num_cpus": 1}
    ret = states.present(str(top / ("4" * 16)), str(tmp_path / "no-tarball"))
    assert ret["result"] is False
    assert "Asterisk was not built: tar --no-same-owner ended with" in ret["comment"]
