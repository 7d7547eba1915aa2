"""What was measured: kept for machines in ``bench/latest.json``, printed for people."""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path
from statistics import median

LATEST = Path(__file__).resolve().parent / "latest.json"


class Results:
    """Measures by name; ``left_out``: why one was not taken, by its name."""

    def __init__(self):
        self.measures = {}
        self.left_out = {}

    def add(self, name, what, unit, ours, peers, goals=(), note=None):
        """Add a measure: ``what`` is a phrase for the table, ``unit`` a word or two.

        ``ours`` and the values of ``peers`` (a dict by name): a list of runs, whose median
        counts, or one number. ``goals``: of :func:`at_least` and its like. ``note``: for the
        table.
        """
        kept = {"ours": _middle(ours), "unit": unit, "what": what}
        kept["peers"] = {peer: _middle(value) for peer, value in peers.items()}
        kept["goals"] = [goal(kept["ours"], kept["peers"]) for goal in goals]
        if isinstance(ours, list):
            kept["runs"] = {"ours": ours, **peers}
        if note:
            kept["note"] = note
        self.measures[name] = kept

    def missed(self):
        """The names of measures with a goal that was not met."""
        return [
            name
            for name, measure in self.measures.items()
            if not all(goal["met"] for goal in measure["goals"])
        ]

    def save(self):
        """Write ``bench/latest.json``: a mapping of measure to ours, peers and unit."""
        LATEST.write_text(json.dumps(self.measures, indent=2, ensure_ascii=False) + "\n")

    def table(self):
        """The table for people: Markdown, as docs/performance.md has it."""
        lines = ["| Measure | Ours | Against | Goal |", "|---|---|---|---|"]
        for name, measure in self.measures.items():
            ours = measure["ours"]
            against = "<br>".join(
                f"{peer}: {_figure(value)}{_ratio(ours, value)}"
                for peer, value in measure["peers"].items()
            )
            goals = "<br>".join(
                f"{goal['words']}: {'met' if goal['met'] else '**missed**'}"
                for goal in measure["goals"]
            )
            note = f" ({measure['note']})" if "note" in measure else ""
            lines.append(
                f"| `{name}`: {measure['what']}{note} | {_figure(ours)} {measure['unit']} "
                f"| {against} | {goals} |"
            )
        for name, why in self.left_out.items():
            lines.append(f"| `{name}` | left out: {why} | | |")
        return "\n".join(lines)


def machine():
    """A line about where this ran."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux "
        f"{platform.release()}, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f} at the end"
    )


def _middle(value):
    return median(value) if isinstance(value, list) else value


def _figure(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _ratio(ours, theirs):
    if not ours or not theirs:
        return ""
    ratio = ours / theirs
    return f" (x {ratio:.1f})" if ratio >= 1 else f" (x {ratio:.2g})"


def at_least(value):
    """A goal: so much of the measure's unit."""
    return lambda ours, _peers: _goal(f"≥ {_figure(value)}", ours >= value)


def at_most(value, instead=None, what=""):
    """A goal: no more of the measure's unit; or of ``instead``, a figure called ``what``."""
    return lambda ours, _peers: _goal(
        f"{what} ≤ {_figure(value)}".strip(), (ours if instead is None else instead) <= value
    )


def times(factor, peer):
    """A goal: so many times a peer."""
    return lambda ours, peers: _goal(
        f"≥ {factor} x {peer}", peer in peers and ours >= factor * peers[peer]
    )


def above(most, peer):
    """A goal: not more than so much above a peer."""
    return lambda ours, peers: _goal(
        f"≤ {peer} + {_figure(most)}", peer in peers and ours <= peers[peer] + most
    )


def _goal(words, met):
    return {"words": words, "met": bool(met)}
