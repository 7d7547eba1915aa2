"""Ages, times and what waits in words, for whoever reads them on a terminal."""

from __future__ import annotations

import time

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds):
    """``'2 h 5 min'`` for 7503: the two largest units that are not 0."""
    left = max(0, round(seconds))
    parts = []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def moment(epoch):
    """A time (epoch s) in the system's zone: ``'2026-11-23 14:03:22'``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))


def of_outbox(status, now):
    """One sentence about ``Outbox.status()``; ``now``: epoch s."""
    parts = [f"{status['depth']} items wait"]
    if status["depth"]:
        parts[0] += f", the oldest for {span(status['oldest'])}"
    if status["failed"]:
        parts.append(f"{status['failed']} are set aside: see asterisk.outbox_failed")
    if status.get("error"):
        parts.append(f"the last try failed: {status['error']}")
        if status.get("next_try"):
            parts.append(
                f"the next is at {moment(status['next_try'])}, in {span(status['next_try'] - now)}"
            )
    elif status.get("answered"):
        parts.append(f"Odoo took the last batch {span(now - status['answered'])} ago")
    return "; ".join(parts)
