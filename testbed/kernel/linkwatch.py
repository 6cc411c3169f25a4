"""Waits until links carry frames, by the kernel's own announcements.

That a link has come up is settled in a worker of the kernel (linkwatch_do_dev, net/core/link_watch.c): until it has
run, a device may throw away what it is to send, and a bridge port what it receives. The worker hurries for a device
whose index differs from its peer's, and lets up to a second pass otherwise (linkwatch_urgent_event).
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Collection

from testbed.errors import KernelRefused
from testbed.kernel import netlink
from testbed.kernel.namespace import Namespace

_RTMGRP_LINK = 1
_RTM_NEWLINK = 16
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change; include/uapi/linux/rtnetlink.h
_IFLA_IFNAME, _IFLA_OPERSTATE = 3, 16
_IF_OPER_UP = 6
_RECEIVE = 1 << 16
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h
_BUFFER = 16 << 20  # bytes; a host of hundreds of links announces each of them several times
_DEADLINE = 10.0  # seconds


class LinkWatch:
    """What the kernel has announced of a namespace's links since this was made."""

    def __init__(self, namespace: Namespace) -> None:
        self._name = namespace.name
        self._socket = namespace.run(_open)
        self._up: set[str] = set()

    def wait_until_up(self, devices: Collection[str]) -> None:
        """Return when all those devices are up and their peers too; KernelRefused when one is not within 10 s."""
        with self._socket:
            while not self._up.issuperset(devices):
                if not select.select([self._socket], [], [], _DEADLINE)[0]:
                    missing = next(device for device in devices if device not in self._up)
                    raise KernelRefused(f"{self._name}:{missing} has not come up within {_DEADLINE:.0f} s.")
                self._take(self._socket.recv(_RECEIVE))

    def _take(self, data: bytes) -> None:
        for kind, _, body in netlink.messages(data):
            family = _IFINFOMSG.unpack_from(body)[0]
            if kind == _RTM_NEWLINK and family == socket.AF_UNSPEC:  # bridges announce their ports once more
                name, state = netlink.chosen(body[_IFINFOMSG.size :], _IFLA_IFNAME, _IFLA_OPERSTATE)
                (self._up.add if state[0] == _IF_OPER_UP else self._up.discard)(netlink.text(name))


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    opened.bind((0, _RTMGRP_LINK))
    return opened
