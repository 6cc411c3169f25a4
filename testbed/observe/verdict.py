"""The verdict on a packet, and the ends of its journey and of the chains that it traversed, as values."""

from __future__ import annotations

from enum import Enum, StrEnum


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


class EndKind(StrEnum):
    """How a journey ended."""

    DELIVERED = "delivered"
    LOCAL_INPUT = "taken in"
    DROPPED = "dropped"
    LOST = "lost"
    LET_THROUGH = "let through"  # by the rules, to an address behind a bridge that no container of the bed has


class ChainEnd(StrEnum):
    """How a packet's way through a chain ended.

    STOLEN: the rule took the packet away. END_OF_CHAIN: back to the chain that jumped here.
    """

    ACCEPT = "accept"
    DROP = "drop"
    QUEUE = "queue"
    STOLEN = "stolen"
    RETURN = "return"
    END_OF_CHAIN = "end of chain"
    POLICY_ACCEPT = "policy ACCEPT"
    POLICY_DROP = "policy DROP"

    @classmethod
    def of_policy(cls, policy: str) -> ChainEnd:
        """Return the end by a base chain's policy."""
        return cls.POLICY_DROP if policy.upper() == "DROP" else cls.POLICY_ACCEPT

    @property
    def policy(self) -> str:
        """ACCEPT or DROP; empty if no policy decided."""
        return {ChainEnd.POLICY_ACCEPT: "ACCEPT", ChainEnd.POLICY_DROP: "DROP"}.get(self, "")

    @property
    def drops(self) -> bool:
        """Whether a rule or the policy dropped the packet."""
        return self in (ChainEnd.DROP, ChainEnd.POLICY_DROP)
