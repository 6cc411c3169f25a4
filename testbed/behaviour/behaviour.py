"""A probe with its outcome, as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.behaviour.probes import Probe
from testbed.observe.header import TracedHeader
from testbed.observe.hook_summary import Met
from testbed.rules.changed_chains import ChainName
from testbed.traffic.packet import Packet

ANSWER, ERROR = "answer: ", "error: "  # prefix of a rule that dropped the answer, or errors about the question
LET_THROUGH = "is let through"  # accepted by every rule, for an address that no node of the bed has
NOT_JUDGED = "is not judged"
PASSING = ("reaches ", LET_THROUGH)
_SPOKEN = {
    "icmp 3/3": "port unreachable",
    "icmp 3/1": "host unreachable",
    "icmp 3/0": "network unreachable",
    "icmp 3/13": "prohibited",
    "icmpv6 1/4": "port unreachable",
    "icmpv6 1/3": "host unreachable",
    "icmpv6 1/0": "network unreachable",
    "icmpv6 1/1": "prohibited",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A probe and its outcome; `by` are the rules and policies that decided.

    ANSWER prefixes the rule that dropped the answer, ERROR the one that dropped errors about the question. `entered`
    are the chains, with their tables, that the probe's packets entered; None if that is unknown. `met` are the rules
    that its packets matched, by table, chain and number, and the policies (number None) that decided about them.
    """

    probe: Probe
    outcome: str
    by: tuple[str, ...]
    entered: frozenset[ChainName] | None = field(default=None, compare=False)
    met: Met = field(default=frozenset(), compare=False)

    @property
    def reaches(self) -> bool:
        """Return whether the packet reaches an endpoint or a node's kernel, or is accepted by every rule."""
        return self.outcome.startswith(PASSING)


def rule_text(by: str) -> str:
    """Return the rule in an entry of `Behaviour.by`, without what it decided about."""
    return by.removeprefix(ANSWER).removeprefix(ERROR)


def spoken(packets: Iterable[TracedHeader | Packet]) -> str:
    """Describe the packets that a kernel answered with: `RST/ACK`, `port unreachable`."""
    return " and ".join(_SPOKEN.get(packet.kind, packet.kind) for packet in packets)
