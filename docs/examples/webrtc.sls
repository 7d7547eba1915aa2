# Browsers as phones, and phones that speak TLS. Certificate and key come from elsewhere (an SLS of
# yours, an ACME client); Asterisk's user reads them: mode 0640, group asterisk.
asterisk:
  endpoints:
    # In JsSIP or SIP.js: wss://pbx.example.com:8089/ws, user 201.
    '201': {template: webrtc, callerid: '"Ada Lovelace" <201>'}
    '202': {template: webrtc, callerid: '"Grace Hopper" <202>'}
    # A phone whose words and voice are both encrypted: media in SRTP, its keys in the SDP.
    '203': {transport: transport-tls, media_encryption: sdes, callerid: '"Alan Turing" <203>'}

  config:
    modules.conf:
      modules:
        autoload: true
        # In Asterisk before 21 it answers on websockets in PJSIP's place, and refuses everybody.
        noload: chan_sip.so
    http.conf:
      general:
        enabled: true
        bindaddr: 127.0.0.1
        tlsenable: true
        tlsbindaddr: 0.0.0.0:8089
        tlscertfile: /etc/asterisk/keys/pbx.crt
        tlsprivatekey: /etc/asterisk/keys/pbx.key
    pjsip.conf:
      # Its address and certificate are those of http.conf.
      transport-wss: {type: transport, protocol: wss, bind: 0.0.0.0}
      transport-tls:
        type: transport
        protocol: tls
        bind: 0.0.0.0:5061
        method: tlsv1_2
        cert_file: /etc/asterisk/keys/pbx.crt
        priv_key_file: /etc/asterisk/keys/pbx.key
    rtp.conf:
      general:
        rtpstart: 10000
        rtpend: 20000
        icesupport: true
        # What tells a PBX behind NAT its outer address, for its ICE candidates.
        # stunaddr: stun.example.com:3478
    extensions.conf:
      from-internal:
        - exten: _20X,1,Dial(PJSIP/${EXTEN},20)
        - same: n,Hangup()
        - exten: 600,1,Answer()
        - same: n,Echo()
