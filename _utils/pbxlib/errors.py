"""Every exception of pbxlib, one meaning each. The text of each is for a person to read."""

from __future__ import annotations


class PbxError(Exception):
    """The base of all errors that this library raises on purpose. Any other is a bug."""


class SettingsError(PbxError):
    """The pillar key ``asterisk`` holds something wrong. ``problems``: one line for each fault."""

    def __init__(self, problems):
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class ConfError(PbxError):
    """A .conf file cannot hold this, or its text leaves no place for it: nothing was changed."""


class CliError(PbxError):
    """Asterisk's command line cannot be reached, or did not take a command: nothing was done."""


class ConsoleError(PbxError):
    """The console's terminal cannot be started: its user, its program or its system resources."""


class BuildError(PbxError):
    """Asterisk could not be built from its source, or a sound package could not be unpacked."""


class OutboxError(PbxError):
    """The outbox file cannot be opened, read or written."""


class ReserveUsed(OutboxError):
    """The disk is full. The outbox's reserve was given up: the same write may work now."""


class OdooError(PbxError):
    """The base of what can go wrong between the outbox and Odoo."""


class OdooUnreachable(OdooError):
    """No connection, no answer or a server error: the same request may work later."""


class OdooBroke(OdooUnreachable):
    """The request was sent, and Odoo closed the connection or answered with a server error."""


class OdooTimeout(OdooError):
    """The read timed out: the request may still be running in Odoo."""


class OdooTooLarge(OdooError):
    """A proxy refuses a request of this size."""


class OdooRefused(OdooError):
    """A setting is wrong: address, database, login, key, rights or version."""


class OdooFailed(OdooError):
    """The method that was called raised an error in Odoo."""


class OdooConflict(OdooFailed):
    """Other transactions were in the way of the method's, in all of Odoo's own tries."""


try:
    from asterisk import manager as pyst2
except ImportError:  # only the bridge's host has pyst2; others use the other errors

    class pyst2:
        """Stands for pyst2's exceptions where there is no AMI session."""

        ManagerException = ManagerSocketException = ManagerAuthException = Exception


class AmiError(PbxError, pyst2.ManagerException):
    """The base of what can go wrong on an AMI session; also a ``ManagerException`` of pyst2."""


class NotAsterisk(AmiError):
    """The peer does not greet as Asterisk's manager interface does."""


class BadAction(AmiError):
    """The action cannot be sent as it is: nothing was sent. The text names the header."""


class ActionForbidden(AmiError):
    """The allow list does not name this action or application: nothing was sent."""


class NotConnected(AmiError, pyst2.ManagerSocketException):
    """There is no session, or it ended before the action was sent: nothing was done."""


class ConnectionLost(AmiError, pyst2.ManagerSocketException):
    """The session ended: Asterisk closed it, the network broke, or the peer went silent."""


class PeerSilent(ConnectionLost):
    """Asterisk has said nothing for too long, so the session was given up."""


class LoginRefused(AmiError, pyst2.ManagerAuthException):
    """Asterisk refuses the user name or the secret, or the address that it comes from."""


class UnknownOutcome(AmiError):
    """The action was sent and no answer came: Asterisk may have performed it, or not."""


class ActionTimeout(UnknownOutcome):
    """No answer, or no end of the event list, came in the action's time."""


class TrialError(PbxError):
    """A second Asterisk did not start with a configuration; the text has its last words."""
