"""Packets matched: as they left one end, as they arrived at another."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.traffic.packet import Crossing, Packet


def crossings(left: Iterable[Packet], arrived: Iterable[Packet]) -> tuple[Crossing, ...]:
    """Pair each packet that left one end with its arrival at the other end, in order; None if it did not arrive."""
    waiting = list(arrived)
    matched: list[Crossing] = []
    for packet in left:
        same = next((other for other in waiting if packet.same_as(other)), None)
        if same is not None:
            waiting.remove(same)
        matched.append(Crossing(packet, same))
    return tuple(matched)
