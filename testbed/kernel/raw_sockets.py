"""Sockets of a host for packets that no program sends: raw IP packets, and a listener that answers nothing."""

from __future__ import annotations

import ctypes
import socket
import struct

from testbed.kernel.packets import on_cpu

_SO_ATTACH_FILTER = 26
_KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET of 0 bytes (include/uapi/linux/filter.h)


def send_raw(data: bytes, destination: str, processor: int) -> None:
    """Send an IP packet by a raw socket of the calling thread's namespace, as it is.

    Returns too if rules drop the packet or the kernel has no route for it: both are errors of the socket.
    """
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as opened, on_cpu(processor):
        try:
            opened.sendto(data, (destination, 0))
        except OSError:
            return


def listen_silently(port: int, version: int) -> socket.socket | None:
    """Return a TCP socket that takes each segment for a port and answers none; None if the port is not free.

    Its filter keeps no byte, so the kernel discards the segment behind the rules, without a reset.
    """
    opened = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    statement = ctypes.create_string_buffer(_KEEP_NOTHING)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(statement)))
        opened.bind(("", port))
        opened.listen()
    except OSError:
        opened.close()
        return None
    return opened
