"""Kernel endpoints: ordinary sockets inside a namespace, so that a real TCP/IP stack speaks."""

from __future__ import annotations

import errno
import os
import select
import socket
from dataclasses import dataclass

from testbed.kernel.namespace import Namespace

_DEADLINE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection that a kernel has tried to make, at a moment when no packet of it is on its way any more.

    `outcome` is `open`, `refused`, `no answer`, or the kernel's word for what else went wrong.
    """

    outcome: str
    asking: socket.socket

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *_: object) -> None:
        self.asking.close()

    @classmethod
    def judged(cls, asking: socket.socket) -> Attempt:
        """What has become of a connection that a socket was told to make without waiting."""
        if not select.select([], [asking], [], 0)[1]:
            return cls("no answer", asking)
        error = asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        words = {0: "open", errno.ECONNREFUSED: "refused"}
        return cls(words.get(error, os.strerror(error)), asking)


class KernelEndpoint:
    """The sockets of one node's kernel. They block for ten seconds at the most."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def tcp(self) -> socket.socket:
        """A TCP socket of this node; the caller closes it."""
        return self._open(socket.SOCK_STREAM)

    def udp(self) -> socket.socket:
        """A UDP socket of this node; the caller closes it."""
        return self._open(socket.SOCK_DGRAM)

    def listen(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        """A listening TCP socket: the kernel completes handshakes with it whether or not somebody accepts."""
        listening = self.tcp()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen()
        return listening

    def connect(self, address: str, port: int) -> socket.socket:
        """A connected TCP socket; OSError as the kernel reports it (refused, unreachable, timed out)."""
        connected = self.tcp()
        try:
            connected.connect((address, port))
        except OSError:
            connected.close()
            raise
        return connected

    def icmp(self) -> socket.socket:
        """A raw socket of this node for ICMP messages; the caller closes it."""
        return self._open(socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def _open(self, kind: int, protocol: int = 0) -> socket.socket:
        opened = self._namespace.run(socket.socket, socket.AF_INET, kind, protocol)
        opened.settimeout(_DEADLINE)
        return opened
