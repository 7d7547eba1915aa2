"""Odoo refuses what a PBX would refuse: two programs, one list of what a condition may say."""

import importlib.util
from pathlib import Path

import pytest

from pbxlib import events

ADDON = Path(__file__).resolve().parents[2] / "odoo_glue/asterisk_plus/conditions.py"


@pytest.fixture(scope="module")
def addon():
    spec = importlib.util.spec_from_file_location("addon_conditions", ADDON)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["_METHODS", "_FILTERS", "_TESTS", "_NODES", "MAX_CONDITION"])
def test_the_addon_and_the_bridge_accept_the_same(addon, name):
    assert getattr(addon, name) == getattr(events, name)
