"""
Jumps to nowhere, as asterisklint finds them: https://github.com/wdoekes/asterisklint.

It reads one style of dialplan only, so that it gets the dialplan written anew: includes followed,
templates resolved, ``=>`` everywhere. Of what it says, jumps alone count: the rest is style, or is
said by Asterisk itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

from pbxlib.faults import Fault

_SECONDS = 60
_SWITCHES = ("switch", "lswitch", "eswitch")
_FAULTS = {
    "E_DP_GOTO_NOLABEL",
    "E_DP_GOTO_CONTEXT_NOLABEL",
    # "Possibly", it says, for what a switch may know.
    "W_DP_GOTO_CONTEXT_NOEXTEN",
}
_SAID = re.compile(r"^[^:]*:(\d+) ([EWH]_\w+): (?:.*) (?:for )?goto to ([^,]*), ([^,]*), (.*)$")


def faults(confset, program):
    """A :class:`~pbxlib.faults.Fault` for each jump to an extension or label that is not there.

    ``program``: asterisklint's path. What it cannot read at all is no fault: the list is empty.
    """
    loaded = confset.load("extensions.conf")
    sections = [s for s in loaded.conf.effective() if not s.template]
    elsewhere = {s.name for s in sections if any(map(s.get, _SWITCHES))}
    known = {section.name for section in sections} - elsewhere
    lines, origins = _written(sections)
    found = []
    for said in _run(program, lines):
        matched = _SAID.match(said)
        if not matched or matched[2] not in _FAULTS or int(matched[1]) > len(origins):
            continue
        context, exten, priority = matched.groups()[2:]
        # A context that is not there is another rule's; one that includes others may have theirs.
        if context in known and not elsewhere:
            place = loaded.place(origins[int(matched[1]) - 1])
            text = f"it jumps to {context},{exten},{priority}, and nothing is there"
            found.append(Fault(place, text))
    return found


def _written(sections):
    """The dialplan's lines in asterisklint's style, and the line each one was read from."""
    lines, origins = [], []
    for section in sections:
        if lines:
            lines.append("")
            origins.append(section.line)
        lines.append(f"[{section.name}]")
        origins.append(section.line)
        # It asserts, rather than says, that nothing else stands between extensions.
        for setting in section.settings:
            arrow = section.name in ("general", "globals")
            lines.append(f"{setting.key}{'=' if arrow else ' => '}{setting.value}")
            origins.append(setting.line)
    return lines, origins


def _run(program, lines):
    with tempfile.TemporaryDirectory(prefix="asterisk-jumps-") as folder:
        path = os.path.join(folder, "extensions.conf")
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
        try:
            done = subprocess.run(
                [program, "dialplan-check", path],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
    return (done.stdout + done.stderr).splitlines()
