"""Debian packages that this machine needs for the lab."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from labhosts.say import run, say

NEEDED = {  # a command, or a file's path → its package
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}


def install_missing() -> None:
    """Install what is missing, after saying so."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [
        package
        for need, package in NEEDED.items()
        if not (Path(need).exists() if need.startswith("/") else shutil.which(need, path=path))
    ]
    if missing:
        say(f"installing on this machine: {' '.join(missing)}")
        options = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        run("apt-get", "update", **options)
        run("apt-get", "install", "-y", "--no-install-recommends", *missing, **options)
