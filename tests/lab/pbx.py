"""A PBX of the lab as the tests of its bridge see it: its bus, its processes, its console."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time

from house import HERE

ON_THE_BUS = ["/opt/salt/bin/python", "/srv/asterisk-formula/tests/lab/on_the_bus.py"]
# The engine's processes, with their CPU time so far in ticks of 10 ms.
BRIDGE = """
import glob, json
found = []
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        title = open(path).read().rstrip("\\0 ")
        stat = open(path.replace("cmdline", "stat")).read().rsplit(")", 1)[1].split()
    except OSError:
        continue
    if title.endswith("engines.asterisk_ami)"):
        found.append([int(path.split("/")[2]), int(stat[11]) + int(stat[12])])
print(json.dumps(found))
"""


class Pbx:
    """One PBX of a :class:`house.House`."""

    def __init__(self, house, name):
        self.house = house
        self.name = name

    def run(self, *command, **options):
        return self.house.run(self.name, *command, **options)

    def call(self, function, *arguments):
        """What ``salt-call`` prints, parsed."""
        return self.house.call(self.name, function, *arguments)

    def console(self, command):
        """What Asterisk's own console prints for a command."""
        return self.run("asterisk", "-rx", command).stdout

    def signal_asterisk(self, name):
        self.run("systemctl", "kill", f"--signal={name}", "asterisk")

    def bridges(self):
        """``[pid, CPU ticks]`` of each process that is, or waits to be, the bridge."""
        return json.loads(self.run("python3", "-c", BRIDGE).stdout)

    def map(self):
        """The names of the AMI events that the bridge's settings, Odoo's among them, want."""
        kept = "/var/cache/salt/minion/asterisk/settings.json"
        return set(json.loads(self.run("cat", kept, check=False).stdout or "{}").get("events", ()))

    def sessions(self):
        """How many AMI sessions the bridge's account has, as Asterisk counts them."""
        lines = self.console("manager show connected").splitlines()
        return sum(line.split()[:1] == ["salt"] for line in lines)

    @contextlib.contextmanager
    def _program(self, mode, given=""):
        command = [HERE / "lab", "exec", self.name, "--", *ON_THE_BUS, mode]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            lines = queue.Queue()

            def read():
                for line in process.stdout:
                    lines.put(json.loads(line))
                lines.put(None)

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            try:
                process.stdin.write(given)
                process.stdin.close()
                lines.get(timeout=60)
                yield lines
            finally:
                process.terminate()
                reader.join(10)

    @contextlib.contextmanager
    def listening(self):
        """An :class:`Ear` on the minion's bus."""
        with self._program("listen") as lines:
            yield Ear(lines)

    @contextlib.contextmanager
    def asking(self, *actions):
        """Fire AMI actions at once: a function that awaits their ``[reply, seconds]``."""
        actions = [{"timeout": 10, **action} for action in actions]
        with self._program("ask", json.dumps(actions)) as lines:
            yield lambda: lines.get(timeout=90)

    def ask(self, *actions):
        """The reply (list of dicts) of each AMI action; ``None`` where none came."""
        with self.asking(*actions) as answers:
            return [answer and answer[0] for answer in answers()]

    def originate(self, exten, **headers):
        """Start a call from an extension of the tests' context to nothing that talks."""
        action = {
            "Action": "Originate",
            "Channel": f"Local/{exten}@lab-ami",
            "Application": "Wait",
            "Data": "1",
            "Async": "true",
            **headers,
        }
        ((reply, *_),) = self.ask(action)
        assert reply["Response"] == "Success", reply


class Ear:
    """What the bridge says on the bus, from the moment that this began."""

    def __init__(self, lines):
        self._lines = lines
        self._batch = []
        self._passed = []  # what was heard while something else was awaited
        self.past = []  # the AMI events that were heard so far

    def await_event(self, name, seconds=120, **headers):
        """An AMI event of this name and with these headers that was not returned before.

        Asterisk says in no fixed order what two of its parts have to say of one call.
        """

        def wanted(kind, data):
            return kind == name and headers.items() <= data.items()

        for heard in self._passed:
            if wanted(*heard):
                self._passed.remove(heard)
                return heard[1]
        return self._await(wanted, f"the event {name} {headers}", seconds)

    def await_state(self, state, seconds=120):
        """The next change to this state of the AMI connection: its data."""

        def wanted(kind, data):
            return kind == "asterisk/ami/state" and data["state"] == state

        return self._await(wanted, f"the state {state}", seconds)

    def _next(self, seconds):
        """``(AMI event's name or bus tag, data)``."""
        while not self._batch:
            tag, data = self._lines.get(timeout=max(0.0, seconds)) or ("the end", {})
            if tag == "asterisk/ami/events":
                self._batch = [(event["Event"], event) for event in data["events"]]
                self.past += data["events"]
            else:
                self._batch = [(tag, data)]
        return self._batch.pop(0)

    def _await(self, wanted, what, seconds):
        end = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while time.monotonic() < end:
                heard = self._next(end - time.monotonic())
                if wanted(*heard):
                    return heard[1]
                self._passed.append(heard)
        said = "\n".join(str(heard)[:300] for heard in self._passed[-20:])
        raise AssertionError(f"Not within {seconds} s: {what}; heard: {said}")
