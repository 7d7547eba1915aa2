"""
Call records as Odoo wants them: their times in UTC.

AMI's ``Cdr`` event carries the PBX's local time without a zone. One hour a year is ambiguous
then; the channel's ``UniqueID``, which ends in its creation in epoch seconds, and the durations
settle it.
"""

from __future__ import annotations

import datetime
import hashlib

from pbxlib.plain import text

_FORMAT = "%Y-%m-%d %H:%M:%S"
# The order in which the formula has Asterisk write its own file (cdr_custom), times in seconds
# since the epoch. The names are those of the event's headers.
COLUMNS = (
    "AccountCode", "Source", "Destination", "DestinationContext", "CallerID", "Channel",
    "DestinationChannel", "LastApplication", "LastData", "StartTime", "AnswerTime", "EndTime",
    "Duration", "BillableSeconds", "Disposition", "AMAFlags", "UniqueID", "UserField", "Sequence",
    "LinkedID",
)  # fmt: skip


def key(event):
    """What a call record is known by, as text, or ``None`` where the event has no ``Sequence``."""
    if not event.get("UniqueID") or not event.get("Sequence"):
        return None
    return text(f"{event['UniqueID']} {event['Sequence']}")


def item_id(record, path):
    """The outbox item of a call record (its key) for the route at ``path``: 16 hex digits.

    Not random: Odoo then knows the record again when an outbox that comes back from a backup
    reads it from Asterisk's file a second time.
    """
    return hashlib.sha256(f"{path}\n{record}".encode()).hexdigest()[:16]


def from_row(row):
    """The ``Cdr`` event, times in UTC, of a line of the file (a list of texts).

    Raises ``ValueError`` for what is no such line.
    """
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} columns instead of {len(COLUMNS)}")
    event = {"Event": "Cdr", "Privilege": "cdr,all", **dict(zip(COLUMNS, row))}
    if not event["UniqueID"] or not event["Sequence"].isdigit():
        raise ValueError("no UniqueID or no Sequence")
    for name in ("StartTime", "AnswerTime", "EndTime"):
        event[name] = _from_epoch(event[name])
    return event


def _from_epoch(told):
    seconds = float(told or 0)
    if not seconds:  # a call that was not answered
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    except (OverflowError, OSError) as error:
        raise ValueError(f"the time {told!r}: {error}") from error
    return moment.strftime(_FORMAT)


def in_utc(event, zone=None):
    """A copy of the ``Cdr`` event (a dict) with its three times in UTC, same format.

    ``zone``: the PBX's time zone, the system's by default. An empty time, of a call that was
    not answered, stays empty; one that is not a time stays as it is.
    """
    unique = event.get("UniqueID") or event.get("Uniqueid") or ""
    try:
        start = float(unique.rsplit("-", 1)[-1])
        end = start + float(event.get("Duration") or 0)
        answer = end - float(event.get("BillableSeconds") or 0)
    except (ValueError, AttributeError, TypeError):
        start = answer = end = None
    converted = dict(event)
    for key, near in (("StartTime", start), ("AnswerTime", answer), ("EndTime", end)):
        if converted.get(key):
            converted[key] = _utc(converted[key], zone, near)
    return converted


def _utc(told, zone, near):
    try:
        local = datetime.datetime.strptime(told, _FORMAT)
        first, second = (_aware(local.replace(fold=fold), zone) for fold in (0, 1))
        if near is not None and abs(second.timestamp() - near) < abs(first.timestamp() - near):
            first = second
        return first.astimezone(datetime.timezone.utc).strftime(_FORMAT)
    except (TypeError, ValueError, OverflowError, OSError):
        return told


def _aware(local, zone):
    return local.astimezone() if zone is None else local.replace(tzinfo=zone)
