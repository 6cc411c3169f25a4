"""The verdict on a packet: what finally happened to it."""

from __future__ import annotations

from enum import Enum


class PacketVerdict(Enum):
    """What finally happened to a packet.

    A packet was delivered if it came out at a node beside the host. It is local input if the host itself took it and
    answered nothing. It was rejected if a rule discarded it and answered. LET_THROUGH: the rules let it pass to an
    address behind a bridge that no node of the bed has.
    """

    DELIVERED = "delivered"
    LOCAL_INPUT = "local input"
    DROPPED = "dropped"
    REJECTED = "rejected"
    ANSWERED_BY_HOST = "answered by the host"
    LOST = "lost in routing"
    NO_LISTENER = "no listener"
    LET_THROUGH = "let through"

    def __str__(self) -> str:
        return self.value
