"""The addon on an Odoo host: installed at the first `up`, updated when its files changed."""

from __future__ import annotations

import hashlib
import subprocess
import time

from labhosts.machine import ROLES, Machine
from labhosts.say import LabError, say

ANSWER_SECONDS = 300


def bring_up(machine: Machine) -> None:
    """Install or update the addon if need be and wait until Odoo answers over TLS."""
    name = machine.host.name
    present, applied = _addon_key(machine), machine.folder / "addon"
    if not applied.exists() or applied.read_text() != present:
        say(f"{name}: installing the addon")
        series = name.removeprefix("odoo")
        if series:
            # Here, since the hosts have the clone read-only.
            subprocess.run([machine.lab.clone / "odoo_glue" / "build", series], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        script = (ROLES / "odoo-addon.sh").read_text()
        done = machine.run("bash", "-euo", "pipefail", input=script, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        if done.returncode:
            raise LabError(f"{name}: the addon cannot be installed:\n{done.stdout}")
        applied.write_text(present)
    asked = ["curl", "-fsS", "-H", "Content-Type: application/json", "-d", "{}", "--max-time", "30"]
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        url = f"https://{name}/web/webclient/version_info"
        done = machine.run(*asked, url, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            break
        if time.monotonic() > deadline:
            raise LabError(f"{name}: Odoo does not answer at {url}: {done.stdout}")
        time.sleep(0.2)
    say(f"{name}: Odoo answers at https://{name}")


def _addon_key(machine: Machine) -> str:
    digest = hashlib.sha256()
    for path in sorted((machine.lab.clone / "odoo_glue").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()
