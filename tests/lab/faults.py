"""Calls on PBXs while something breaks, and what became of each call's records in Odoo.

A :class:`Trial` starts calls, and compares what Asterisk wrote into its CDR file with what came
to two handlers: the addon's own, and the probe in ``addons/lab_probe``, which refuses nothing
and so has a record twice that was delivered twice.
"""

from __future__ import annotations

import csv
import json
import subprocess
import time
from contextlib import contextmanager

from house import HERE, PBX_PILLAR

CALLS_PROGRAM = "/srv/asterisk-formula/tests/lab/calls.py"
CDR_FILE = "/var/log/asterisk/cdr-custom/asterisk-formula.csv"
CACHE = "/var/cache/salt/minion/asterisk"
DESTINATION, CHANNEL, UNIQUEID, SEQUENCE = 2, 5, 16, 18
# Columns of that file, and the field of Odoo's record that has the same.
SAME = {1: "src", 2: "dst", 3: "dcontext", 4: "clid", 5: "channel", 6: "dstchannel", 9: "started",
        10: "answered", 11: "ended", 12: "duration", 13: "billsec", 14: "disposition",
        19: "linkedid"}  # fmt: skip
TIMES = ("started", "answered", "ended")
# The pauses and patience of a test; what they are in life is in pillar.example.
IMPATIENT = """\
  odoo: {read_timeout: 6, connect_timeout: 3, heartbeat: 5}
  outbox: {retry_first: 0.3, retry_cap: 3, tries: 3, batch_items: 50}
"""
COUNT_ITEMS = f"""\
import json, sqlite3
db = sqlite3.connect("file:{CACHE}/outbox.sqlite?mode=ro", uri=True, timeout=20)
print(json.dumps(db.execute(
    "SELECT count(*) - total(failed), total(failed), count(number) FROM items").fetchone()))
"""
# By the formula's own rules, by which the one before is compressed, and by another's.
RENAME = "logrotate --force /etc/logrotate.d/asterisk"
COPY_AND_EMPTY = (
    "sed s/nocopytruncate/copytruncate/ /etc/logrotate.d/asterisk > /root/copytruncate && "
    "logrotate --force /root/copytruncate"
)
ODOO_CONFIG = "/etc/odoo/odoo.conf"
# Odoo kills a worker whose handler hangs for so long.
HANG_LIMIT = 4
# Salt's other processes may outlive the first one; the engines hold these while they run.
ENGINES_ENDED = f'for lock in {CACHE}/*.lock; do flock --wait 60 "$lock" true; done'
TO_SMALL_DISK = f"""
set -eu
systemctl stop salt-minion
{ENGINES_ENDED}
# Without the room that deleted rows leave in it.
python3 -c 'import sqlite3; db = sqlite3.connect("{CACHE}/outbox.sqlite"); db.execute("VACUUM")'
cp -a {CACHE} {CACHE}.kept
mount -t tmpfs -o size=48m,mode=700 tmpfs {CACHE}
cp -a {CACHE}.kept/. {CACHE}
systemctl start salt-minion
"""
FROM_SMALL_DISK = f"""
set -eu
systemctl stop salt-minion
{ENGINES_ENDED}
rm -rf {CACHE}.kept
cp -a {CACHE} {CACHE}.kept
umount {CACHE}
rm -rf {CACHE}
mv {CACHE}.kept {CACHE}
systemctl start salt-minion
"""
INSTALL_PROBE = f"""
set -eu
grep -q lab/addons {ODOO_CONFIG} ||
    sed -i '/^addons_path/s|$|,/srv/asterisk-formula/tests/lab/addons|' {ODOO_CONFIG}
systemctl stop odoo
runuser -u odoo -- odoo --config {ODOO_CONFIG} --init lab_probe --update lab_probe \\
    --workers 0 --no-http --stop-after-init
systemctl start odoo
"""


def install_probe(house):
    """Put the probe into Odoo, with a route of its own for ``Cdr``."""
    house.run(house.odoo_host, "bash", "-s", stdin=INSTALL_PROBE)
    await_odoo(house)


def be_impatient(house, minions):
    """Give minions the tests' short pauses, and the probe's route."""
    house.write("hub", "/srv/pillar/pbx.sls", PBX_PILLAR + IMPATIENT)
    for minion in minions:
        refresh(house, minion, patient=False)


def be_patient(house, minions):
    """Take the short pauses back."""
    house.write("hub", "/srv/pillar/pbx.sls", PBX_PILLAR)
    for minion in minions:
        refresh(house, minion, patient=True)


