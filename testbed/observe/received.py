"""Packets matched: as they left one end, as they arrived at another."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.traffic.packet import Packet


def matched(left: Iterable[Packet], arrived: Iterable[Packet]) -> tuple[tuple[Packet, Packet | None], ...]:
    """Pair each packet that left one end with its arrival at the other end, in order; None if it did not arrive."""
    waiting = list(arrived)
    pairs: list[tuple[Packet, Packet | None]] = []
    for packet in left:
        same = next((other for other in waiting if packet.same_as(other)), None)
        if same is not None:
            waiting.remove(same)
        pairs.append((packet, same))
    return tuple(pairs)
