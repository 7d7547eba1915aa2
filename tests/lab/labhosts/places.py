"""Where a clone's lab keeps things, and the names it uses on the machine."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from pathlib import Path

CLONE = Path(__file__).resolve().parents[3]
ROOT_RECIPES = CLONE / "tests" / "lab" / "roots"
CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/asterisk-formula"))
STATES = Path("/var/lib/asterisk-formula-lab")
RUN = Path("/run/asterisk-formula-lab")
# Set aside for tests of network devices (RFC 2544): no real network should use it.
ALL = ipaddress.ip_network("198.18.0.0/15")
NETWORKS = list(ALL.subnets(new_prefix=24))


class Lab:
    """One clone's lab. Its id, six hex digits of the clone's path, is in every name it uses."""

    def __init__(self, clone: Path = CLONE):
        self.clone = clone
        self.id = hashlib.sha256(str(clone).encode()).hexdigest()[:6]
        self.state = STATES / self.id
        self.lock = RUN / f"{self.id}.lock"
        self.bridge = f"lab{self.id}"
        self.table = f"asterisk-formula-lab-{self.id}"
        self.cgroup = f"asterisk-formula-lab-{self.id}"

    def hosts(self) -> Path:
        """The folder with one folder for each host that has a disk."""
        return self.state / "hosts"
