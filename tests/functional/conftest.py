"""A master and a minion: real daemons, on ports of their own, with the repository as file root."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
import salt.client
from tests.fake_ami import FakeAMI, frame
from tests.fake_odoo import FakeOdoo

from pbxlib.doorbell import Doorbell

REPO = Path(__file__).resolve().parents[2]
IGNORED = [r"/\.git($|/)", r"/\.venv($|/)", r"__pycache__", r"\.hypothesis", r"/tests($|/)"]
SECRET = "s3cret"
MAPPED = {"model": "my.channel", "method": "on_state"}


@pytest.fixture(scope="session")
def ami():
    with FakeAMI(secret=SECRET) as server:
        server.answers["CoreSettings"] = lambda peer, action: peer.reply(
            action, AsteriskVersion="22.10.1"
        )
        server.answers["CoreShowChannels"] = show_channels
        server.answers["CoreStatus"] = lambda peer, action: peer.reply(
            action,
            CoreStartupDate="2026-11-23",
            CoreStartupTime="04:00:00",
            CoreCurrentCalls="3",
        )
        yield server


def show_channels(peer, action):
    identity = action["ActionID"]
    peer.reply(action, EventList="start", Message="Channels will follow")
    for name in ("PJSIP/101-1", "PJSIP/102-1"):
        peer.send(frame("Event: CoreShowChannel", ActionID=identity, Channel=name))
    peer.send(frame("Event: CoreShowChannelsComplete", "EventList: Complete", ActionID=identity))


@pytest.fixture(scope="session")
def odoo():
    with FakeOdoo() as server:
        yield server


class Pillar:
    """The minion's pillar in ``folder``; ``asterisk`` is the value of its one key."""

    def __init__(self, folder, **asterisk):
        self.folder = folder
        self.asterisk = asterisk
        (folder / "top.sls").write_text("base: {'*': [pbx]}")
        self.write()

    def write(self, **asterisk):
        """What the master gives from now on: the pillar that the session has, and these keys."""
        text = json.dumps({"asterisk": {**self.asterisk, **asterisk}})
        (self.folder / "pbx.sls").write_text(text)


@pytest.fixture(scope="session")
def pillar(tmp_path_factory, ami, odoo):
    return Pillar(
        tmp_path_factory.mktemp("pillar"),
        ami={"host": ami.host, "port": ami.port, "secret": SECRET},
        odoo=odoo.settings(api="json2"),
        events={"Newstate": [MAPPED]},
        bus_events={"salt/minion/*/start": [{"model": "my.server", "method": "on_start"}]},
        outbox={"retry_first": 0.1, "retry_cap": 1},
    )


@pytest.fixture(scope="session")
def salt_factories_default_root_dir():
    # Not pytest's folder: the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="salt-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def master(salt_factories, pillar):
    daemon = salt_factories.salt_master_daemon(
        "hub",
        overrides={
            "file_roots": {"base": [str(REPO)]},
            "file_ignore_regex": IGNORED,
            "pillar_roots": {"base": [str(pillar.folder)]},
            "ext_pillar": [{"odoo_events": {}}],
            "auto_accept": True,
        },
        start_timeout=180,
    )
    with daemon.started():
        assert daemon.salt_run_cli().run("saltutil.sync_all").returncode == 0
        yield daemon


@pytest.fixture(scope="session")
def client(master):
    """What Odoo reaches through salt-api."""
    with salt.client.get_local_client(master.config["conf_file"]) as found:
        yield found


@pytest.fixture(scope="session")
def new_minion(master):
    """A minion that was freshly started and has synced the extensions since, as at an install."""
    daemon = master.salt_minion_daemon(
        "pbx1",
        overrides={"engines": [{"asterisk_ami": {}}, {"odoo_outbox": {}}]},
        start_timeout=180,
    )
    with daemon.started():
        assert daemon.salt_call_cli().run("saltutil.sync_all").returncode == 0
        yield daemon


@pytest.fixture(scope="session")
def cache(new_minion):
    return Path(new_minion.config["cachedir"]) / "asterisk"


@pytest.fixture(scope="session")
def before_the_restart(new_minion, client, cache):
    """What a job of Odoo's, and a command, come to before the engines could be loaded."""
    cache.mkdir(mode=0o700, exist_ok=True)
    bell = Doorbell(str(cache / "outbox.sqlite"))
    client.cmd("pbx1", "test.echo", ["before"], ret="odoo", metadata=metadata("token-1"))
    kept = bell.wait(60)
    bell.close()
    command = new_minion.salt_call_cli().run("asterisk.manager_action", '{"Action": "Ping"}')
    return {"kept": kept, "command": command}


@pytest.fixture(scope="session")
def minion(new_minion, before_the_restart, ami):
    """The minion with its engines: it was restarted once, as the formula does."""
    new_minion.terminate()
    new_minion.start()
    ami.received("Login", timeout=60)
    return new_minion


def metadata(token):
    """The metadata of a job that Odoo started."""
    return {"asterisk_plus": {"token": token}}
