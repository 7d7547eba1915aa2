"""The house, set up once for all lab tests: hub, pbx1 and odoo, as README.md has it."""

import pytest
from house import House


@pytest.fixture(scope="session")
def bare_house():
    """The hosts alone, up; what is on them is whatever the last run left."""
    house = House()
    house.lab("up", "hub", "pbx1", "odoo")
    return house


@pytest.fixture(scope="session")
def house(bare_house):
    """The hosts with everything applied and the bridge connected."""
    bare_house.provision_hub()
    bare_house.server = bare_house.connect_odoo()
    bare_house.apply()
    bare_house.await_bridge()
    return bare_house
