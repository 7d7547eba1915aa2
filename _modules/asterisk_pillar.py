"""
What this minion's pillar says of its Asterisk: checked, tried on a recording, and completed with
secrets that are made here.
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import classes, keyfile, pillar
    from pbxlib.errors import PbxError, SettingsError
    from pbxlib.events import EventMap
    from pbxlib.replay import replay

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"


def __virtual__():
    if MISSING:
        return False, f"{MISSING}: apply asterisk-formula.bridge, which installs what is missing"
    return __virtualname__


def settings_errors():
    """
    What is wrong in the pillar key ``asterisk``: a list of lines, each with the key's path, what
    was found and what to write. Empty when all is well.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.settings_errors
    """
    try:
        pillar.check(__pillar__.get("asterisk"))
    except SettingsError as error:
        return error.problems
    return []


def events_check(path):
    """
    Replay a recorded AMI transcript through the event map of this minion's pillar. Returns, for
    each event, which routes took it and what would have been sent to Odoo; nothing is sent.
    Works without Asterisk and, with ``--local``, without a master: the map is then the one that
    the bridge took last.

    path
        A file as received from AMI, for example by ``socat -u TCP:127.0.0.1:5038 FILE``.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.events_check /root/calls.ami
    """
    try:
        with open(path, "rb") as file:
            return list(replay(file, EventMap.of(_settings(pillar.last_good(__opts__)))))
    except (OSError, PbxError) as error:
        raise CommandExecutionError(f"{path} cannot be replayed: {error}") from error


def _settings(without_pillar=None):
    try:
        return pillar.check(__pillar__.get("asterisk", without_pillar))
    except SettingsError as error:
        raise CommandExecutionError(str(error)) from error


def read_classes():
    """
    The classes of AMI events that the account of the bridge must read for the event map in this
    minion's pillar: a list. For the template of ``manager.conf``.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.read_classes
    """
    return classes.needed(_settings()["events"])


def secret(name):
    """
    The generated secret ``name`` of this minion: made on first use, kept in a file of mode 0600
    beside the minion's configuration. For templates; what it returns is a secret. Under
    ``test=True`` none is made, and one that there is not yet is a text that says so.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.secret ami
    """
    try:
        folder = pillar.keys(__opts__)
        if __opts__.get("test"):
            return keyfile.read(folder, str(name)) or "(will be generated)"
        return keyfile.get(folder, str(name))
    except SettingsError as error:
        raise SaltInvocationError(str(error)) from error
