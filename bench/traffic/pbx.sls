# The PBX whose traffic was recorded: phones with names beyond ASCII, a queue, transfers, and an
# AMI account that reads everything.
asterisk:
  endpoints:
    '101': {callerid: '"Zoë Ångström" <101>'}
    '102': {callerid: '"山田 太郎" <102>'}
  config:
    manager.conf:
      general:
        channelvars: CUSTOMER,CHANNEL(language),QUEUENAME
      recorder:
        secret: recorder-of-the-lab
        read: all
        write: call,originate,agent,system,user
    features.conf:
      featuremap: {atxfer: '*2', blindxfer: '#1'}
    queues.conf:
      support:
        strategy: rrmemory
        timeout: 5
        retry: 1
        wrapuptime: 0
        eventwhencalled: true
        eventmemberstatus: true
        member: [Local/201@agents/n, Local/202@agents/n, Local/203@agents/n]
    extensions.conf:
      from-internal:
        - exten: _1XX,1,Set(__CUSTOMER=Müller & Söhne)
        - same: n,Dial(PJSIP/${EXTEN},20)
        - same: n,Hangup()
        - exten: _3XX,1,Set(__CUSTOMER=Œuvre №${EXTEN})
        - same: n,Set(CALLERID(name)=Łukasz Żółć)
        - same: n,Dial(Local/${EXTEN}@phones,20)
        - same: n,Hangup()
        - exten: 600,1,Answer()
        - same: n,Wait(1)
        - same: n,Hangup()
        - exten: 700,1,Set(__CUSTOMER=Ångström AB)
        - same: n,Set(CALLERID(name)=Ирина)
        - same: n,Answer()
        - same: n,Queue(support,,,,30)
        - same: n,Hangup()
      agents:
        - exten: _2XX,1,Set(CALLERID(name)=Agent ${EXTEN} Æ)
        - same: n,Wait(0.2)
        - same: n,Answer()
        - same: n,Wait(2)
        - same: n,Hangup()
      phones:
        - exten: _XXX,1,Ringing()
        - same: n,Wait(0.3)
        - same: n,Answer()
        - same: n,SendDTMF(12#)
        - same: n,Wait(3)
        - same: n,Hangup()
      callers:
        - exten: talk,1,Answer()
        - same: n,Set(CALLERID(name)=José Ñandú)
        - same: 'n,UserEvent(CallNote,Note: Rückruf um 10 Uhr)'
        - same: n,Wait(4)
        - same: n,Hangup()
