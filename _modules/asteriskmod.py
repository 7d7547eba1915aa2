"""
Act on this minion's Asterisk.

Actions go over the minion bus to the engine ``asterisk_ami``, which holds the one AMI session.
"""

import os
import time
import uuid

import salt.utils.event
from salt.exceptions import CommandExecutionError, SaltInvocationError

try:
    from pbxlib import fresh

    fresh.forget()
    from pbxlib import pillar
    from pbxlib.errors import SettingsError
    from pbxlib.lock import EngineLock
    from pbxlib.tickets import Tickets, address

    MISSING = None
except ImportError as error:
    MISSING = str(error)

__virtualname__ = "asterisk"

# How much longer than the action itself the bus may take.
BUS_PATIENCE = 2.0
EVENTS = "asterisk/ami/events"
# The control frame that ended a dial, as OriginateResponse has it (asterisk/frame.h).
REASONS = {
    "0": "failed: no such channel or extension, or it cannot be reached",
    "1": "no answer: it was hung up",
    "3": "no answer",
    "5": "busy",
    "8": "congested: it cannot be reached just now",
}


def __virtual__():
    if MISSING:
        return False, f"{MISSING}: apply asterisk-formula.bridge, which installs what is missing"
    return __virtualname__


def manager_action(action, timeout=5, no_wait=False, as_list=None):
    """
    Perform an AMI action and return Asterisk's answer: a list of dicts, the reply first, then
    the events of its list. ``content`` holds the lines of a command's output.

    action
        The action's headers, a dict: ``Action`` and what it takes. A list as a value sends the
        header once for each of its items.

    timeout: 5
        Seconds to wait for the answer.

    no_wait: False
        Return ``True`` at once, without waiting for an answer.

    as_list: None
        ``False`` returns the reply alone, without the events of its list.

    The exit code is not 0 when Asterisk answers ``Response: Error``, and when the bridge does
    not run.

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.manager_action '{"Action": "Ping"}'
    """
    if not isinstance(action, dict) or not action.get("Action"):
        raise SaltInvocationError(
            f'{action!r} is not an action: write its headers, such as \'{{"Action": "Ping"}}\''
        )
    request = dict(action, timeout=timeout, as_list=as_list)
    reply = _ask_engine("ami_action", request, timeout, no_wait)
    if reply is True:
        return True
    if reply is None:
        raise CommandExecutionError(
            f"The bridge did not answer {action['Action']} within {timeout} s. Whether Asterisk "
            "performed it is unknown"
        )
    if reply and reply[0].get("Response") == "Error":
        __context__["retcode"] = 1
    return reply


def _bus(listen=True):
    return salt.utils.event.get_event(
        "minion", sock_dir=__opts__["sock_dir"], opts=__opts__, listen=listen
    )


def _ask_engine(tag, request, timeout, no_wait=False):
    """The engine's reply, a list; ``None`` when none came, ``True`` when none was to be awaited."""
    _need_engine("asterisk_ami")
    channel = uuid.uuid4().hex
    reply_tag = f"ami_reply/{channel}"
    with _bus(listen=not no_wait) as bus:
        if not no_wait:
            # Before the request, or the reply could come first.
            bus.connect_pub()
            bus.subscribe(reply_tag)
        if not bus.fire_event(dict(request, reply_channel=channel), tag):
            raise CommandExecutionError("The minion bus does not take events: is the minion up?")
        if no_wait:
            return True
        answer = bus.get_event(wait=timeout + BUS_PATIENCE, tag=reply_tag)
    return None if answer is None else answer["Reply"]


def _need_engine(name):
    if not EngineLock.held(os.path.join(pillar.folder(__opts__), f"{name}.lock")):
        raise CommandExecutionError(
            f"The engine {name} does not run on this minion: see 'systemctl status "
            "salt-minion' and the minion's log, or apply asterisk-formula.bridge"
        )


def ping():
    """
    Whether Asterisk answers over AMI: ``True``, or its error.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.ping
    """
    return _done({"Action": "Ping"})


def command(command):
    """
    Run a command of Asterisk's console and return its lines. Needs ``Command`` in the pillar's
    ``asterisk:ami:allow_actions``, and ``command`` in ``asterisk:ami:write``.

    command
        What would be typed after ``asterisk -rx``.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.command 'core show uptime'
    """
    reply = manager_action({"Action": "Command", "Command": command})[0]
    return reply.get("Message") if reply.get("Response") == "Error" else reply["content"]


def originate(
    channel,
    exten=None,
    context=None,
    application=None,
    data=None,
    callerid=None,
    variables=None,
    ring=30,
    wait=False,
):
    """
    Call ``channel`` and, once it is answered, send it to an extension or an application. Returns
    ``accepted``, or with ``wait`` the outcome: ``answered``, or why not, in words.

    channel
        Whom to call, such as ``PJSIP/101``.

    exten, context
        Where an answered call goes, at priority 1.

    application, data
        What an answered call gets instead, such as ``Playback`` and ``hello-world``.

    callerid
        What the called one sees: ``'"Ada" <101>'``. Quote numbers: ``'"0123"'``.

    variables
        Channel variables, a dict.

    ring: 30
        Seconds to let it ring.

    wait: False
        Whether to wait for the outcome.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.originate PJSIP/101 exten='"102"' context=from-internal wait=True
    """
    if bool(exten) == bool(application):
        raise SaltInvocationError("Give an exten with its context, or an application")
    action = {
        "Action": "Originate",
        "ActionID": uuid.uuid4().hex,
        "Channel": channel,
        "Timeout": round(float(ring) * 1000),
        "Async": "true",
    }
    if exten:
        action.update(Exten=exten, Context=context or "default", Priority=1)
    else:
        action["Application"] = application
    given = {"Data": data, "CallerID": callerid, "Variable": variables}
    action.update({key: value for key, value in given.items() if value is not None})
    with _bus(listen=wait) as bus:
        if wait:
            # Before the action, or its outcome could come first.
            bus.connect_pub()
            bus.subscribe(EVENTS)
        reply = manager_action(action)[0]
        if reply.get("Response") == "Error":
            return reply.get("Message")
        return _outcome(bus, action["ActionID"], float(ring)) if wait else "accepted"


