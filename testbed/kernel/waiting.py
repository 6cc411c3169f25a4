"""Waiting for sockets by poll(2): select(2) takes no descriptor above 1023."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol


class HasDescriptor(Protocol):
    """A socket, or an object around one."""

    def fileno(self) -> int: ...


def any_readable(sockets: Iterable[HasDescriptor | int], seconds: float | None) -> bool:
    """Return whether one of the sockets has something to read, at the latest after `seconds`; None: wait for ever."""
    return _any(sockets, select.POLLIN, seconds)


def is_writable(opened: HasDescriptor) -> bool:
    """Return whether a socket is writable, or failed, at this moment."""
    return _any([opened], select.POLLOUT, 0)


def _any(sockets: Iterable[HasDescriptor | int], event: int, seconds: float | None) -> bool:
    poll = select.poll()
    for opened in sockets:
        poll.register(opened, event)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
