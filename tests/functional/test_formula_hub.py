"""What the hub's configuration lets Odoo's account do, asked of Salt's own check."""

import json

import pytest
import yaml
from formula_host import FormulaHost
from salt.config import DEFAULT_MASTER_OPTS
from salt.utils.minions import CkMinions


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    host = FormulaHost(tmp_path_factory.mktemp("host"))
    hub = {
        "listen": "0.0.0.0",
        "port": 8000,
        "account": "odoo",
        "token_expire": 60,
        "functions": [],
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


def test_salt_api_opens_no_other_client(conf):
    assert conf["netapi_enable_clients"] == ["runner"]
    assert conf["rest_cherrypy"]["ssl_crt"] == "/c"
