# A call centre: one queue, agents who log in to it and out of it, voicemail for who does not want
# to wait. On Debian 11 voicemail is a package of its own: install: {packages: [asterisk,
# asterisk-voicemail]}.
asterisk:
  endpoints:
    '301': {callerid: '"Ada Lovelace" <301>'}
    '302': {callerid: '"Grace Hopper" <302>'}

  config:
    queues.conf:
      general:
        persistentmembers: true        # who had logged in is in again after a restart
        autofill: true
        monitor-type: MixMonitor
      support:
        musicclass: support
        strategy: rrmemory
        timeout: 15
        retry: 5
        wrapuptime: 10
        maxlen: 20
        joinempty: false               # nobody logged in: on to voicemail at once
        leavewhenempty: true
        announce-frequency: 30
        announce-holdtime: true
        # Always a member, asked after those who logged in.
        member: 'PJSIP/302,5,Grace Hopper'
    musiconhold.conf:
      # Your own files, of any format that Asterisk plays: no package has any.
      default: {mode: files, directory: /var/lib/asterisk/moh}
      support: {mode: files, directory: /var/lib/asterisk/moh, sort: random}
    voicemail.conf:
      general:
        format: wav
        attach: true
        serveremail: pbx@example.com
        maxsecs: 300
        minpassword: 4
      default:
        # Number: PIN, name, mail address.
        '301': 4711,Ada Lovelace,ada@example.com
        '302': 2906,Grace Hopper,grace@example.com
        '800': 1147,Support,support@example.com
    features.conf:
      general: {transferdigittimeout: 3}
      featuremap:
        blindxfer: '##'
        atxfer: '*2'
        parkcall: '#72'
    res_parking.conf:
      default:
        parkext: 750
        parkpos: 751-760
        context: parkedcalls
        parkingtime: 120
        parkedmusicclass: support
    extensions.conf:
      from-internal:
        - exten: _30X,1,Dial(PJSIP/${EXTEN},20,tkK)
        - same: n,VoiceMail(${EXTEN}@default,u)
        - same: n,Hangup()
        # The queue: two minutes, then voicemail.
        - exten: 800,1,Answer()
        - same: n,Queue(support,t,,,120)
        - same: n,VoiceMail(800@default,u)
        - same: n,Hangup()
        # An agent in, out, and their messages.
        - exten: 801,1,AddQueueMember(support,PJSIP/${CALLERID(num)})
        - same: n,Playback(agent-loginok)
        - same: n,Hangup()
        - exten: 802,1,RemoveQueueMember(support,PJSIP/${CALLERID(num)})
        - same: n,Playback(agent-loggedoff)
        - same: n,Hangup()
        - exten: 803,1,VoiceMailMain(${CALLERID(num)}@default)
        - same: n,Hangup()
        - include: parkedcalls
