"""`python -m codex_audit.proofs.trainer.commands.launch SPEC`: becomes the command itself.

What no command can do for itself is done before: it ends with the gate that started it, and its
network is cut where that is asked for.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys

from codex_audit.proofs.child import die_with

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41
NO_NAMESPACE = 125


def main() -> None:
    """Start the command of the specification in this process."""
    spec = json.loads(sys.argv[1])
    die_with(spec["parent"])
    if spec["offline"] and not _cut_network():
        os._exit(NO_NAMESPACE)
    os.execve(spec["program"], spec["words"], spec["environment"])  # noqa: S606 # nosec B606


def _cut_network() -> bool:
    """Whether this process and what follows it now have a network of only themselves."""
    if sys.platform != "linux":
        return False
    if ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    with socket.socket() as any_socket:  # processes of one training may talk to each other
        request = struct.pack("16sH14s", b"lo", _UP_AND_RUNNING, b"")
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    return True


if __name__ == "__main__":
    main()
