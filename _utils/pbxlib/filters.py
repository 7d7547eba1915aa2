"""
The ``Filter`` actions that make Asterisk send a session only the events that are wanted.

Asterisk 23 (manager interface 12.0.0) filters by event name. Before, a regular expression is
matched against the text of each event; releases from 20.11, 21.6 and 22.1 on look at the name
first if they are told it, and older ones of the same interface version do not read it. Filters
can be added to a session, not removed. Replies and their event lists pass every filter. The
action needs ``write=system``.

https://docs.asterisk.org/Latest_API/API_Documentation/AMI_Actions/Filter/
"""

from __future__ import annotations

import re

from pbxlib.errors import AmiError, BadAction

BY_NAME = 12
# A name in a filter is a part of a pattern or an expression. AOC-D has a hyphen.
NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def filter_actions(version, names):
    """
    The actions (list of dict) that let events of ``names`` (iterable of str) through.

    ``version``: of the manager interface, as its greeting says it (``"11.0.0"``). Raises
    :class:`~pbxlib.errors.BadAction` for what cannot be an event's name.
    """
    names = sorted(names)
    for name in names:
        if not NAME.match(name):
            raise BadAction(f"{name!r} cannot be the name of an AMI event")
    return [
        {"Action": "Filter", "Operation": "Add", **_criteria(name, _major(version))}
        for name in names
    ]


def _criteria(name, major):
    if major >= BY_NAME:
        return {"MatchCriteria": f"name({name})"}
    return {
        "MatchCriteria": f"name({name}),method(regex)",
        "Filter": f"^Event: {name}[^A-Za-z0-9_-]",
    }


def check(reply):
    """Raise :class:`~pbxlib.errors.AmiError` when Asterisk did not take a filter.

    ``reply``: list of messages, as :meth:`pbxlib.session.Manager.request` returns it.
    """
    if reply[0].get("Response") != "Success":
        raise AmiError(
            f"Asterisk did not take an event filter ({reply[0].get('Message')}): the AMI account "
            "needs write=system. Apply the formula again"
        )


def _major(version):
    number = re.match(r"\d+", version or "")
    return int(number.group()) if number else 0
