"""Telephone numbers as people write them, made comparable and fit to be dialled."""

import functools
import re

try:
    import phonenumbers
except ImportError:  # as in Odoo's own phone_validation, numbers are then taken as written
    phonenumbers = None

_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]+")
_DIALABLE = re.compile(r"\+?[0-9*#]{1,20}")


# A call record names a number or two, and most of them were in another record before.
@functools.lru_cache(maxsize=10_000)
def e164(number, country):
    """``number`` as ``+15550100``, or False when it is no valid number of the public network.

    ``country``: ISO code (``"US"``) for numbers without a prefix, or False.
    """
    plain = _SEPARATORS.sub("", number or "")
    if phonenumbers is None:
        plain = re.sub(r"^00", "+", plain)
        return plain if re.fullmatch(r"\+[0-9]{7,15}", plain) else False
    for written in {plain: None, re.sub(r"^00", "+", plain): None}:
        try:
            parsed = phonenumbers.parse(written, country or None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return False


def dialable(number, country):
    """What to dial for ``number``: E.164, else its digits as written (an extension).

    Raises ``ValueError`` for what is no number: nothing else may reach an AMI header.
    """
    known = e164(number, country)
    if known:
        return known
    plain = _SEPARATORS.sub("", number or "")
    if not _DIALABLE.fullmatch(plain):
        raise ValueError(f"{number!r} is not a number that can be dialled")
    return plain
