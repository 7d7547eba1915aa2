# The Salt master, and the test phones: a phone should not sit on the PBX that it calls.
/opt/salt/bin/pip install cherrypy
install_packages sip-tester
