"""A real browser: Debian's Chromium, by playwright-core, which waits for what it is told to use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL = HERE.parent / "browser"
ARTIFACTS = HERE.parents[1] / "artifacts"
# The lab's CA is not in this machine's trust store; playwright's own option for that leaves out
# the worker that Odoo's notifications come by.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors"]


class Browser:
    """One page. ``hosts``: host name to address, since the lab's names are its own.

    A selector is playwright's: CSS, with ``:has-text("…")`` and the like. Every method waits up
    to three minutes until it can be done, and raises ``RuntimeError`` with a screenshot if not.
    """

    def __init__(self, hosts):
        modules = subprocess.check_output([INSTALL], text=True).strip()
        self._node = subprocess.Popen(
            ["node", str(HERE / "playwright" / "page.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_PATH": f"{modules}/node_modules"},
        )
        rules = ",".join(f"MAP {name} {address}" for name, address in hosts.items())
        self._write(
            executablePath=shutil.which("chromium"),
            args=[*ARGUMENTS, f"--host-resolver-rules={rules}"],
        )
        self.faults = []

    def close(self):
        """End the browser."""
        self._node.stdin.close()
        self._node.wait(60)

    def _write(self, **line):
        self._node.stdin.write(json.dumps(line) + "\n")
        self._node.stdin.flush()

    def _call(self, call, *args, at=None):
        """What a method of the page, or of the element ``at`` a selector, returns."""
        self._write(at=at, call=call, args=args)
        line = self._node.stdout.readline()
        if not line:
            raise RuntimeError(f"the browser ended, with {self._node.wait(60)}")
        answer = json.loads(line)
        self.faults += answer["faults"]
        if "error" in answer:
            if call != "screenshot":
                self.shot("failed")
            raise RuntimeError(f"{call} {at or args}: {answer['error']}: see {ARTIFACTS}")
        return answer.get("value")

    def open(self, url):
        self._call("goto", url)

    def find(self, selector):
        """Wait until it shows."""
        self._call("waitFor", at=selector)

    def gone(self, selector):
        """Wait until there is none."""
        self._call("waitFor", {"state": "detached"}, at=selector)

    def text(self, selector):
        return self._call("innerText", at=selector)

    def fill(self, selector, text):
        self._call("fill", text, at=selector)

    def click(self, selector):
        self._call("click", at=selector)

    def notification(self, words):
        """Wait for a notification that holds ``words``: its text."""
        return self.text(f'.o_notification:has-text("{words}")')

    def shot(self, name):
        """A screenshot among the run's artefacts."""
        ARTIFACTS.mkdir(exist_ok=True)
        self._call("screenshot", {"path": str(ARTIFACTS / f"{name}.png")})
