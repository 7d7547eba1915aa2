"""
The class that an AMI account must read to be sent each event.

From Asterisk 22's own documentation (core-en_US.xml); names are compared without regard to case.
"""

from __future__ import annotations

import glob
import os
import re

# Needed whatever the map says: FullyBooted and Shutdown, and the outcome of an Originate.
BASE = ("system", "call")

_EVENTS = {
    "agent": (
        "AgentCalled AgentComplete AgentConnect AgentDump AgentLogin AgentLogoff "
        "AgentRingNoAnswer Agents AgentsComplete QueueCallerAbandon QueueCallerJoin "
        "QueueCallerLeave QueueEntry QueueMemberAdded QueueMemberPause QueueMemberPenalty "
        "QueueMemberRemoved QueueMemberRinginuse QueueMemberStatus QueueParams"
    ),
    "agi": ("AGIExecEnd AGIExecStart AsyncAGIEnd AsyncAGIExec AsyncAGIStart"),
    "aoc": ("AOC-D AOC-E AOC-S"),
    "call": (
        "AttendedTransfer BlindTransfer BridgeCreate BridgeDestroy BridgeEnter BridgeLeave "
        "BridgeMerge BridgeVideoSourceUpdate CEL ChannelTalkingStart ChannelTalkingStop "
        "ChanSpyStart ChanSpyStop ConfbridgeEnd ConfbridgeJoin ConfbridgeLeave ConfbridgeMute "
        "ConfbridgeRecord ConfbridgeStart ConfbridgeStopRecord ConfbridgeTalking "
        "ConfbridgeUnmute CoreShowChannel CoreShowChannelMapComplete CoreShowChannelsComplete "
        "DAHDIChannel DeviceStateChange DialBegin DialEnd DialState ExtensionStatus "
        "FAXSessionsComplete FAXStatus Flash Hangup HangupRequest Hold LocalBridge "
        "LocalOptimizationBegin LocalOptimizationEnd MCID MeetmeEnd MeetmeJoin MeetmeLeave "
        "MeetmeList MeetmeListRooms MeetmeMute MeetmeTalking MeetmeTalkRequest MessageWaiting "
        "MiniVoiceMail MixMonitorMute MixMonitorStart MixMonitorStop MusicOnHoldStart "
        "MusicOnHoldStop NewAccountCode NewCallerid Newchannel NewConnectedLine Newstate "
        "OriginateResponse ParkedCall ParkedCallGiveUp ParkedCallSwap ParkedCallTimeOut "
        "Pickup PresenceStateChange PresenceStatus ReceiveFAX Rename SendFAX "
        "SoftHangupRequest Status StatusComplete Unhold UnParkedCall Wink"
    ),
    "cdr": ("Cdr"),
    "dialplan": ("HangupHandlerPop HangupHandlerPush HangupHandlerRun Newexten VarSet"),
    "dtmf": ("DTMFBegin DTMFEnd"),
    "reporting": (
        "ConfbridgeList ConfbridgeListRooms FAXSession FAXSessionsEntry FAXStats MWIGet "
        "MWIGetComplete RTCPReceived RTCPSent"
    ),
    "security": (
        "AuthMethodNotAllowed ChallengeResponseFailed ChallengeSent FailedACL "
        "InvalidAccountID InvalidPassword InvalidTransport LoadAverageLimit MemoryLimit "
        "RequestBadFormat RequestNotAllowed RequestNotSupported SessionLimit SuccessfulAuth "
        "UnexpectedAddress"
    ),
    "system": (
        "Alarm AlarmClear ContactStatus DeadlockStart DNDState FullyBooted Load LogChannel "
        "PeerStatus PJSIPMaintenanceStatus Registry Reload Shutdown SpanAlarm SpanAlarmClear "
        "Unload"
    ),
    "user": ("UserEvent VoicemailPasswordChange"),
}
_CLASS_OF = {name.lower(): kind for kind, names in _EVENTS.items() for name in names.split()}
_SECTION = re.compile(r"\s*\[([^\]]+)\]")
_READ = re.compile(r"\s*read\s*=>?\s*([^;]*)")


def class_of(event):
    """The class (str) that has ``event``, or ``None`` for what Asterisk does not document."""
    return _CLASS_OF.get(event.lower())


def needed(events):
    """The classes (list of str) that an account must read for ``events`` (iterable of str)."""
    kinds = {class_of(event) for event in events} - {None, *BASE}
    return [*BASE, *sorted(kinds)]


def granted(username, folder="/etc/asterisk"):
    """The classes (set of str) that the configuration in ``folder`` lets an account read.

    ``None`` when there is no such account there: Asterisk runs elsewhere, or keeps it elsewhere.
    """
    kinds = None
    for path in sorted(glob.glob(os.path.join(folder, "manager*.conf"))):
        section = None
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            continue
        for line in lines:
            begins = _SECTION.match(line)
            if begins:
                section = begins.group(1)
            reads = _READ.match(line)
            if reads and section == username:
                kinds = {kind.strip() for kind in reads.group(1).split(",")}
    return kinds
