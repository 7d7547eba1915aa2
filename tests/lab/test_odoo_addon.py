"""The addon's own tests, by Odoo's test runner, on a copy of the host's database.

On the newest Odoo the module that docs/odoo.md writes is installed and tested beside it.
"""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "odoo.md"
ADDONS = "/var/lib/odoo/of_the_page"

COPY = """
set -e
runuser -u odoo -- dropdb --if-exists addon_tests
runuser -u odoo -- createdb addon_tests
runuser -u odoo -- pg_dump -Fc odoo | runuser -u odoo -- pg_restore --no-owner -d addon_tests
runuser -u odoo -- psql -q addon_tests <<EOF
DELETE FROM asterisk_plus_call;
DELETE FROM asterisk_plus_user;
DELETE FROM asterisk_plus_server;
EOF
"""
TEST = """
addons=$(sed -n 's/^addons_path *= *//p' /etc/odoo/odoo.conf)
runuser -u odoo -- odoo --config /etc/odoo/odoo.conf --database addon_tests --workers 0 \
    --http-port 8170 --addons-path "$addons{more_addons}" --update asterisk_plus \
    --init asterisk_plus_example{more} --test-enable \
    --test-tags /asterisk_plus,/asterisk_plus_example{more_tags} --stop-after-init --logfile '' 2>&1
runuser -u odoo -- dropdb addon_tests
"""


def write_the_pages_module(house, host):
    """Put together what a reader of docs/odoo.md does, under ``ADDONS`` on ``host``."""
    manifest, events, handler, access, call_back, test = re.findall(
        r"^```(?:python|xml|csv)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    files = {
        "__init__.py": "from . import models",
        "__manifest__.py": manifest,
        "data/events.xml": events,
        "models/__init__.py": "from . import call",
        "models/call.py": handler + "\n" + call_back,
        "security/ir.model.access.csv": access,
        "tests/__init__.py": "from . import test_calls",
        "tests/test_calls.py": test,
    }
    folders = [f"{ADDONS}/my_calls/{name}" for name in ("data", "models", "security", "tests")]
    house.run(host, "mkdir", "-p", *folders)
    for name, text in files.items():
        house.write(host, f"{ADDONS}/my_calls/{name}", text)
    house.run(host, "chown", "-R", "odoo", ADDONS)


@pytest.mark.parametrize("host", ["odoo", "odoo14"])
def test_the_addons_own_tests_pass(house, host):
    house.lab("up", host)
    house.run(host, "bash", "-c", COPY)
    more = {"more_addons": "", "more": "", "more_tags": ""}
    if host == "odoo":
        write_the_pages_module(house, host)
        more = {"more_addons": f",{ADDONS}", "more": ",my_calls", "more_tags": ",/my_calls"}

    output = house.run(host, "bash", "-c", TEST.format(**more), timeout=1800).stdout

    faults = [line for line in output.splitlines() if " ERROR " in line or " CRITICAL " in line]
    assert faults == []
    assert "0 failed, 0 error(s) of" in output
    assert " of 0 tests" not in output
    if host == "odoo":
        assert "Starting TestCalls.test_a_bad_end_is_recorded" in output