def _outcome(bus, action_id, seconds):
    """What became of an Originate, in words, from the bus."""
    end = time.monotonic() + seconds + BUS_PATIENCE
    while time.monotonic() < end:
        batch = bus.get_event(wait=max(0.1, end - time.monotonic()), tag=EVENTS)
        for event in (batch or {}).get("events", ()):
            if event["Event"] == "OriginateResponse" and event.get("ActionID") == action_id:
                if event.get("Response") == "Success":
                    return "answered"
                __context__["retcode"] = 1
                return REASONS.get(event.get("Reason"), f"failed, reason {event.get('Reason')}")
    __context__["retcode"] = 1
    return "unknown: Asterisk did not say what became of it"


def channels():
    """
    The active channels: a list of dicts with AMI's names (``Channel``, ``CallerIDNum``, …).

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.channels
    """
    return _list_of("CoreShowChannels", "CoreShowChannel")


def endpoints():
    """
    The PJSIP endpoints: a list of dicts with AMI's names (``ObjectName``, ``DeviceState``, …).

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.endpoints
    """
    return _list_of("PJSIPShowEndpoints", "EndpointList")


def _list_of(action, event):
    reply = manager_action({"Action": action}, timeout=30)
    if reply[0].get("Response") == "Error":
        raise CommandExecutionError(f"Asterisk refused {action}: {reply[0].get('Message')}")
    return [item for item in reply[1:] if item.get("Event") == event]


def hangup(channel):
    """
    Hang up a channel: ``True``, or Asterisk's error.

    channel
        Its full name, such as ``PJSIP/101-0000002a``; ``/^PJSIP/101-.*/`` for all that match.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.hangup PJSIP/101-0000002a
    """
    return _done({"Action": "Hangup", "Channel": channel})


def reload(module=None):
    """
    Reload a module of Asterisk, or all: ``True``, or Asterisk's error.

    module
        Such as ``res_pjsip.so`` or ``manager``; all when left out.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.reload res_pjsip.so
    """
    return _done({"Action": "Reload", **({"Module": module} if module else {})})


def _done(action):
    reply = manager_action(action)[0]
    return True if reply.get("Response") == "Success" else reply.get("Message", reply)


def stats():
    """
    The bridge's counters: events read, skipped and dropped by name, matched, stored and lost;
    actions with their seconds; connections; memory in bytes.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.stats
    """
    reply = _ask_engine("asterisk/ami/stats", {}, 5)
    if reply is None:
        raise CommandExecutionError("The bridge did not answer within 5 s: see the minion's log")
    return reply[0]


def status():
    """
    The PBX in one dict: ``asterisk`` (version), ``uptime`` (seconds), ``channels`` (active ones),
    ``ami`` (connected, or why not); and of the outbox ``outbox`` (items that wait), ``oldest``
    (seconds), ``rate`` (items a second), ``failed`` (items set aside), the last ``error`` of the
    delivery to Odoo and its ``next_try`` (epoch seconds).

    CLI Example:

    .. code-block:: bash

        salt-call asterisk.status
    """
    result = {"asterisk": None, "uptime": None, "channels": None, "ami": "connected"}
    try:
        settings = manager_action({"Action": "CoreSettings"})[0]
        if settings.get("Response") == "Success":
            now = manager_action({"Action": "CoreStatus"})[0]
            # In the PBX's local time, which is this minion's.
            started = f"{now['CoreStartupDate']} {now['CoreStartupTime']}"
            since = time.mktime(time.strptime(started, "%Y-%m-%d %H:%M:%S"))
            result["asterisk"] = settings.get("AsteriskVersion")
            result["uptime"] = max(0, round(time.time() - since))
            channels = manager_action({"Action": "CoreShowChannels"})
            result["channels"] = sum(item.get("Event") == "CoreShowChannel" for item in channels)
        else:
            result["ami"] = settings.get("Message")
    except CommandExecutionError as error:
        result["ami"] = str(error)
        __context__["retcode"] = 1
    waiting = __salt__["asterisk.outbox"]()
    result["outbox"] = waiting["depth"]
    for key in ("oldest", "rate", "failed", "error", "next_try"):
        result[key] = waiting.get(key)
    return result


def console_ticket():
    """
    Let one person open the Asterisk console in a browser, once, within 30 seconds. Returns
    ``ticket`` (a secret), ``url`` (the websocket to connect to) and ``expires`` (epoch seconds).

    Whoever may call this may type into the console, and with ``!`` into a shell of the user that
    Asterisk runs as. The job's return holds the ticket: it is spent long before the job cache is.

    CLI Example:

    .. code-block:: bash

        salt pbx1 asterisk.console_ticket
    """
    try:
        console = pillar.check(__pillar__.get("asterisk"))["console"]
    except SettingsError as error:
        raise CommandExecutionError(str(error)) from error
    if not console["enabled"]:
        raise CommandExecutionError(
            "The console is off: set asterisk:console:enabled to true in this minion's pillar and "
            "apply asterisk-formula.bridge"
        )
    _need_engine("asterisk_console")
    ticket, expires = Tickets(os.path.join(pillar.folder(__opts__), "console")).issue()
    url = address(console, __grains__.get("fqdn") or __opts__["id"])
    return {"ticket": ticket, "url": url, "expires": expires}
