"""The AMI events that Asterisk documents, in lower case: the names that a PBX knows."""

DOCUMENTED = frozenset(
    """
    agentcalled agentcomplete agentconnect agentdump agentlogin agentlogoff agentringnoanswer
    agents agentscomplete agiexecend agiexecstart alarm alarmclear aoc-d aoc-e aoc-s asyncagiend
    asyncagiexec asyncagistart attendedtransfer authmethodnotallowed blindtransfer bridgecreate
    bridgedestroy bridgeenter bridgeleave bridgemerge bridgevideosourceupdate cdr cel
    challengeresponsefailed challengesent channeltalkingstart channeltalkingstop chanspystart
    chanspystop confbridgeend confbridgejoin confbridgeleave confbridgelist confbridgelistrooms
    confbridgemute confbridgerecord confbridgestart confbridgestoprecord confbridgetalking
    confbridgeunmute contactstatus coreshowchannel coreshowchannelmapcomplete
    coreshowchannelscomplete dahdichannel deadlockstart devicestatechange dialbegin dialend
    dialstate dndstate dtmfbegin dtmfend extensionstatus failedacl faxsession
    faxsessionscomplete faxsessionsentry faxstats faxstatus flash fullybooted hangup
    hanguphandlerpop hanguphandlerpush hanguphandlerrun hanguprequest hold invalidaccountid
    invalidpassword invalidtransport load loadaveragelimit localbridge localoptimizationbegin
    localoptimizationend logchannel mcid meetmeend meetmejoin meetmeleave meetmelist
    meetmelistrooms meetmemute meetmetalking meetmetalkrequest memorylimit messagewaiting
    minivoicemail mixmonitormute mixmonitorstart mixmonitorstop musiconholdstart musiconholdstop
    mwiget mwigetcomplete newaccountcode newcallerid newchannel newconnectedline newexten
    newstate originateresponse parkedcall parkedcallgiveup parkedcallswap parkedcalltimeout
    peerstatus pickup pjsipmaintenancestatus presencestatechange presencestatus
    queuecallerabandon queuecallerjoin queuecallerleave queueentry queuememberadded
    queuememberpause queuememberpenalty queuememberremoved queuememberringinuse
    queuememberstatus queueparams receivefax registry reload rename requestbadformat
    requestnotallowed requestnotsupported rtcpreceived rtcpsent sendfax sessionlimit shutdown
    softhanguprequest spanalarm spanalarmclear status statuscomplete successfulauth
    unexpectedaddress unhold unload unparkedcall userevent varset voicemailpasswordchange wink
    """.split()
)
