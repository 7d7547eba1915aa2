"""What the hub's configuration lets Odoo's account do, asked of Salt's own check."""

import json

import pytest
import yaml
from formula_host import FormulaHost
from salt.config import DEFAULT_MASTER_OPTS
from salt.utils.minions import CkMinions


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    home = tmp_path_factory.mktemp("host")
    return FormulaHost(home, asterisk_job_returns=["state.apply", "asterisk.bus_event"])


@pytest.fixture(scope="module")
def conf(host):
    hub = {
        "listen": "0.0.0.0",
        "port": 8000,
        "account": "odoo",
        "token_expire": 60,
        "functions": [],
        "job_returns": [],
    }
    text = host.call(
        "slsutil.renderer",
        "salt://asterisk-formula/files/master.conf",
        "default_renderer=jinja",
        f"hub={json.dumps(hub)}",
        "home=/etc/salt/asterisk-hub",
        "cert=/c",
        "key=/k",
    )
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return CkMinions({**DEFAULT_MASTER_OPTS, "__role": "master", "cachedir": cache})


@pytest.fixture(scope="module")
def allowed(conf, check):
    rights = conf["external_auth"]["file"]["odoo"]
    return lambda *funs: check.auth_check(rights, list(funs), [[] for _ in funs], "*")


@pytest.fixture(scope="module")
def runner_allowed(conf, check):
    rights = conf["external_auth"]["file"]["odoo"]
    return lambda fun: check.runner_check(rights, fun, {"arg": [], "kwarg": {}}) is True


@pytest.mark.parametrize("funs", [["test.ping"], ["asterisk.job"], ["cmd.run", "test.ping"]])
def test_odoo_may_call_no_function_of_a_minion_by_itself(allowed, funs):
    assert allowed(*funs) is False


def test_odoo_may_start_two_runners(runner_allowed):
    assert runner_allowed("asterisk.job") is True
    assert runner_allowed("asterisk.status") is True
    assert runner_allowed("asterisk.jobs") is False
    assert runner_allowed("xasterisk.job") is False
    assert runner_allowed("salt.cmd") is False


def test_the_certificate_is_for_names_and_for_addresses(host):
    host.set_pillar({"hub": {"tls": {"names": ["hub.example.com", "192.0.2.5", "2001:db8::5"]}}})
    names = host.low("asterisk-formula.hub")["asterisk-hub-certificate"]["subjectAltName"]
    assert names == ["DNS:hub.example.com", "IP:192.0.2.5", "IP:2001:db8::5"]


def test_salt_api_opens_no_other_client(conf):
    assert conf["netapi_enable_clients"] == ["runner"]
    assert conf["rest_cherrypy"]["ssl_crt"] == "/c"


JOB = {
    "id": "pbx1",
    "jid": "20261123000000000000",
    "fun": "state.apply",
    "success": False,
    "retcode": 2,
    "return": {
        "file_|-a": {"__id__": "a", "result": True, "comment": "fine"},
        "file_|-b": {"__id__": "b", "result": False, "comment": "no such folder"},
    },
}


def reaction(host, job):
    """What the reactor's SLS makes of the end of a job: its low data."""
    return host.call(
        "slsutil.renderer",
        "salt://reactor/job_return.sls",
        f"data={json.dumps(job)}",
        "tag=salt/job/1/ret/pbx1",
    )


def test_the_end_of_a_named_function_goes_to_the_pbx_that_ran_it_with_what_failed(host):
    (low,) = reaction(host, JOB).values()
    given = {key: value for item in low["local.asterisk.bus_event"] for key, value in item.items()}
    assert given["tgt"] == ["pbx1"]
    assert given["kwarg"]["data"]["failed"] == [{"id": "b", "comment": "no such folder"}]
    assert given["kwarg"]["data"]["success"] is False


@pytest.mark.parametrize(("said", "told"), [("no", "no"), (["a", "b"], "a\nb"), (True, "True")])
def test_what_is_no_state_run_is_told_as_a_text(host, said, told):
    (low,) = reaction(host, {**JOB, "return": said}).values()
    assert low["local.asterisk.bus_event"][2]["kwarg"]["data"]["return"] == told


@pytest.mark.parametrize("fun", ["test.ping", "asterisk.bus_event"])
def test_other_jobs_and_the_reactors_own_are_passed_over(host, fun):
    assert not reaction(host, {**JOB, "fun": fun})
