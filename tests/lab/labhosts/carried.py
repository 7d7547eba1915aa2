"""What hosts take over from this machine so that downloads work in them as they do here.

CA certificates that were added here, how pip and apt reach their registries, the name servers.
"""

from __future__ import annotations

import configparser
import os
import subprocess
from pathlib import Path

PIP_OPTIONS = (
    "cert",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def carried_files() -> dict[str, bytes]:
    """Path below a root's / → content."""
    files = {
        f"usr/local/share/ca-certificates/host-{path.name}": path.read_bytes()
        for path in Path("/usr/local/share/ca-certificates").glob("**/*.crt")
    }
    files["etc/resolv.conf"] = _name_servers()
    files["etc/pip.conf"] = _pip_conf()
    files["etc/apt/apt.conf.d/80lab-download"] = _apt_conf()
    return {path: content for path, content in files.items() if content}


def _name_servers() -> bytes:
    content = Path("/etc/resolv.conf").read_text()
    behind_stub = Path("/run/systemd/resolve/resolv.conf")
    if "nameserver 127." in content and behind_stub.exists():
        content = behind_stub.read_text()
    return content.encode()


def _pip_conf() -> bytes:
    """pip's network settings, from its files and then its environment."""
    parser = configparser.RawConfigParser()
    parser.read(["/etc/pip.conf", Path.home() / ".config/pip/pip.conf"])
    found = dict(parser["global"]) if parser.has_section("global") else {}
    for option in PIP_OPTIONS:
        value = os.environ.get("PIP_" + option.upper().replace("-", "_"))
        if value:
            found[option] = value
    kept = {option: found[option] for option in PIP_OPTIONS if option in found}
    if "cert" in kept:
        kept["cert"] = BUNDLE
    if "://" not in kept.get("find-links", "://"):
        del kept["find-links"]
    lines = [f"{option} = {value}" for option, value in kept.items()]
    return "\n".join(["[global]", *lines, ""]).encode() if lines else b""


def _apt_conf() -> bytes:
    """apt's proxy, and tries: those of Debian 11 and before have one for each download."""
    dumped = subprocess.run(
        ["apt-config", "dump"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    lines = [line for line in dumped.splitlines() if line.lower().startswith("acquire::http")]
    lines = ['Acquire::Retries "5";', *lines]
    return "".join(f"{line}\n" for line in lines if '""' not in line).encode()
