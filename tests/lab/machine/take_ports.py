"""Takes every local port there is towards some addresses, and holds them until it is ended.

Usage: take_ports.py ADDRESS PORT [ADDRESS PORT...]

Says "taken" once it has them. They are free at once when it ends: its connections are reset.
"""

import errno
import signal
import socket
import struct
import sys

RESET_AT_CLOSE = struct.pack("ii", 1, 0)

held = []


def take(address, port):
    while True:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        try:
            connection.connect((address, port))
        except OSError as error:
            connection.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return
        held.append(connection)


for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
    take(address, int(port))
print("taken", flush=True)
signal.pause()
