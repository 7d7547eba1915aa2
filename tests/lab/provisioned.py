"""A PBX that is made from a pillar of the documentation, without a master, and put back after."""

from __future__ import annotations

import json

from labhosts import authority, places
from pbx import Pbx

SLS = "asterisk-formula.config,asterisk-formula.service"
ROOTS = ["--file-root=/srv/asterisk-formula", "--pillar-root=/root/pillar"]
SAVED = "/root/asterisk-as-it-was"
RECORDS = "/var/lib/asterisk/records.sqlite"
# What an administrator's database has, for the records that Asterisk writes by ODBC.
TABLES = """
import sqlite3
with sqlite3.connect({path!r}) as database:
    database.executescript('''
        create table if not exists cdr (start, src, dst, disposition, uniqueid);
        create table if not exists cel (eventtype, eventtime, exten, uniqueid, linkedid);
    ''')
"""
COUNT = "import sqlite3; print(*sqlite3.connect({path!r}).execute({query!r}).fetchone())"


class Provisioned(Pbx):
    """``own``: the pillar that this host has beside that of each example."""

    def __init__(self, house, name, own):
        super().__init__(house, name)
        self._own = own

    def prepare(self):
        """Asterisk, if it is not there, and what the examples expect an administrator to bring."""
        self.put_pillar()
        if self.run("id", "asterisk", check=False).returncode:
            self.salt("state.apply", "asterisk-formula.package")
        self.run("sh", "-c", f"test -e {SAVED} || cp -a /etc/asterisk {SAVED}")
        key, certificate = authority.sign(places.Lab(), self.name, self.house.address(self.name))
        for file, text in (("pbx.key", key), ("pbx.crt", certificate)):
            self.install(f"/etc/asterisk/keys/{file}", text.decode())
        self.run("python3", "-c", TABLES.format(path=RECORDS))
        self.run("chown", "asterisk:", RECORDS)
        odbc = f"[asterisk]\nDriver = SQLite3\nDatabase = {RECORDS}\nTimeout = 2000\n"
        self.install("/etc/odbc.ini", odbc)
        sounds = "/usr/share/asterisk/sounds/en_US_f_Allison"
        self.run("cp", f"{sounds}/hello-world.gsm", "/var/lib/asterisk/moh/")

    def install(self, path, text):
        """Write a file that Asterisk may read."""
        owner = ["-D", "-m", "640", "-o", "asterisk", "-g", "asterisk"]
        self.run("install", *owner, "/dev/stdin", path, stdin=text)

    def restore(self):
        """Asterisk's folder as it was found, in force again."""
        script = f"rm -rf /etc/asterisk && mv {SAVED} /etc/asterisk && systemctl restart asterisk"
        self.run("sh", "-c", script)

    def put_pillar(self, **given):
        """The minion's pillar: SLS name -> text or mapping, each laid over the one before."""
        given = {**given, "own": {"asterisk": self._own}}
        self.run("mkdir", "-p", "/root/pillar")
        for name, text in {"top": {"base": {"*": list(given)}}, **given}.items():
            text = text if isinstance(text, str) else json.dumps(text)
            self.house.write(self.name, f"/root/pillar/{name}.sls", text)

    def salt(self, *arguments):
        """What ``salt-call`` returned, without a master."""
        command = ["salt-call", "--local", *ROOTS, "--out=json", "--log-level=error"]
        done = self.run(*command, *arguments, check=False)
        try:
            return json.loads(done.stdout)["local"]
        except (ValueError, KeyError):
            raise RuntimeError(f"{self.name}: {arguments}: {done.stdout}{done.stderr}") from None

    def apply(self):
        """Apply the pillar: state id -> what changed. Raises ``RuntimeError`` on a fault."""
        states = self.salt("state.apply", SLS)
        if not isinstance(states, dict):
            raise RuntimeError(f"{self.name}: it does not render: {states}")
        bad = [state["comment"] for state in states.values() if not state["result"]]
        if bad:
            raise RuntimeError(f"{self.name}: " + "\n".join(bad))
        return {s["__id__"]: s["changes"] for s in states.values() if s["changes"]}

    def apply_twice(self):
        """Put the pillar in force: what a second apply still changed."""
        self.apply()
        return self.apply()

    def shows(self, command, *texts):
        """Whether the console's answer to ``command`` has each of the texts."""
        shown = " ".join(self.console(command).split())
        return all(text in shown for text in texts)

    def recorded(self, query):
        """The first row, as text, of what Asterisk wrote by ODBC."""
        return self.run("python3", "-c", COUNT.format(path=RECORDS, query=query)).stdout.strip()
