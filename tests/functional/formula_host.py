"""A masterless minion in a temporary folder, to render and apply the formula without a daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def many_endpoints(count):
    """The pillar of so many phones, without passwords, and of what they take after."""
    return {
        "endpoints": {str(1000 + n): {"callerid": f"Phone <{1000 + n}>"} for n in range(count)},
        "config": {
            "pjsip.conf": {
                "transport-udp": {"type": "transport", "protocol": "udp", "bind": "0.0.0.0"},
                "phone(!)": {"type": "endpoint", "context": "phones"},
                "phone-auth(!)": {"type": "auth"},
                "phone-aor(!)": {"type": "aor", "max_contacts": 1},
            }
        },
    }


class FormulaHost:
    """``salt-call --local`` with the repository as file root and a pillar of the test's own.

    ``options``: more of the minion's configuration.
    """

    def __init__(self, home, **options):
        self.etc = home / "asterisk"
        self.salt = home / "salt"
        self.pillar = home / "pillar"
        for folder in (self.etc, self.salt, self.pillar):
            folder.mkdir(parents=True)
        config = {
            "id": "pbx1",
            "file_client": "local",
            "root_dir": str(home),
            "cachedir": str(home / "cache"),
            "pki_dir": str(home / "pki"),
            "log_file": str(home / "minion.log"),
            "pidfile": str(home / "minion.pid"),
            "file_roots": {"base": [str(REPO)]},
            "file_ignore_regex": [r"/\.git", r"/\.venv", r"__pycache__"],
            "pillar_roots": {"base": [str(self.pillar)]},
            **options,
        }
        (self.salt / "minion").write_text(json.dumps(config))
        (self.pillar / "top.sls").write_text("base: {'*': [pbx]}")
        self.set_pillar({})
        self.call("saltutil.sync_all")

    def set_pillar(self, asterisk):
        # Nothing but the files under test: no package, no service, no other user.
        alone = {"etc": str(self.etc), "group": "root", "validate": {"lint": False}}
        asterisk = {**alone, **asterisk}
        (self.pillar / "pbx.sls").write_text(json.dumps({"asterisk": asterisk}))

    def call(self, *arguments):
        """What the function returned; raises ``AssertionError`` with Salt's words if nothing."""
        program = shutil.which("salt-call", path=str(Path(sys.executable).parent)) or "salt-call"
        done = subprocess.run(
            [program, "--local", "-c", str(self.salt), "--out=json", "-l", "error", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            return json.loads(done.stdout)["local"]
        except (ValueError, KeyError):
            raise AssertionError(done.stdout + done.stderr) from None

    def states(self, sls, *arguments):
        """State ID -> what became of it, for one ``state.apply``."""
        answer = self.call("state.apply", sls, *arguments)
        assert isinstance(answer, dict), answer
        return {state["__id__"]: state for state in answer.values()}

    def low(self, sls):
        """State ID -> its low chunk, rendered only."""
        answer = self.call("state.show_low_sls", sls)
        assert all(isinstance(chunk, dict) for chunk in answer), answer
        return {chunk["__id__"]: chunk for chunk in answer}

    def conf(self, file):
        """The text of a file of Asterisk's, as the formula's template renders it."""
        return self.call(
            "slsutil.renderer",
            "salt://asterisk-formula/files/conf.jinja",
            "default_renderer=jinja",
            f"file={file}",
        )
