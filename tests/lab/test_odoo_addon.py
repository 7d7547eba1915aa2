"""The addon's own tests, by Odoo's test runner, on a copy of the host's database."""

import pytest

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
runuser -u odoo -- odoo --config /etc/odoo/odoo.conf --database addon_tests --workers 0 \
    --http-port 8170 --update asterisk_plus --init asterisk_plus_example --test-enable \
    --test-tags /asterisk_plus,/asterisk_plus_example --stop-after-init --logfile '' 2>&1
runuser -u odoo -- dropdb addon_tests
"""


@pytest.mark.parametrize("host", ["odoo", "odoo14"])
def test_the_addons_own_tests_pass(house, host):
    house.lab("up", host)
    house.run(host, "bash", "-c", COPY)

    output = house.run(host, "bash", "-c", TEST, timeout=600).stdout

    faults = [line for line in output.splitlines() if " ERROR " in line or " CRITICAL " in line]
    assert faults == []
    assert "0 failed, 0 error(s) of" in output
    assert " of 0 tests" not in output
