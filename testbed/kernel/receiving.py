"""Receive buffers that lose nothing, for root and for other users.

Root's sockets get the size they ask for (SO_RCVBUFFORCE). Those of another user hold at most net.core.rmem_max bytes.
What waits in such a socket is therefore read after each packet that is sent (`read_waiting`), until they are asked for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h
REMEDY = "An ordinary user's sockets hold net.core.rmem_max bytes; root raises it: sysctl -w net.core.rmem_max=67108864"

_readers: dict[int, Callable[[], object]] = {}  # by the socket's descriptor


def enlarge(opened: socket.socket, size: int) -> bool:
    """Give a socket a receive buffer of that many bytes; return whether the kernel allows it."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= size


def keep_short(opened: socket.socket, size: int, read: Callable[[], object]) -> None:
    """Enlarge a receive buffer, or have `read` empty it after each packet where it stays smaller."""
    if not enlarge(opened, size):
        _readers[opened.fileno()] = read


def forget(opened: socket.socket) -> None:
    """Read that socket no more; call it before the socket is closed."""
    _readers.pop(opened.fileno(), None)


def reads_ahead() -> bool:
    """Return whether `read_waiting` reads sockets, so that what waits in them is not at the kernel any more."""
    return bool(_readers)


def read_waiting() -> None:
    """Read what waits in sockets whose buffers are smaller than they should be; of root's there are none."""
    for read in tuple(_readers.values()):
        read()
