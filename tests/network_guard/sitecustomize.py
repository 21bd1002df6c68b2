"""Refuse every connection that leaves the machine, in this process and (through PYTHONPATH) in all that it starts.

Python imports a module of this name at start-up, so worker processes are guarded before they run a line of ours.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class NetworkBlockedError(OSError):
    """A test tried to reach an address that is not loopback."""


def is_loopback(address: object) -> bool:
    if not isinstance(address, tuple):  # unix sockets are named by a path
        return True
    host = str(address[0])
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def install() -> None:
    if getattr(socket.socket, "eotasks_guarded", False):
        return
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(address: object) -> None:
        if not is_loopback(address):
            raise NetworkBlockedError(f"the tests may reach loopback only, not {address!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        refuse(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        refuse(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None:
            refuse((host.decode() if isinstance(host, bytes) else host,))
        return getaddrinfo(host, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_getaddrinfo
    socket.socket.eotasks_guarded = True  # type: ignore[attr-defined]


install()
