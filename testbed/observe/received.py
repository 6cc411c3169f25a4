"""Packets matched: as they left one end, as they came out at another."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.traffic.packet import Crossing, Packet


def crossings(left: Iterable[Packet], arrived: Iterable[Packet]) -> tuple[Crossing, ...]:
    """Each packet of one end's departures with the arrival at the other that is the same packet, in order."""
    waiting = list(arrived)
    matched: list[Crossing] = []
    for packet in left:
        same = next((other for other in waiting if packet.same_as(other)), None)
        if same is not None:
            waiting.remove(same)
        matched.append(Crossing(packet, same))
    return tuple(matched)