def refresh(house, minion, patient):
    """Have a minion's engines take the pillar as it is now: this Odoo's, with its routes."""
    house.salt(minion, "saltutil.refresh_pillar")

    def taken():
        kept = house.run(minion, "cat", f"{CACHE}/settings.json", check=False).stdout
        odoo = json.loads(kept or "{}").get("odoo", {})
        if odoo.get("url") != house.odoo_url or (odoo.get("read_timeout") != 6) != patient:
            return False
        return patient or "lab.probe" in kept

    house.await_that(taken, f"the settings of {house.odoo_host} on {minion}")


@contextmanager
def other_odoo(house, minion):
    """While the block runs, ``minion`` delivers to this house's Odoo instead of the one before."""
    path = f"/srv/pillar/{minion}.sls"
    before = house.run("hub", "cat", path).stdout
    house.lab("up", house.odoo_host)
    house.connect_odoo(minion)
    try:
        yield
    finally:
        house.write("hub", path, before)


def await_odoo(house):
    """Wait until Odoo answers."""
    house.await_that(lambda: _attempt(house.odoo, "lab.probe", "tally", minion=""), "Odoo")


def behave(house, mode):
    """Have the probe's handler be '', 'slow', 'raise', 'hang' or 'commit'."""
    house.odoo("ir.config_parameter", "set_param", key="lab_probe.mode", value=mode)


def engine_pid(house, minion, engine):
    """The process that holds an engine's lock, as text; '' when none does."""
    locks = house.run(minion, "lslocks", "--noheadings", "--output", "PID,PATH").stdout
    for line in locks.splitlines():
        pid, _, path = line.strip().partition(" ")
        if path.strip().endswith(f"/{engine}.lock"):
            return pid
    return ""


def kill_engine(house, minion, engine):
    """Kill an engine with -9 and wait for the next one."""
    pid = engine_pid(house, minion, engine)
    house.run(minion, "kill", "-9", pid)
    await_another(house, minion, engine, pid)


def await_another(house, minion, engine, pid):
    """Wait until a process other than ``pid`` is that engine."""
    house.await_that(
        lambda: engine_pid(house, minion, engine) not in ("", pid), f"another {engine}", 180
    )


def waiting(house, minion):
    """``(items that wait, items set aside, items in the open batch)`` of a PBX's outbox."""
    done = house.run(minion, "python3", "-c", COUNT_ITEMS)
    return tuple(int(number) for number in json.loads(done.stdout))


def drop_set_aside(house, minion):
    """Delete what an earlier test left set aside: a result that Odoo had given up, for one."""
    if waiting(house, minion)[1]:
        house.call(minion, "asterisk.outbox_drop", "all")


def limit_hanging(house, short):
    """Have Odoo kill a worker whose request takes longer than ``HANG_LIMIT``, or as before."""
    line = f"limit_time_real = {HANG_LIMIT}"
    edit = f"/{line}/d" if not short else f"/^workers/a {line}"
    house.run(house.odoo_host, "sed", "-i", edit, ODOO_CONFIG)
    house.run(house.odoo_host, "systemctl", "restart", "odoo")
    await_odoo(house)


def small_disk(house, small):
    """Put the outbox of pbx1 on a disk of its own that is small, or back."""
    house.run("pbx1", "bash", "-s", stdin=TO_SMALL_DISK if small else FROM_SMALL_DISK)
    house.await_bridge()


def fill_disk(house):
    """Leave no byte free on that disk."""
    fill = f"dd if=/dev/zero bs=4k of=$(mktemp {CACHE}/filler.XXXX)"
    house.run("pbx1", "sh", "-c", fill, check=False)


def empty_disk(house):
    """Take away what :func:`fill_disk` made."""
    house.run("pbx1", "sh", "-c", f"rm {CACHE}/filler.*")


def has_reserve(house):
    """Whether disk space is set aside on pbx1."""
    return (
        house.run("pbx1", "test", "-e", f"{CACHE}/outbox.sqlite.reserve", check=False).returncode
        == 0
    )


def power_cut(house):
    """Take the power from the hub, pbx1 and Odoo's host at once, and give it back."""
    hosts = ("hub", "pbx1", house.odoo_host)
    house.lab("kill", *hosts)
    house.lab("up", *hosts)
    house.await_bridge()


def _attempt(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except (OSError, RuntimeError):
        return False
    return True


def _in_utc(epoch):
    """Asterisk's epoch seconds as Odoo writes a time; no answer has no time."""
    if not float(epoch or 0):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(float(epoch))))


