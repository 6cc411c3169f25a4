"""Kernel endpoints: ordinary sockets inside a namespace, so that a real TCP/IP stack speaks."""

from __future__ import annotations

import socket

from testbed.kernel.namespace import Namespace

_DEADLINE = 10.0  # seconds


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

    def _open(self, kind: int) -> socket.socket:
        opened = self._namespace.run(socket.socket, socket.AF_INET, kind)
        opened.settimeout(_DEADLINE)
        return opened
