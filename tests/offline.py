"""Runs pytest where `unshare -n` has left nothing but loopback, and that switched off: switches it on first."""

import fcntl
import socket
import struct
import sys

import pytest

SET_FLAGS, UP = 0x8914, 1  # SIOCSIFFLAGS and IFF_UP (netdevice(7))

if __name__ == "__main__":
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    sys.exit(pytest.main(sys.argv[1:]))
