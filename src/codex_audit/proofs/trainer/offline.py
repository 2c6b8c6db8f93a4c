"""A process without a network: a namespace of its own where the system allows, and a guard."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_ASKS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_LOCAL = ("127.", "::1", "localhost")


class NetworkUsedError(ConnectionRefusedError):
    """The subject asked for the network while it was cut."""


def cut_network() -> None:
    """Let every attempt to reach another host fail, from this process and its children.

    The namespace holds for code in any language; where the system allows no new namespace, the
    guard sees at least what goes through Python's sockets.
    """
    if sys.platform == "linux":
        user, group = os.getuid(), os.getgid()
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
            with suppress(OSError):  # a system may forbid either; then the guard is what is left
                _remain(user, group)
                _raise_loopback()
    sys.addaudithook(_guard)


def _remain(user: int, group: int) -> None:
    """Be the same user inside: without a map this process would be nobody."""
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _raise_loopback() -> None:
    """Bring the new namespace's own 127.0.0.1 up: a process may well talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _ASKS:
        return
    address = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
    if isinstance(address, tuple):
        address = address[0]
    text = os.fsdecode(address) if isinstance(address, bytes | str) else str(address)
    if text == socket.gethostname():  # a name of its own is no question to another host
        return
    if address is None or text.startswith(_LOCAL) or text.startswith(("/", "\0")) or text == "":
        return
    raise NetworkUsedError(f"the network is cut, and {text!r} was asked for ({event})")
