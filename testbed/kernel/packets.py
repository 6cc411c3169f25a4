"""Packet sockets: send and capture frames on an interface, in that interface's namespace."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.errors import KernelRefused
from testbed.kernel import receiving
from testbed.kernel.namespace import Namespace
from testbed.kernel.waiting import any_readable

_ETH_P_ALL, _ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD
_PACKET_OUTGOING = 4  # include/uapi/linux/if_packet.h
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_BUFFER = 8 << 20  # bytes; large enough that no frame is lost
_ARP_REQUEST, _ARP_REPLY = 1, 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_PATIENCE, _ARP_ATTEMPTS = 0.2, 50  # seconds, attempts; after that there is no such kernel


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with an IP packet that an interface sent (`outgoing`) or received."""

    data: bytes
    outgoing: bool

    @property
    def destination(self) -> bytes:
        return self.data[:6]


@contextmanager
def on_cpu(cpu: int) -> Iterator[None]:
    """Keep the calling thread on one processor while the block runs."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


class PacketSocket:
    """An AF_PACKET socket on one interface."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self.name = f"{namespace.name}:{device}"
        self._namespace = namespace
        self._waiting: list[Frame] = []
        self._arp: list[bytes] = []
        self._socket = namespace.run(_open, device)
        receiving.keep_short(self._socket, _BUFFER, self._drain)

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)
        receiving.read_waiting()

    def received(self) -> list[Frame]:
        """Return the IP frames captured since the last call, oldest first; raises KernelRefused if the kernel dropped
        any.
        """
        self._drain()
        frames, self._waiting = self._waiting, []
        return frames

    def wait(self, seconds: float) -> bool:
        """Return whether a frame arrives within that time."""
        return any_readable([self], seconds)

    def fileno(self) -> int:
        return self._socket.fileno()

    def arp_round_trip(self, mac: str, address: IPv4Address) -> None:
        """Send an ARP request for `address` and wait for the kernel's answer; raises KernelRefused when none comes.

        The request has no sender address (an ARP probe, RFC 5227), so it adds no neighbour entry. No packet filter of
        the IP layer sees it. It is repeated if frames get lost.
        """
        own = bytes.fromhex(mac.replace(":", ""))
        probe = _ARP.pack(1, _ETH_P_IP, 6, 4, _ARP_REQUEST, own, bytes(4), bytes(6), address.packed)
        for _ in range(_ARP_ATTEMPTS):
            self._arp.clear()
            self._socket.send(b"\xff" * 6 + own + struct.pack("!H", _ETH_P_ARP) + probe)
            while self.wait(_ARP_PATIENCE):
                self._drain()
                if any(self._answers(frame, address, own) for frame in self._arp):
                    return
        deadline = _ARP_ATTEMPTS * _ARP_PATIENCE
        raise KernelRefused(f"{address} did not answer ARP on {self.name} within {deadline:.0f} s.")

    def close(self) -> None:
        receiving.forget(self._socket)
        self._namespace.close_in_time(self._socket)

    @staticmethod
    def _answers(frame: bytes, address: IPv4Address, own: bytes) -> bool:
        if len(frame) < 14 + _ARP.size:
            return False
        *_, operation, _, sender, target, _ = _ARP.unpack_from(frame, 14)
        return bool(operation == _ARP_REPLY and sender == address.packed and target == own)

    def _drain(self) -> None:
        while True:
            try:
                data, (_, protocol, kind, *_) = self._socket.recvfrom(65536)
            except BlockingIOError:
                break
            if protocol in (_ETH_P_IP, _ETH_P_IPV6):
                self._waiting.append(Frame(data, kind == _PACKET_OUTGOING))
            elif protocol == _ETH_P_ARP and kind != _PACKET_OUTGOING:
                self._arp.append(data)
        _, lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if lost:
            raise KernelRefused(
                f"the kernel lost {lost} frames on {self.name}: what was seen is not complete.", receiving.REMEDY
            )


def _open(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    opened.bind((device, _ETH_P_ALL))
    return opened
