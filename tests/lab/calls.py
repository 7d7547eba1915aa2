"""Run on a PBX: start short calls over AMI. Arguments: how many, how many a second, where to.

Each is a Local channel; at 700 the dialplan forks its record, so that one UniqueID has several.
What Asterisk wrote of them is what counts: a call that it refused, or was killed in, is none.
"""

import socket
import sys
import time

ORIGINATE = (
    "Action: Originate\r\nChannel: Local/{}@from-internal\r\nApplication: Wait\r\nData: 0.1\r\n"
    "Async: true\r\n\r\n"
)


def main():
    count, rate, originate = int(sys.argv[1]), float(sys.argv[2]), ORIGINATE.format(sys.argv[3])
    with open("/etc/salt/asterisk/ami", encoding="ascii") as file:
        secret = file.read().strip()
    with socket.create_connection(("127.0.0.1", 5038), timeout=30) as ami:
        ami.sendall(
            f"Action: Login\r\nUsername: salt\r\nSecret: {secret}\r\nEvents: off\r\n\r\n".encode()
        )
        begin = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            ami.sendall(originate.encode())
        ami.sendall(b"Action: Logoff\r\n\r\n")
        # Until Asterisk hangs up, that is, until it has read all of them.
        while ami.recv(65536):
            pass


if __name__ == "__main__":
    main()
