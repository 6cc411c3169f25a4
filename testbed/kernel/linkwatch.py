"""Wait until links carry frames, by the kernel's own announcements.

A worker of the kernel completes the change of a link to up (linkwatch_do_dev, net/core/link_watch.c). Until it has run,
a device may discard the frames it sends, and a bridge port the frames it receives. The worker runs at once for a device
whose index differs from its peer's, else after up to a second (linkwatch_urgent_event).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection

from testbed.errors import KernelRefused
from testbed.kernel import netlink, receiving
from testbed.kernel.namespace import Namespace
from testbed.kernel.waiting import any_readable

_RTMGRP_LINK = 1
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_ALL = 0x301  # NLM_F_REQUEST, NLM_F_DUMP
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change; include/uapi/linux/rtnetlink.h
_IFLA_IFNAME, _IFLA_OPERSTATE = 3, 16
_IF_OPER_UP = 6
_RECEIVE = 1 << 16
_BUFFER = 16 << 20  # bytes; a host with hundreds of links announces each of them several times
_DEADLINE = 10.0  # seconds


class LinkWatch:
    """The link states that the kernel has announced in a namespace since this object was made."""

    def __init__(self, namespace: Namespace) -> None:
        self._name = namespace.name
        self._socket = namespace.run(_open)
        self._up: set[str] = set()

    def wait_until_up(self, devices: Collection[str]) -> None:
        """Return when all those devices and their peers are up; raises KernelRefused if one is not within 10 s."""
        with self._socket:
            while not self._up.issuperset(devices):
                if not any_readable([self._socket], _DEADLINE):
                    missing = next(device for device in devices if device not in self._up)
                    raise KernelRefused(f"{self._name}:{missing} has not come up within {_DEADLINE:.0f} s.")
                try:
                    self._take(self._socket.recv(_RECEIVE))
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    self._ask_again()

    def _ask_again(self) -> None:
        """Ask for the state of every link, which comes as announcements do, since some of those were lost."""
        self._socket.send(netlink.message(_RTM_GETLINK, _ALL, bytes(_IFINFOMSG.size)))

    def _take(self, data: bytes) -> None:
        for kind, _, body in netlink.messages(data):
            family = _IFINFOMSG.unpack_from(body)[0]
            if kind == _RTM_NEWLINK and family == socket.AF_UNSPEC:  # bridges announce their ports a second time
                name, state = netlink.chosen(body[_IFINFOMSG.size :], _IFLA_IFNAME, _IFLA_OPERSTATE)
                (self._up.add if state[0] == _IF_OPER_UP else self._up.discard)(netlink.text(name))


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    receiving.enlarge(opened, _BUFFER)
    opened.bind((0, _RTMGRP_LINK))
    return opened
