"""A real browser: Debian's Chromium by its own driver, over the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
# The lab's CA is not in this machine's trust store.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--window-size=1400,900", "--ignore-certificate-errors",
]  # fmt: skip


class Browser:
    """One window. ``hosts``: host name to address, since the lab's names are its own."""

    def __init__(self, hosts):
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in self._driver.stdout:
            if "successfully on port" in line:
                self._url = f"http://127.0.0.1:{line.rsplit(None, 1)[-1].rstrip('.')}"
                break
        else:
            raise RuntimeError("chromedriver ended at once")
        rules = ",".join(f"MAP {name} {address}" for name, address in hosts.items())
        options = {"args": [*ARGUMENTS, f"--host-resolver-rules={rules}"]}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._url += f"/session/{self._ask('POST', '/session', capabilities=wanted)['sessionId']}"

    def close(self):
        """End the browser and its driver."""
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def _ask(self, method, path, **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:1000]) from None

    def open(self, url):
        self._ask("POST", "/url", url=url)

    def run(self, script, *arguments):
        """What a piece of JavaScript returns."""
        return self._ask("POST", "/execute/sync", script=script, args=list(arguments))

    def await_that(self, script, *arguments, seconds=60):
        """What the script returns, once it is true. Raises ``RuntimeError`` with a screenshot."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.run(script, *arguments)
            if found:
                return found
            time.sleep(0.1)
        raise RuntimeError(f"Not within {seconds} s: {script} {arguments}: see {self.shot('late')}")

    def find(self, selector, seconds=60):
        """Wait until the page has what a CSS selector names."""
        self.await_that("return !!document.querySelector(arguments[0])", selector, seconds=seconds)

    def click(self, selector):
        self.find(selector)
        self.run("document.querySelector(arguments[0]).click()", selector)

    def notification(self, words, seconds=60):
        """Wait for a notification that holds ``words``: its text."""
        script = """return [...document.querySelectorAll('.o_notification')]
            .map(shown => shown.textContent).find(text => text.includes(arguments[0]))"""
        return self.await_that(script, words, seconds=seconds)

    def shot(self, name):
        """A screenshot among the run's artefacts: its path."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))
        return path
