"""Every exception of pbxlib, one meaning each. The text of each is for a person to read."""

from __future__ import annotations


class PbxError(Exception):
    """The base of all errors that this library raises on purpose. Any other is a bug."""


class SettingsError(PbxError):
    """The pillar key ``asterisk`` holds something wrong. ``problems``: one line for each fault."""

    def __init__(self, problems):
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class OutboxError(PbxError):
    """The outbox file cannot be opened, read or written."""


class OdooError(PbxError):
    """The base of what can go wrong between the outbox and Odoo."""


class OdooUnreachable(OdooError):
    """No connection, no answer or a server error: the same request may work later."""


class OdooTimeout(OdooError):
    """The read timed out: the request may still be running in Odoo."""


class OdooTooLarge(OdooError):
    """A proxy refuses a request of this size."""


class OdooRefused(OdooError):
    """A setting is wrong: address, database, login, key, rights or version."""


class OdooFailed(OdooError):
    """The method that was called raised an error in Odoo."""
