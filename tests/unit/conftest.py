"""Fixtures of the unit tier: an outbox whose clock stands still, and a scripted Odoo."""

import pytest
from tests.fake_odoo import FakeOdoo

from pbxlib import settings
from pbxlib.outbox import Outbox


class Clock:
    """A clock (s) that stands still until it is told to go on."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "asterisk" / "outbox.sqlite")


@pytest.fixture
def outbox(path, clock):
    box = Outbox(path, 10_000, 100_000_000, clock=clock)
    yield box
    box.close()


@pytest.fixture
def odoo():
    with FakeOdoo() as server:
        yield server


@pytest.fixture
def resolved(odoo):
    """Resolved settings for the scripted Odoo, with pauses too short to wait for."""
    found = settings.resolve({"odoo": odoo.settings(api="json2")})
    found["odoo"].update(connect_timeout=5.0, read_timeout=5.0)
    found["outbox"].update(retry_first=0.01, retry_cap=0.02, batch_wait=0.001)
    return found
