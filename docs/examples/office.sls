# An office: two phones, a provider that the PBX registers with, a carrier that is known by its
# address. Passwords of phones are generated: salt PBX cmd.run 'cat /etc/salt/asterisk/endpoint-101'
asterisk:
  endpoints:
    '101': {callerid: '"Ada Lovelace" <101>'}
    '102': {callerid: '"Grace Hopper" <102>'}

    # By registration: the provider sends calls to where we registered from.
    provider:
      template: trunk
      auth: {username: '442079460000', password: what the provider gave you}
      aor: {contact: 'sip:sip.example.com'}
      from_user: '442079460000'
      registration:
        server_uri: sip:sip.example.com
        client_uri: sip:442079460000@sip.example.com
        # The number that incoming calls come to, in from-trunk.
        contact_user: '442079460000'

    # By address: no login on either side. A name is looked up when Asterisk reads the file.
    carrier:
      template: trunk
      aor: {contact: 'sip:192.0.2.10'}
      identify: {match: [192.0.2.10, 192.0.2.11]}

  config:
    pjsip.conf:
      # A PBX behind NAT tells those outside of `local_net` its outer address.
      transport-udp:
        local_net: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
        # external_media_address: 198.51.100.1
        # external_signaling_address: 198.51.100.1
    extensions.conf:
      from-internal:
        - exten: _10X,1,Dial(PJSIP/${EXTEN},20)
        - same: n,Hangup()
        # 0 and a number: out over the provider, and over the carrier when that cannot.
        - exten: _0X.,1,Dial(PJSIP/${EXTEN}@provider,60)
        - same: n,ExecIf($["${DIALSTATUS}" = "CHANUNAVAIL"]?Dial(PJSIP/${EXTEN}@carrier,60))
        - same: n,Hangup()
      from-trunk:
        # Whatever number was called, both phones ring.
        - exten: _[+0-9].,1,Dial(PJSIP/101&PJSIP/102,30)
        - same: n,Hangup()