class Trial:
    """What Asterisk wrote from here on, on each of ``minions``, and what reached Odoo."""

    def __init__(self, house, minions, count, rate):
        self.house = house
        self.minions = minions
        self.count = count
        self.rate = rate
        self.started = 0
        self._hanging = set()
        self._rows = {}
        self.before = {minion: self.written(minion) for minion in minions}

    def written(self, minion):
        """The keys of all records in Asterisk's own file: a set of ``(uniqueid, sequence)``."""
        text = self.house.run(minion, "sh", "-c", f"zcat -f {CDR_FILE}* 2>/dev/null; true").stdout
        keys = set()
        for row in csv.reader(text.splitlines()):
            keys.add(key := (row[UNIQUEID], int(row[SEQUENCE])))
            self._rows[key] = row
            if row[DESTINATION] == "600" and row[CHANNEL].endswith(";2"):
                self._hanging.add(key)
        return keys

    def hangs(self, key):
        """Whether the probe hangs at it in the mode 'hang': the record of a call to 600."""
        return key in self._hanging

    def expected(self, minion):
        """The keys of the records since this trial began."""
        return self.written(minion) - self.before[minion]

    def arrived(self, minion):
        """``{(uniqueid, sequence): (times at the probe, times among Odoo's calls)}``."""
        rows = self.house.odoo("lab.probe", "tally", minion=minion)
        return {(unique, sequence): (probe, call) for unique, sequence, probe, call in rows}

    def unlike(self, minion):
        """Where Odoo's records differ from Asterisk's: lines of field, Odoo's and Asterisk's."""
        fields = ["uniqueid", "sequence", *SAME.values()]
        domain = [("server_id.minion_id", "=", minion)]
        records = self.house.odoo("asterisk_plus.call", "search_read", domain=domain, fields=fields)
        expected = self.expected(minion)
        found = []
        for record in records:
            key = record["uniqueid"], record["sequence"]
            if key not in expected:
                continue
            for column, field in SAME.items():
                odoo, own = str(record[field] or ""), self._rows[key][column]
                if field in TIMES:
                    own = _in_utc(own)
                if odoo != ("" if own == "0" else own):
                    found.append(f"{key} {field}: {odoo!r}, {own!r}")
        return found

    @contextmanager
    def calls(self, count=None, extension="700"):
        """Calls on every PBX while the block runs; returns when they have all been started."""
        count = count or self.count
        running = [
            subprocess.Popen(
                [HERE / "lab", "exec", minion, "--", "python3", CALLS_PROGRAM,
                 str(count), str(self.rate), extension],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for minion in self.minions
        ]  # fmt: skip
        try:
            yield
            for calls in running:
                output, _ = calls.communicate(timeout=60 + count / self.rate * 2)
                if calls.returncode:
                    raise RuntimeError(f"The calls failed: {output.decode()[-2000:]}")
                self.started += count
        finally:
            for calls in running:
                if calls.poll() is None:
                    calls.kill()

    def await_empty(self, seconds=400):
        """Wait until nothing waits any more, what was set aside excepted."""
        self.await_end()
        for minion in self.minions:
            self.house.await_that(
                lambda minion=minion: waiting(self.house, minion)[0] == 0,
                f"an empty outbox on {minion}, which has {waiting(self.house, minion)}",
                seconds,
            )

    def await_end(self):
        """Wait until no call is up any more."""
        show = ["asterisk", "-rx", "core show channels count"]
        for minion in self.minions:
            self.house.await_that(
                lambda at=minion: self.house.run(at, *show).stdout.startswith("0 active channels"),
                f"the end of all calls on {minion}",
            )

    def verdict(self, absent=lambda key: False, seconds=400):
        """Every record once at both handlers, but for those that the probe must lack.

        ``absent(key)``: whether the probe's handler failed on it. Returns the line of figures.
        """
        began = time.monotonic()
        self.await_empty(seconds)
        total = missing = double = 0
        for minion in self.minions:
            expected = self.expected(minion)
            # The file's last lines may be younger than the bridge's last look at it.
            _attempt(
                self.house.await_that,
                lambda keys=expected, at=minion: keys <= self.arrived(at).keys(),
                f"all records of {minion}",
                60,
            )
            arrived = self.arrived(minion)
            total += len(expected)
            for key in expected:
                probe, call = arrived.get(key, (0, 0))
                missing += (call < 1) + (probe < (0 if absent(key) else 1))
                double += (call > 1) + (probe > (0 if absent(key) else 1))
        line = (
            f"{self.started} calls, {total} records in Asterisk's file, {missing} missing, "
            f"{double} double in Odoo; drained {time.monotonic() - began:.1f} s after the calls"
        )
        assert total >= self.started, line
        assert (missing, double) == (0, 0), line
        return line
