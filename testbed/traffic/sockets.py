"""Kernel endpoints: ordinary sockets inside a namespace, with a real TCP/IP stack."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from testbed.kernel.namespace import Namespace
from testbed.kernel.waiting import is_writable
from testbed.traffic.layers import ICMP

ANY = "0.0.0.0"  # every IPv4 address of a node
_DEADLINE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection attempt of a kernel, at a moment when none of its packets is on its way.

    `outcome` is `open`, `refused`, `no answer`, or the kernel's text for another error.
    """

    outcome: str
    asking: socket.socket

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *_: object) -> None:
        self.asking.close()

    @classmethod
    def judged(cls, asking: socket.socket) -> Attempt:
        """Return the outcome of a nonblocking connection attempt."""
        if not is_writable(asking):
            return cls("no answer", asking)
        error = asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        words = {0: "open", errno.ECONNREFUSED: "refused"}
        return cls(words.get(error, os.strerror(error)), asking)


def echoed(asking: socket.socket, identifier: int) -> bool:
    """Return whether an echo reply of that identifier has arrived at a raw ICMP socket."""
    asking.setblocking(False)
    return any(ICMP(data[20:]).id == identifier and data[20] == 0 for data in _received(asking))


def _received(opened: socket.socket) -> Iterator[bytes]:
    """Yield the data that has arrived at a nonblocking socket."""
    with suppress(BlockingIOError):
        while True:
            yield opened.recv(65536)


class KernelEndpoint:
    """The sockets of one node's kernel; they block for ten seconds at most."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def tcp(self, towards: str = ANY) -> socket.socket:
        """Return a TCP socket of this node, of the IP version of an address; the caller closes it."""
        return self._open(socket.SOCK_STREAM, towards)

    def udp(self, towards: str = ANY) -> socket.socket:
        """Return a UDP socket of this node, of the IP version of an address; the caller closes it."""
        return self._open(socket.SOCK_DGRAM, towards)

    def unbound(self, protocol: str, towards: str) -> socket.socket:
        """Return a TCP or UDP socket of this node, of the IP version of an address; the caller closes it."""
        return self.tcp(towards) if protocol == "tcp" else self.udp(towards)

    def listen(self, port: int, address: str = ANY) -> socket.socket:
        """Return a listening TCP socket; the kernel completes handshakes even without an accept call."""
        listening = self.tcp(address)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listening.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen()
        return listening

    def bound(self, protocol: str, port: int, address: str) -> socket.socket:
        """Return a socket that accepts TCP connections or UDP datagrams on a port; the caller closes it."""
        if protocol == "tcp":
            return self.listen(port, address)
        opened = self.udp(address)
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        return opened

    def connect(self, address: str, port: int) -> socket.socket:
        """Return a connected TCP socket; raises OSError as the kernel reports it (refused, unreachable, timed out)."""
        connected = self.tcp(address)
        try:
            connected.connect((address, port))
        except OSError:
            connected.close()
            raise
        return connected

    def icmp(self) -> socket.socket:
        """Return a raw socket of this node for ICMP messages; the caller closes it."""
        return self._open(socket.SOCK_RAW, ANY, socket.IPPROTO_ICMP)

    def _open(self, kind: int, towards: str, protocol: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in towards else socket.AF_INET
        opened = self._namespace.run(socket.socket, family, kind, protocol)
        opened.settimeout(_DEADLINE)
        return opened
