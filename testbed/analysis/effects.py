"""What rules do beside deciding about a packet, and clauses whose answers depend on other packets, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.analysis.path import Outcome
from testbed.analysis.space import empty
from testbed.analysis.vector import PacketSet
from testbed.rules.reference import RuleReference

_SILENT = ("LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "LED", "RATEEST", "ACCT", "log")  # nothing of a packet changes
_SHARED = ("-m recent ", "-m hashlimit ", "-m set ")  # state that rules share by a name


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Clauses or targets that may make a difference, in the words of their rules, and these rules.

    `kind` is the difference that they would make, '' where that is not known either.
    """

    texts: tuple[str, ...]
    references: tuple[RuleReference, ...]
    kind: str = ""


def unpaired(outcomes: tuple[Outcome, Outcome], possible: PacketSet) -> Iterator[Unjudged]:
    """What one side does to packets and the other does not, or counts of packets that are others there."""
    sides = [_sets(outcome, possible) for outcome in outcomes]
    for text in dict.fromkeys((*sides[0], *sides[1])):
        one, other = (side.get(text) for side in sides)
        if one is None or other is None or one[0] != other[0]:
            known = one or other
            assert known is not None
            yield Unjudged((text,), (known[1],))
    counts = [_shared(outcome, possible) for outcome in outcomes]
    for key in dict.fromkeys((*counts[0], *counts[1])):
        if counts[0].get(key) != counts[1].get(key):
            references = counts[0].get(key) or counts[1].get(key) or []
            yield Unjudged((key[0],), (references[0],))


def _sets(outcome: Outcome, possible: PacketSet) -> dict[str, tuple[PacketSet, RuleReference]]:
    found: dict[str, tuple[PacketSet, RuleReference]] = {}
    for effect in outcome.effects:
        packets = effect.packets & possible
        if effect.text.split()[0] in _SILENT or empty(packets):
            continue
        before = found.get(effect.text)
        found[effect.text] = (packets if before is None else before[0] | packets, effect.reference)
    return found


def _shared(outcome: Outcome, possible: PacketSet) -> dict[tuple[str, PacketSet], list[RuleReference]]:
    """The evaluations of clauses that share what they count with other rules, by words and by the packets asked."""
    found: dict[tuple[str, PacketSet], list[RuleReference]] = {}
    for clause, reaching in outcome.evaluations:
        if clause.text.startswith(_SHARED):
            found.setdefault((clause.text, reaching & possible), []).append(clause.reference)
    return found
