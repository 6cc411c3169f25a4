"""A packet socket that only listens on a link, with the kernel's time of each frame."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from testbed.errors import KernelRefused
from testbed.kernel import receiving
from testbed.kernel.namespace import Namespace

_ETH_P_ALL = 0x0003
_IP = (0x0800, 0x86DD)  # ETH_P_IP, ETH_P_IPV6
_PACKET_OUTGOING = 4  # include/uapi/linux/if_packet.h
_SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h
_TIMESPEC = struct.Struct("@qq")
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_BUFFER = 8 << 20  # bytes
_FRAME = 1 << 16


@dataclass(frozen=True, slots=True)
class TappedFrame:
    """A frame with an IP packet: when it passed (ns since 1970), and whether the tapped end sent it."""

    at: int
    outgoing: bool
    data: bytes


class LinkTap:
    """Listens on one end of a link from the moment it is made."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self._name = f"{namespace.name}:{device}"
        self._namespace = namespace
        self._frames: list[TappedFrame] = []
        self._socket = namespace.run(_listening, device)
        receiving.keep_short(self._socket, _BUFFER, self._read)

    def taken(self) -> list[TappedFrame]:
        """Return the frames since the last call, oldest first; raises KernelRefused if the kernel lost any."""
        self._read()
        frames, self._frames = self._frames, []
        return frames

    def close(self) -> None:
        receiving.forget(self._socket)
        self._namespace.close_in_time(self._socket)

    def _read(self) -> None:
        while True:
            try:
                data, said, _, (_, protocol, kind, *_) = self._socket.recvmsg(_FRAME, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                break
            if protocol in _IP:
                seconds, rest = _TIMESPEC.unpack(said[0][2])
                self._frames.append(TappedFrame(seconds * 1_000_000_000 + rest, kind == _PACKET_OUTGOING, data))
        _, lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if lost:
            raise KernelRefused(f"the kernel lost {lost} frames on {self._name}.", receiving.REMEDY)


def _listening(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.bind((device, _ETH_P_ALL))
    return opened
