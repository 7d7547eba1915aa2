"""
The whole house on the lab's hosts: what an administrator does by README.md, as functions.

The demonstration and the lab tests stand on it. A :class:`House` remembers nothing but what the
hosts themselves say, so that every function can be called again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from labhosts import authority, inventory, network, places  # noqa: E402
from phones import Phone  # noqa: E402

ADMIN_KEY = "/root/odoo-admin-api-key"
ADMIN = 2  # the id of base.user_admin
PBX_PILLAR = """\
# Written by the lab. What a PBX is: two phones, a dialplan, and where its Odoo is.
asterisk:
  endpoints:
    '101': {callerid: '"Ada Lovelace" <101>'}
    '102': {callerid: '"Grace Hopper" <102>'}
  config:
    extensions.conf:
      from-internal:
        exten:
          - _1XX,1,Dial(PJSIP/${EXTEN},20)
          - '600,1,Answer()'
          - '600,2,Wait(1)'
          - '600,3,Hangup()'
          - '700,1,Answer()'
          - '700,2,ForkCDR()'
          - '700,3,Hangup()'
"""
TOP = """\
base:
  'pbx*':
    - pbx
    - {{ grains.id }}
"""
# Runs in Odoo's own shell: what an administrator does on the server's form.
CONNECT = """
import json
given = json.loads({given!r})
Server = env["asterisk_plus.server"]
server = Server.search([("minion_id", "=", given["minion"])])
known = server and given["has_key"]
server = server or Server.create(
    {{"name": given["minion"].upper(), "minion_id": given["minion"]}})
server.write({{
    "salt_api_url": given["url"], "salt_api_user": given["user"],
    "salt_api_password": given["password"], "salt_api_ca": given["ca"],
}})
result = {{"id": server.id}}
if not known:
    result["key"] = server.generate_agent_key()
    result["login"] = server.user_id.login
if not given["has_admin_key"]:
    # What the tests ask Odoo with, in place of a browser.
    from odoo.addons.asterisk_plus import compat
    admin = env.ref("base.user_admin")
    manager = env.ref("asterisk_plus.group_manager")
    admin.write({{compat.group_field(env): [(4, manager.id)]}})
    result["admin_key"] = compat.new_api_key(admin, "lab")
