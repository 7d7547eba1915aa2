"""The hosts that a lab can have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """name; role: what is set up on it; root: its recipe; number: last octet of its address."""

    name: str
    role: str
    root: str
    number: int
    timezone: str = "Etc/UTC"


# The PBXs are not on UTC, so that a time that was not converted shows.
HOSTS = {
    host.name: host
    for host in (
        Host("hub", "hub", "hub", 10),
        Host("pbx1", "pbx", "forky", 11, "Europe/Berlin"),
        Host("pbx2", "pbx", "forky", 12, "America/St_Johns"),
        Host("pbx16", "pbx", "pbx16", 16, "Asia/Kolkata"),
        Host("pbxsrc", "pbx", "pbxsrc", 13, "Pacific/Auckland"),
        Host("odoo", "odoo", "odoo", 20),
        Host("odoo14", "odoo", "odoo14", 21),
    )
}
DEFAULT = ("hub", "pbx1", "odoo")
