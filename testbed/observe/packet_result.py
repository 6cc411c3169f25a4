"""The result of one packet: where it came out, or what stopped it, and how it was translated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.errors import TestbedError
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, LOST, Journey, dropping
from testbed.observe.verdict import PacketVerdict
from testbed.rules.reading import CounterReading
from testbed.rules.reference import RuleKind, RuleReference
from testbed.traffic.endpoint import Arrival
from testbed.traffic.packet import ICMP_ERRORS, Packet, translations

_TRACE = "Send it with trace=True, or inside `with bed.tracing():`."
_PORT_UNREACHABLE = {("icmp", (3, 3)), ("icmpv6", (1, 4))}
_STOPPED = (PacketVerdict.DROPPED, PacketVerdict.REJECTED)


@dataclass(frozen=True, slots=True)
class DropEvidence:
    """What the rules' counters prove about a packet that was not delivered.

    `by` is the rule or policy that dropped it, None if none did. `open_` says why the counters leave it open; empty:
    they do not.
    """

    by: RuleReference | None = None
    rejects: bool = False
    open_: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The observations about a packet beside its arrival; those that cost are made when they are asked for.

    `counted_drop` is None for a delivered packet. `answers` reads what has come back so far. `journey` and `counted`
    are None if the packet was not traced.
    """

    counted_drop: Callable[[], DropEvidence] | None = None
    answers: Callable[[], tuple[Packet, ...]] = tuple
    journey: Callable[[], Journey] | None = None
    counted: Callable[[], CounterReading] | None = None
    locate: Callable[[RuleReference], RuleReference] = lambda reference: reference


