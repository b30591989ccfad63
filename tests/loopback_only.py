"""Runs pytest with nothing but loopback where `unshare -n` has left nothing but that, switched off: switches it on.

Elsewhere it runs pytest as it is.
"""

import fcntl
import socket
import struct
import sys
from contextlib import suppress

import pytest

SET_FLAGS, UP = 0x8914, 1  # SIOCSIFFLAGS and IFF_UP (netdevice(7))

if __name__ == "__main__":
    with socket.socket() as any_socket, suppress(PermissionError):
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    sys.exit(pytest.main(sys.argv[1:]))
