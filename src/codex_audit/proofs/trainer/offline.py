"""A process without a network: a namespace of its own where the system allows, and a guard."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
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
        ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    sys.addaudithook(_guard)


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _ASKS:
        return
    address = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
    if isinstance(address, tuple):
        address = address[0]
    text = os.fsdecode(address) if isinstance(address, bytes | str) else str(address)
    if address is None or text.startswith(_LOCAL) or text.startswith(("/", "\0")) or text == "":
        return
    raise NetworkUsedError(f"the network is cut, and {text!r} was asked for ({event})")
