"""
What may be in an AMI action that comes from a job: checked before anything is sent.

salt-api cannot look inside an action, so this is where it is decided what Odoo, or whoever may
run ``asterisk.manager_action``, can do to a PBX. The everyday actions are allowed; those that
run a shell, change the configuration, write files or show secrets are not, and a setting of
the minion adds them by name.
"""

from __future__ import annotations

import re

from pbxlib.errors import ActionForbidden, BadAction
from pbxlib.message import serialize

# Not here, although they look harmless: PJSIPShowEndpoint and PJSIPShowAuths show passwords,
# MixMonitor runs a command, Monitor writes files anywhere.
ACTIONS = (  # noqa: SIM905
    "AbsoluteTimeout AgentLogoff Agents Atxfer BlindTransfer Bridge BridgeDestroy BridgeInfo "
    "BridgeKick BridgeList CancelAtxfer ConfbridgeKick ConfbridgeList ConfbridgeListRooms "
    "ConfbridgeLock ConfbridgeMute ConfbridgeUnlock ConfbridgeUnmute CoreSettings "
    "CoreShowChannelMap CoreShowChannels CoreStatus DBGet DeviceStateList ExtensionState "
    "ExtensionStateList Getvar Hangup IAXpeerlist IAXpeers IAXregistry ListCommands "
    "LocalOptimizeAway MailboxCount MailboxStatus MuteAudio Originate "
    "Park ParkedCalls Parkinglots Ping PJSIPNotify PJSIPQualify PJSIPRegister PJSIPShowAors "
    "PJSIPShowContacts PJSIPShowEndpoints PJSIPShowRegistrationInboundContactStatuses "
    "PJSIPShowRegistrationsInbound PJSIPShowRegistrationsOutbound PJSIPShowSubscriptionsInbound "
    "PJSIPShowSubscriptionsOutbound PJSIPUnregister PlayDTMF PresenceState PresenceStateList "
    "QueueAdd QueueChangePriorityCaller QueueMemberRingInUse QueuePause QueuePenalty QueueRemove "
    "QueueReset QueueRule QueueStatus QueueSummary QueueWithdrawCaller Redirect Reload "
    "SendFlash SendText Setvar ShowDialPlan SIPpeers SIPpeerstatus SIPqualifypeer SIPshowregistry "
    "Status UserEvent VoicemailUsersList VoicemailUserStatus"
).split()

# Not here: Queue, whose sixth argument starts an AGI script; MixMonitor.
APPLICATIONS = (  # noqa: SIM905
    "Answer BackGround Bridge Busy ConfBridge Congestion ControlPlayback Dial Echo Hangup "
    "Milliwatt MusicOnHold NoOp Page Park ParkedCall Pickup PickupChan PlayTones Playback "
    "Progress Read Ringing SayAlpha SayDigits SayNumber SayPhonetic SayUnixTime SendDTMF "
    "SendText SoftHangup StartMusicOnHold VoiceMail VoiceMailMain Wait WaitExten WaitForSilence"
).split()

# Dialplan functions reach files and the shell also where only a variable is set or read.
FUNCTIONS = frozenset(
    "AST_CONFIG CURL CURLOPT DB_DELETE EVAL FILE REALTIME REALTIME_DESTROY REALTIME_FIELD "  # noqa: SIM905
    "REALTIME_HASH REALTIME_STORE SHELL STAT".split()
)

# Headers that name a number or somebody who has one. Bare, such a value has been read as YAML:
# 0123 has become 123, +44123 has become 44123, and 16:10 has become 970.
NUMBERED = frozenset(
    "account accountcode callerid calleridnum channel channel1 channel2 conference data device "  # noqa: SIM905
    "endpoint exten extraexten extrachannel interface mailbox member number peer stateinterface "
    "transfertochannel user value variable".split()
)


def check(action, also_actions=(), also_applications=()):
    """
    Check an action before it is sent.

    ``action``: dict of headers, as :func:`pbxlib.message.serialize` takes them. ``also_actions``,
    ``also_applications``: names that are allowed besides the everyday ones.

    Raises :class:`~pbxlib.errors.BadAction` when it cannot be sent as it is, and
    :class:`~pbxlib.errors.ActionForbidden` when it may not be. Both name what is wrong.
    """
    if not isinstance(action, dict):
        kind = type(action).__name__
        raise BadAction(f"An AMI action is a dict of headers, this is of type {kind}")
    headers = {}
    for name in action:
        key = name.lower() if isinstance(name, str) else name
        if key in headers:
            raise BadAction(f"Header {name!r} is there twice, as {headers[key]!r} too")
        headers[key] = name
    serialize(action)
    for key, name in headers.items():
        if key in NUMBERED:
            _refuse_bare_number(name, action[name])
    _allow("Action", _text(action, headers, "action"), ACTIONS, also_actions, "allow_actions")
    if "application" in headers:
        application = _text(action, headers, "application")
        _allow("Application", application, APPLICATIONS, also_applications, "allow_applications")
    if "variable" in headers:
        _refuse_functions(headers["variable"], action[headers["variable"]])


def blocks(action):
    """
    Whether Asterisk sends nothing else on the session, no event either, until it has answered
    this action: an Originate that is not asynchronous, for as long as it rings. Such an action
    needs a session of its own.
    """
    headers = {str(name).lower(): str(value).strip().lower() for name, value in action.items()}
    asynchronous = headers.get("async") in ("true", "yes", "y", "t", "1", "on")
    return headers.get("action") == "originate" and not asynchronous


def _text(action, headers, key):
    value = action.get(headers.get(key))
    if not isinstance(value, str) or not value.strip():
        raise BadAction(f"Header {key.title()!r} must be one word, it is {value!r}")
    return value.strip()


def _allow(header, value, everyday, also, setting):
    if value.lower() not in {name.lower() for name in (*everyday, *also)}:
        raise ActionForbidden(
            f"{header} {value!r} is not allowed on this minion. If it should be, add it to "
            f"asterisk:ami:{setting} in the minion's pillar"
        )


def _refuse_bare_number(name, value):
    if isinstance(value, (list, tuple)):
        for item in value:
            _refuse_bare_number(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_bare_number(f"{name}: {key}", item)
    elif isinstance(value, (int, float)):
        raise BadAction(
            f"Header {name!r} came as the bare number {value!r}: a leading + or 0 may be lost "
            f'already. Quote it, as in \'{{"{name}": "{value}"}}\''
        )


def _refuse_functions(name, value):
    if isinstance(value, (list, tuple)):
        for item in value:
            _refuse_functions(name, item)
    elif isinstance(value, dict):
        for key in value:
            _refuse_functions(name, str(key))
    else:
        for function in re.findall(r"([A-Za-z0-9_]+)\s*\(", str(value)):
            if function.upper() in FUNCTIONS:
                raise ActionForbidden(
                    f"Header {name!r} calls the dialplan function {function!r}, which is not "
                    "allowed from outside the dialplan"
                )