@dataclass(frozen=True, slots=True)
class PacketResult:
    """A packet as it left `origin`, and all that is known about what happened to it.

    `arrival` is None if it came out at no node. Attributes that the observations do not prove raise TestbedError; a
    traced packet has proofs for all of them.
    """

    origin: str
    sent: Packet
    arrival: Arrival | None
    evidence: Evidence = field(default_factory=Evidence, compare=False, repr=False)

    @property
    def delivered(self) -> bool:
        """Whether it came out at a node beside the host, whichever."""
        return self.arrival is not None

    @property
    def delivered_to(self) -> str | None:
        """The node at which it came out; None if it did not."""
        return self.arrival.node if self.arrival is not None else None

    @property
    def interface(self) -> str | None:
        """The interface of that node; None if it did not come out."""
        return self.arrival.interface if self.arrival is not None else None

    @property
    def arrived(self) -> Packet | None:
        """The packet as it came out; None if it did not."""
        return self.arrival.packet if self.arrival is not None else None

    @property
    def verdict(self) -> PacketVerdict:
        """What finally happened to it; raises TestbedError if that is not proved."""
        if self.arrival is not None:
            return PacketVerdict.DELIVERED
        if self.evidence.journey is not None:
            return _of_journey(self.evidence.journey())
        drop = self._drop
        if drop is not None and drop.by is not None:
            return PacketVerdict.REJECTED if drop.rejects else PacketVerdict.DROPPED
        if drop is None or drop.open_:
            raise TestbedError(
                f"{self.sent}: arrived at no node, and the counters do not prove why"
                f"{f' ({drop.open_})' if drop is not None else ''}.",
                _TRACE,
            )
        answered = _by_answers(self.sent, self.answers)
        if answered is None:
            raise TestbedError(
                f"{self.sent}: arrived at no node, no rule dropped it, and nothing answered; "
                "the counters do not show whether the host took it or its routing lost it.",
                _TRACE,
            )
        return answered

    @property
    def _drop(self) -> DropEvidence | None:
        return self.evidence.counted_drop() if self.evidence.counted_drop is not None else None

    @property
    def dropped(self) -> bool:
        """Whether a rule or a policy discarded it without an answer: one that counted it, or was traced to do so.

        Raises TestbedError if neither this nor the opposite is proved.
        """
        return self._stopped is PacketVerdict.DROPPED

    @property
    def rejected(self) -> bool:
        """Whether a rule discarded it and answered (REJECT); raises TestbedError as `dropped` does."""
        return self._stopped is PacketVerdict.REJECTED

    @property
    def _stopped(self) -> PacketVerdict | None:
        """DROPPED or REJECTED; None if no rule and no policy discarded it, whatever happened to it then."""
        drop = self._drop
        if self.arrival is None and self.evidence.journey is None and drop is not None and not drop.open_:
            return (PacketVerdict.REJECTED if drop.rejects else PacketVerdict.DROPPED) if drop.by is not None else None
        return verdict if (verdict := self.verdict) in _STOPPED else None

    @property
    def dropped_by(self) -> RuleReference:
        """The rule or policy that discarded it, or the kernel's routing that lost it.

        Raises TestbedError if it was not discarded, or if that is not proved.
        """
        if self.evidence.journey is not None and self.arrival is None:
            journey = self.evidence.journey()
            if (by := dropping(journey)) is not None:
                return self.evidence.locate(by)
            if journey.end.kind in (LOST, DROPPED):
                return RuleReference.routing(journey.end.why)
        elif self._stopped is not None and (drop := self._drop) is not None and drop.by is not None:
            return drop.by
        raise TestbedError(f"{self.sent} was not dropped: {self.verdict}{_at(self.arrival)}.")

    @property
    def dnat(self) -> str:
        """The destination that NAT gave it, as `ADDRESS:PORT`; empty if it kept its own.

        Raises TestbedError for a packet that did not come out, unless it was traced.
        """
        return self._changed("destination")

    @property
    def snat(self) -> str:
        """The source that NAT gave it, as `ADDRESS:PORT`; empty if it kept its own; raises as `dnat` does."""
        return self._changed("source")

    @property
    def translated(self) -> tuple[str, ...]:
        """All translations: `source A > B`, `destination A > B`; raises as `dnat` does."""
        if (arrived := self.arrived) is not None:
            return translations(self.sent, arrived)
        if self.evidence.journey is not None:
            return self.evidence.journey().translations
        raise TestbedError(f"{self.sent} arrived at no node, so its translation is not known.", _TRACE)

    def _changed(self, what: str) -> str:
        changes = [change for change in self.translated if change.startswith(f"{what} ")]
        return changes[-1].rpartition(" > ")[2] if changes else ""

    @property
    def routers(self) -> int:
        """The number of routers on the path (each decrements the TTL by one); 0 if it did not come out."""
        return self.sent.ttl - self.arrival.packet.ttl if self.arrival is not None else 0

    @property
    def answers(self) -> tuple[Packet, ...]:
        """The packets that have come back to its origin for it so far: from its destination, or errors about it."""
        return self.evidence.answers()

    @property
    def journey(self) -> Journey:
        """The hooks and rules that it met; raises TestbedError if it was not traced."""
        if self.evidence.journey is None:
            raise TestbedError(f"{self.sent} was not traced, so it has no journey.", _TRACE)
        return self.evidence.journey()

    @property
    def counted(self) -> CounterReading:
        """What every rule and policy counted for it; raises TestbedError if it was not traced."""
        if self.evidence.counted is None:
            remedy = f"{_TRACE} Or read the counters: `with bed.counting() as counting:`."
            raise TestbedError(f"{self.sent} was not traced, so its own counters are not known.", remedy)
        return self.evidence.counted()

    def __str__(self) -> str:
        if self.arrival is not None:
            changes = ", ".join(translations(self.sent, self.arrival.packet)) or "not translated"
            return f"{self.sent}: delivered to {self.arrival.node}, {changes}"
        try:
            verdict = self.verdict
        except TestbedError:
            return f"{self.sent}: arrived at no node"
        if verdict is PacketVerdict.LOST and self.evidence.journey is None:
            return f"{self.sent}: {verdict}"
        by = f" by {self.dropped_by}" if verdict in (*_STOPPED, PacketVerdict.LOST) else ""
        return f"{self.sent}: {verdict}{by}"


def _at(arrival: Arrival | None) -> str:
    return f" to {arrival.node}" if arrival is not None else ""


def _of_journey(journey: Journey) -> PacketVerdict:
    kind = journey.end.kind
    if kind == DROPPED:
        by = dropping(journey)
        rejects = by is not None and by.kind is RuleKind.RULE and ("REJECT" in by.text or "reject" in by.text)
        return PacketVerdict.REJECTED if rejects else PacketVerdict.DROPPED
    if kind == LOCAL_INPUT:
        return _by_answers(journey.sent, journey.answers) or PacketVerdict.LOCAL_INPUT
    return {DELIVERED: PacketVerdict.DELIVERED, LOST: PacketVerdict.LOST, LET_THROUGH: PacketVerdict.LET_THROUGH}[kind]


def _by_answers(sent: Packet, answers: tuple[Packet, ...]) -> PacketVerdict | None:
    """Return the verdict on a packet that no rule stopped, by the answer to it; None without an answer."""
    if not answers:
        return None
    first = answers[0]
    if "R" in first.flags or ((first.protocol, first.icmp) in _PORT_UNREACHABLE and first.source == sent.destination):
        return PacketVerdict.NO_LISTENER
    if first.icmp is not None and first.icmp[0] in ICMP_ERRORS.get(first.protocol, ()):
        return PacketVerdict.LOST
    return PacketVerdict.ANSWERED_BY_HOST
