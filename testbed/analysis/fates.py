"""The outcome of packets under one rule set, with the rule that decided, as disjoint sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from testbed.analysis.chains import Decision
from testbed.analysis.path import Outcome
from testbed.analysis.rules import Verdict
from testbed.analysis.space import Space, empty
from testbed.analysis.vector import PacketSet
from testbed.rules.reference import RuleReference

_DECIDING = ("INPUT", "FORWARD", "OUTPUT")
EXPIRED = "icmp-time-exceeded"  # what is answered where a time to live ends


class End(Enum):
    """Where the way of a packet ended."""

    PASSED = "passed"
    CLOSED = "closed"
    NO_WAY = "no way"  # routing has none, or the time to live was over


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """Packets that ended alike, by one rule or policy of a hook; None: no rule decided."""

    packets: PacketSet
    end: End
    answer: str = ""
    reference: RuleReference | None = None
    hook: str = ""


def fates(space: Space, outcome: Outcome) -> tuple[Fate, ...]:
    """All packets by what decided about them; of those that passed it is the last chain that filters."""
    closed = [d for d in outcome.decisions if d.verdict is not Verdict.ACCEPT]
    found = [Fate(d.packets, End.CLOSED, d.answer, d.reference, d.base.hook) for d in closed]
    passed = outcome.passed
    found += [Fate(packets, End.PASSED, "", d.reference, d.base.hook) for packets, d in _last(space, outcome, passed)]
    rest = outcome.packets & ~space.any_of(fate.packets for fate in found)
    for packets, end, answer in (
        (rest & passed, End.PASSED, ""),
        (outcome.expired & rest & ~passed, End.NO_WAY, EXPIRED),
        (rest & ~passed & ~outcome.expired, End.NO_WAY, ""),
    ):
        if not empty(packets):
            found.append(Fate(packets, end, answer))
    return tuple(found)


def _last(space: Space, outcome: Outcome, passed: PacketSet) -> Iterator[tuple[PacketSet, Decision]]:
    accepting = [
        d
        for d in reversed(outcome.decisions)
        if d.verdict is Verdict.ACCEPT and not d.base.translates and d.base.hook in _DECIDING
    ]
    bases = list(dict.fromkeys(d.base.name + d.base.table for d in accepting))
    rest = passed
    for base in bases:
        of_base = [d for d in accepting if d.base.name + d.base.table == base]
        for decision in of_base:
            packets = decision.packets & rest
            if not empty(packets):
                yield packets, decision
        rest = rest & ~space.any_of(d.packets for d in of_base)


def answered(space: Space, found: tuple[Fate, ...]) -> dict[str, PacketSet]:
    """The packets that did not pass by what is sent back for them."""
    sets: dict[str, list[PacketSet]] = {}
    for fate in found:
        if fate.end is not End.PASSED and fate.answer:
            sets.setdefault(fate.answer, []).append(fate.packets)
    return {answer: space.any_of(several) for answer, several in sets.items()}


def by_rule(space: Space, found: tuple[Fate, ...]) -> dict[tuple[str, str, str], PacketSet]:
    """The packets by the words of what decided about them, so that a rule is found again where it has moved."""
    sets: dict[tuple[str, str, str], list[PacketSet]] = {}
    for fate in found:
        reference = fate.reference
        key = ("", "", "") if reference is None else (reference.table, reference.chain, reference.text)
        sets.setdefault(key, []).append(fate.packets)
    return {key: space.any_of(several) for key, several in sets.items()}
