"""Open sockets of a node's kernel, as programs of a host have them.

The kernel completes TCP handshakes for them. Datagrams are answered by `answer`, when no packet is on its way, so that
a bed stays deterministic.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

from testbed.kernel.namespace import Namespace
from testbed.kernel.packets import on_cpu
from testbed.topology import Listener, Node
from testbed.traffic.sockets import KernelEndpoint

_FREEBIND, _FREEBIND6 = 15, 78  # IP_FREEBIND and IPV6_FREEBIND, include/uapi/linux/in.h and in6.h
_PKTINFO, _RECVPKTINFO6, _PKTINFO6 = 8, 49, 50  # IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO, the same files
_IN_PKTINFO, _IN6_PKTINFO = struct.Struct("=i4s4s"), struct.Struct("=16si")
_LARGEST, _ANCILLARY = 65536, 256  # bytes
_NOWHERE = bytes(4)


class Listening:
    """The listeners that are open in a bed."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._datagram: list[socket.socket] = []
        self.sockets: list[socket.socket] = []

    def open(self, namespace: Namespace, node: Node) -> None:
        """Open every listener of a node; raises OSError when two of them want one port."""
        versions: set[int] = {address.version for address in node.addresses}
        for listener in node.listeners:
            for address in _places(listener, versions):
                own = self._opened.enter_context(KernelEndpoint(namespace).unbound(listener.protocol, address))
                _let_bind_anywhere(own)
                own.bind((address, listener.port))
                self.sockets.append(own)
                if listener.protocol == "tcp":
                    own.listen(socket.SOMAXCONN)
                    continue
                own.setblocking(False)
                _ask_for_destinations(own)
                self._datagram.append(own)

    def answer(self, cpu: int) -> bool:
        """Answer each datagram that has arrived, with its own contents; return whether there was any."""
        answered = False
        with on_cpu(cpu):
            for own in self._datagram:
                while _answer(own):
                    answered = True
        return answered

    def close(self) -> None:
        self._opened.close()
        self._datagram.clear()
        self.sockets.clear()


def _places(listener: Listener, versions: set[int]) -> Iterator[str]:
    if listener.address is not None:
        yield str(listener.address)
        return
    yield from (unspecified for version, unspecified in ((4, "0.0.0.0"), (6, "::")) if version in versions)


def _let_bind_anywhere(own: socket.socket) -> None:
    """Let a socket have an address that the host does not have (yet), as programs with this option do."""
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if own.family == socket.AF_INET6:
        own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        own.setsockopt(socket.IPPROTO_IPV6, _FREEBIND6, 1)
    else:
        own.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)


def _ask_for_destinations(own: socket.socket) -> None:
    """Have the kernel tell the address that each datagram was sent to, from which the answer is to come."""
    six = own.family == socket.AF_INET6
    own.setsockopt(*((socket.IPPROTO_IPV6, _RECVPKTINFO6) if six else (socket.IPPROTO_IP, _PKTINFO)), 1)


def _answer(own: socket.socket) -> bool:
    try:
        data, ancillary, _, sender = own.recvmsg(_LARGEST, _ANCILLARY)
    except BlockingIOError:
        return False
    try:
        own.sendmsg([data], [_from_there(*one) for one in ancillary], 0, sender)
    except OSError:
        return True  # the packet filter or the routing of the host refuses the answer
    return True


def _from_there(level: int, kind: int, value: bytes) -> tuple[int, int, bytes]:
    """Return the control message with which an answer has the address that was asked."""
    if kind == _PKTINFO6:
        return level, kind, _IN6_PKTINFO.pack(_IN6_PKTINFO.unpack(value[: _IN6_PKTINFO.size])[0], 0)
    _, _, asked = _IN_PKTINFO.unpack(value[: _IN_PKTINFO.size])
    return level, kind, _IN_PKTINFO.pack(0, asked, _NOWHERE)