env.cr.commit()
print("RESULT " + json.dumps(result))
"""


class House:
    """The hub, the PBXs and one Odoo of this clone's lab: ``odoo``, its host, or ``odoo14``."""

    def __init__(self, odoo="odoo"):
        self.odoo_host = odoo
        self.odoo_url = f"https://{odoo}"
        self._lab = places.Lab()
        self._key = None

    # Hosts -------------------------------------------------------------------------------

    def lab(self, *arguments, **options):
        """Run ``tests/lab/lab``. Raises ``CalledProcessError``."""
        return subprocess.run([HERE / "lab", *arguments], check=True, **options)

    def run(self, host, *command, stdin="", check=True, timeout=900):
        """Run a command on a host: its ``CompletedProcess``, output as text."""
        done = subprocess.run(
            [HERE / "lab", "exec", host, "--", *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{host}: {' '.join(command)} ended with {done.returncode}:\n"
                f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def write(self, host, path, text):
        """Write a file of mode 0600 on a host."""
        self.run(host, "install", "-m", "600", "/dev/stdin", path, stdin=text)

    def address(self, host):
        """A host's address, as text."""
        return str(network.address(self._lab, inventory.HOSTS[host]))

    # Salt --------------------------------------------------------------------------------

    def salt(self, minion, function, *arguments, seconds=600):
        """What a function returned on a minion. Raises ``RuntimeError`` when it failed.

        Salt publishes a job once: a minion that is just connecting anew never hears of it. So
        a job without an answer is asked for a second time, once it is known not to run.
        """
        # How long salt waits before it asks a busy minion whether the job still runs.
        command = ["salt", "--timeout=30", "--out=json", "--static", minion, function]
        for _ in range(2):
            done = self.run("hub", *command, *arguments, timeout=seconds, check=False)
            with contextlib.suppress(ValueError, KeyError):
                return json.loads(done.stdout)[minion]
            self.await_minion(minion)
            self.await_that(
                lambda: not self.call(minion, "saltutil.is_running", function),
                f"the end of {function} on {minion}, which did not answer in time",
                seconds,
            )
        raise RuntimeError(f"{minion}: {function}: {done.stdout}{done.stderr}")

    def await_minion(self, minion):
        """Wait until the master hears from a minion."""
        # Asked too early, the command would wait long for a minion that connects meanwhile.
        patience = itertools.count(8)

        def answers():
            ping = ["timeout", str(next(patience)), "salt", "--timeout=5", minion, "test.ping"]
            return self.run("hub", *ping, check=False).returncode == 0

        self.await_that(answers, f"an answer of {minion}'s minion", 300)

    def call(self, minion, function, *arguments):
        """What ``salt-call`` prints on a minion, parsed."""
        done = self.run(minion, "salt-call", "--out=json", function, *arguments, check=False)
        try:
            return json.loads(done.stdout)["local"]
        except (ValueError, KeyError):
            raise RuntimeError(f"{minion}: {function}: {done.stdout}{done.stderr}") from None

    # Odoo --------------------------------------------------------------------------------

    def odoo_shell(self, script):
        """Run Python in Odoo's shell; what it prints after ``RESULT`` as JSON is returned."""
        done = self.run(self.odoo_host, "odoo-shell", stdin=script)
        for line in reversed(done.stdout.splitlines()):
            if "RESULT " in line:
                return json.loads(line.split("RESULT ", 1)[1])
        raise RuntimeError(f"Odoo's shell returned nothing:\n{done.stdout}\n{done.stderr}")

    def odoo(self, model, method, **arguments):
        """Call a method of Odoo as its administrator: over JSON-2, or JSON-RPC before 19.

        Raises ``RuntimeError`` with what Odoo said, ``OSError`` when it does not answer.
        """
        if self._key is None:
            self._key = self.run(self.odoo_host, "cat", ADMIN_KEY).stdout.strip()
        if self.odoo_host == "odoo":
            return self._ask_odoo(
                f"json/2/{model}/{method}",
                arguments,
                {"Authorization": f"bearer {self._key}", "X-Odoo-Database": "odoo"},
            )
        ids = [arguments.pop("ids")] if "ids" in arguments else []
        call = ["odoo", ADMIN, self._key, model, method, ids, arguments]
        params = {"service": "object", "method": "execute_kw", "args": call}
        answer = self._ask_odoo("jsonrpc", {"jsonrpc": "2.0", "method": "call", "params": params})
        if "error" in answer:
            raise RuntimeError(f"{model}.{method}: {json.dumps(answer['error'])[:2000]}")
        return answer["result"]

    def _ask_odoo(self, path, body, headers=None):
        request = urllib.request.Request(
            f"https://{self.address(self.odoo_host)}/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )
        trust = ssl.create_default_context(cadata=authority.certificate(self._lab).decode())
        try:
            with urllib.request.urlopen(request, context=trust, timeout=300) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()[:2000]}") from None

    def await_that(self, check, what, seconds=120):
        """What ``check()`` returns, once it is true. Raises ``RuntimeError`` after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = check()
            if found:
                return found
            time.sleep(0.1)
        raise RuntimeError(f"Not within {seconds} s: {what}")

    def await_record(self, model, domain, fields, seconds=120):
        """The first record that a search finds, as a dict, once there is one."""

        def search():
            return self.odoo(model, "search_read", domain=domain, fields=fields, limit=1)

        return self.await_that(search, f"a {model} with {domain}", seconds)[0]

    def server_record(self, server):
        """What Odoo knows of a PBX: its minion's id and when that last started."""
        fields = ["minion_id", "last_start"]
        return self.odoo("asterisk_plus.server", "read", ids=[server], fields=fields)[0]

    def originate(self, server, action):
        """Start a job as Odoo's code does: its jid."""
        return self.odoo(
            "asterisk_plus.server",
            "local_job",
            ids=[server],
            fun="asterisk.manager_action",
            arg=action,
            res_model="asterisk_plus.server",
            res_method="originate_call_response",
            pass_back={"uid": 2},
        )

    def await_job(self, jid):
        """A job of Odoo's once it has its result: ``state``, ``result``, ``error``."""
        return self.await_record(
            "asterisk_plus.job",
            [("jid", "=", jid), ("state", "not in", ["new", "sending", "sent"])],
            ["state", "result", "error"],
        )

    def salt_api(self, low):
        """Ask salt-api for ``low`` with Odoo's account: ``(status, body)``."""
        program = "/srv/asterisk-formula/tests/lab/ask_salt_api.py"
        done = self.run("hub", "python3", program, stdin=json.dumps(low))
        return tuple(json.loads(done.stdout))

    # What an administrator does ----------------------------------------------------------

    def provision_hub(self):
        """Apply the hub's state: salt-api, its account, reactor and external pillar."""
        self.write("hub", "/srv/pillar/top.sls", TOP)
        self.write("hub", "/srv/pillar/pbx.sls", PBX_PILLAR)
        done = self.run(
            "hub", "salt-call", "state.apply", "asterisk-formula.hub", "--retcode-passthrough"
        )
        # The master was restarted, and a job sent before a minion is back is lost.
        self.await_minion("pbx1")
        return done

    def connect_odoo(self, minion="pbx1"):
        """Make the PBX known to Odoo, and Odoo to the PBX: the id of its server record."""
        pillar = f"/srv/pillar/{minion}.sls"
        # The key that it has, if any, may be another Odoo's.
        mine = ["grep", "-qF", f'"{self.odoo_url}"', pillar]
        has_key = self.run("hub", *mine, check=False).returncode == 0
        secret = self.run("hub", "cat", "/etc/salt/asterisk/salt-api-password").stdout
        given = {
            "minion": minion,
            "url": "https://hub:8000",
            "user": "odoo",
            "password": secret.strip(),
            "ca": self.run("hub", "cat", "/etc/salt/asterisk-hub/salt-api.crt").stdout,
            "has_key": has_key,
            "has_admin_key": self._has_admin_key(),
        }
        server = self.odoo_shell(CONNECT.format(given=json.dumps(given)))
        if "admin_key" in server:
            self.write(self.odoo_host, ADMIN_KEY, server["admin_key"])
        if "key" in server:
            settings = {
                "url": self.odoo_url,
                "database": "odoo",
                "login": server["login"],
                "api_key": server["key"],
            }
            self.write("hub", pillar, json.dumps({"asterisk": {"odoo": settings}}))
        return server["id"]

    def _has_admin_key(self):
        return self.run(self.odoo_host, "test", "-s", ADMIN_KEY, check=False).returncode == 0

    def apply(self, minion="pbx1", *arguments):
        """Apply the formula: a dict of state id to its result, when the minion is back."""
        before = self.minion_run(minion)
        result = self.salt(minion, "state.apply", "asterisk-formula", *arguments)
        if not isinstance(result, dict):
            raise RuntimeError(f"{minion}: the formula does not render: {result}")
        states = {state["__id__"]: state for state in result.values()}
        bad = {key: state["comment"] for key, state in states.items() if state["result"] is False}
        if bad:
            raise RuntimeError(f"{minion}: the formula failed: {json.dumps(bad, indent=2)}")
        self.await_restart(minion, states, before)
        return states

    def minion_run(self, minion):
        """What systemd calls this run of the minion: another one after a restart."""
        show = ["systemctl", "show", "-p", "InvocationID", "salt-minion"]
        return self.run(minion, *show).stdout

    def await_restart(self, minion, states, before):
        """Wait for the restart that an apply asked for; ``before`` is the run it was made in."""
        if states.get("asterisk-bridge-restart", {}).get("changes"):
            # The apply returns before its minion restarts; a job sent now would be lost.
            self.await_that(
                lambda: self.minion_run(minion) != before, f"a restart of {minion}'s minion"
            )
            self.await_minion(minion)

    @contextlib.contextmanager
    def other_pillar(self, minion="pbx1", **sections):
        """For a while, other settings in sections of a minion's pillar ``asterisk``."""
        path = f"/srv/pillar/{minion}.sls"
        before = self.run("hub", "cat", path).stdout
        pillar = json.loads(before)
        for section, settings in sections.items():
            pillar["asterisk"].setdefault(section, {}).update(settings)
        try:
            self.write("hub", path, json.dumps(pillar))
            self.salt(minion, "saltutil.refresh_pillar")
            yield
        finally:
            self.write("hub", path, before)
            self.salt(minion, "saltutil.refresh_pillar")

    def await_bridge(self, minion="pbx1", seconds=180):
        """Wait until Asterisk answers through the bridge."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = self.run(minion, "salt-call", "--out=json", "asterisk.ping", check=False)
            if done.returncode == 0 and json.loads(done.stdout or "{}").get("local") is True:
                return
        raise RuntimeError(f"{minion}: no bridge within {seconds} s: {done.stdout}{done.stderr}")

    # Phones ------------------------------------------------------------------------------

    def sip_call(self, caller="101", called="102", minion="pbx1", talk=1200):
        """A call between two phones of a PBX on the hub: ``called`` registers and answers."""
        with Phone(self, minion, called).answering():
            Phone(self, minion, caller).call(called, talk)
