"""Packets that a node's own kernel sends, through ordinary sockets of that node."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from testbed.kernel.packets import on_cpu
from testbed.traffic.layers import ICMP
from testbed.traffic.sockets import Attempt, KernelEndpoint, echoed


class KernelSender:
    """Sends from the kernel of one node, on one processor, and waits until its packets are through."""

    def __init__(self, kernel: KernelEndpoint, cpu: int, identities: Iterator[int], settle: Callable[[], None]) -> None:
        self._kernel = kernel
        self._cpu = cpu
        self._identities = identities
        self._settle = settle

    def connect(self, to: tuple[str, int]) -> Attempt:
        """Attempt a TCP connection and return the outcome at once, without a timeout."""
        asking = self._kernel.tcp(towards=to[0])
        asking.setblocking(False)
        with on_cpu(self._cpu):
            code = asking.connect_ex(to)
        if code not in (0, errno.EINPROGRESS):
            return Attempt(os.strerror(code), asking)
        self._settle()
        return Attempt.judged(asking)

    def ping(self, address: str) -> bool:
        """Return whether an echo request of 84 bytes is answered."""
        with self._kernel.icmp() as asking:
            request = ICMP(type=8, id=next(self._identities), seq=1) / bytes(56)
            with on_cpu(self._cpu), suppress(PermissionError):  # dropped by the packet filter on its way out
                asking.sendto(bytes(request), (address, 0))
            self._settle()
            return echoed(asking, request.id)

    def datagram(self, to: tuple[str, int]) -> None:
        """Send a UDP datagram of 8 bytes."""
        with self._kernel.udp(towards=to[0]) as asking, on_cpu(self._cpu), suppress(PermissionError):
            asking.sendto(b"question", to)
        self._settle()
