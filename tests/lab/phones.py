"""Phones on the hub, by sipp: over UDP, TLS or a secure websocket."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCENARIOS = "/srv/asterisk-formula/tests/lab/sipp"
AUTHORITY = "/usr/local/share/ca-certificates/lab.crt"
PLAIN = "m=audio [media_port] RTP/AVP 0"
# What the calling scenario offers in place of that: voice in SRTP, its key in the SDP…
ENCRYPTED = """m=audio [media_port] RTP/SAVP 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ"""
# … or as a browser does, its key by DTLS.
BROWSER = """m=audio [media_port] UDP/TLS/RTP/SAVPF 0
a=fingerprint:sha-256 5D:F2:57:37:AF:10:5C:2E:99:1A:66:0C:8D:1A:9A:0E:A1:C9:D0:3B:55:6F:8A:F6:0F:\
E0:33:9C:70:28:B4:11
a=setup:actpass
a=ice-ufrag:lab1
a=ice-pwd:a-password-of-22-letters-or-more
a=rtcp-mux
a=candidate:1 1 udp 2130706431 [media_ip] [media_port] typ host"""


class Phone:
    """An account of a PBX, as a phone on the hub has it.

    ``over``: sipp's word for the transport: ``u1`` UDP, ``l1`` TLS, ``x1`` a secure websocket;
    certificates are verified. ``offer``: what it says of its media when it calls.
    """

    def __init__(self, house, pbx, user, over="u1", port=5060, offer=PLAIN):
        self._house, self.user, self._over, self._offer = house, user, over, offer
        self._remote = f"{house.address(pbx)}:{port}"
        # One of its own: what is late of a call to one phone is not for another.
        self._port = 5000 + int(user)
        secret = house.run(pbx, "cat", f"/etc/salt/asterisk/endpoint-{user}").stdout.strip()
        # In a file, since every user of a host sees the arguments of its processes.
        self._login = f"/root/phone-{user}.csv"
        house.write("hub", self._login, f"SEQUENTIAL\n{user};{secret};\n")

    def register(self):
        """Log in. Raises ``RuntimeError``."""
        command = self._sipp(f"{SCENARIOS}/register.xml", self._port)
        self._house.run("hub", *command, "-inf", self._login)

    def call(self, number, talk=300):
        """Call ``number`` and hang up after ``talk`` ms. Raises ``RuntimeError``."""
        scenario = "/root/call.xml"
        text = (HERE / "sipp/call.xml").read_text()
        self._house.write("hub", scenario, text.replace(PLAIN, self._offer))
        options = ["-inf", self._login, "-s", number, "-d", str(talk), "-mp", "6100"]
        self._house.run("hub", *self._sipp(scenario, 5080), *options)

    @contextlib.contextmanager
    def answering(self):
        """Within, a call to this phone is answered. Raises ``RuntimeError`` without one."""
        self.register()
        command = [*self._sipp(f"{SCENARIOS}/answer.xml", self._port), "-mp", "6200"]
        answering = subprocess.Popen(
            [HERE / "lab", "exec", "hub", "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            self._house.await_that(self._listens, f"the phone of {self.user}", 30)
            yield
            answering.wait(60)
        finally:
            if answering.poll() is None:
                answering.terminate()
        if answering.returncode:
            raise RuntimeError(f"{self.user} was not called:\n{answering.stdout.read()[-3000:]}")

    def _listens(self):
        return f":{self._port} " in self._house.run("hub", "ss", "-Hlun").stdout

    def _sipp(self, scenario, port):
        command = ["sipp", self._remote, "-sf", scenario, "-p", str(port), "-t", self._over]
        if self._over != "u1":
            command += ["-tls_ca", AUTHORITY]
        if self._over == "x1":
            command += ["-ws_path", "/ws"]
        return [*command, "-i", self._house.address("hub"), "-nostdin", "-m", "1", "-timeout", "30"]
