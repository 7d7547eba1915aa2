"""
Call records as Odoo wants them: their times in UTC.

AMI's ``Cdr`` event carries the PBX's local time without a zone. One hour a year is ambiguous
then; the channel's ``UniqueID``, which ends in its creation in epoch seconds, and the durations
settle it.
"""

from __future__ import annotations

import datetime

_FORMAT = "%Y-%m-%d %H:%M:%S"


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


def _utc(text, zone, near):
    try:
        local = datetime.datetime.strptime(text, _FORMAT)
        first, second = (_aware(local.replace(fold=fold), zone) for fold in (0, 1))
        if near is not None and abs(second.timestamp() - near) < abs(first.timestamp() - near):
            first = second
        return first.astimezone(datetime.timezone.utc).strftime(_FORMAT)
    except (TypeError, ValueError, OverflowError, OSError):
        return text


def _aware(local, zone):
    return local.astimezone() if zone is None else local.replace(tzinfo=zone)
