"""Who reaches what under one rule set: the first packets of an origin that get to a target, and what stops the others.

Exact over all packets but for clauses that cannot be read, which are named. A connection counts as reaching its target
only if the plain answer comes back (`replies.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from testbed.analysis import assumptions, programs
from testbed.analysis.describe import Description, FieldVariables, describe
from testbed.analysis.fates import End, Fate, fates
from testbed.analysis.judged import bounding, certain, conceivable
from testbed.analysis.opaque import OpaqueClause, OpaqueKind
from testbed.analysis.places import Location, Origin, ReachTarget, coming, ending_at, sent_to
from testbed.analysis.plain import PlainPacket, plainest
from testbed.analysis.replies import Replies, beginnings
from testbed.analysis.space import empty, limited
from testbed.analysis.vector import PacketSet
from testbed.analysis.world import PacketKind, World
from testbed.rules import AnyRuleset
from testbed.rules.reference import RuleReference
from testbed.topology import Topology


class Ending(Enum):
    """How the first packets of a region end."""

    DELIVERED = "delivered"
    UNANSWERED = "delivered, its answer is dropped"
    REFUSED = "refused"
    DROPPED = "dropped"
    ELSEWHERE = "passed on to elsewhere"
    NO_ROUTE = "not routed"


@dataclass(frozen=True, slots=True)
class ReachRegion:
    """First packets that end alike, by one rule or policy; None: no rule decided.

    `answer` is what a refusal sends back. `clauses` are those that the model cannot read and the region depends on.
    `count` is how many headers there are, `witness` the plainest packet.
    """

    ending: Ending
    reference: RuleReference | None
    answer: str
    count: int
    description: Description
    clauses: tuple[str, ...]
    witness: PlainPacket


@dataclass(frozen=True, slots=True, eq=False)
class ReachSets:
    """The packets of one question by how they end; `asked` are all that it is about."""

    asked: PacketSet
    delivered: PacketSet
    unanswered: PacketSet
    closed: PacketSet


@dataclass(frozen=True, slots=True)
class ReachResult:
    """The answer to one question: its regions, and what they depend on that the model does not follow."""

    regions: tuple[ReachRegion, ...]
    unjudged: tuple[str, ...]

    def of(self, *endings: Ending) -> tuple[ReachRegion, ...]:
        return tuple(region for region in self.regions if region.ending in endings)

    @property
    def open(self) -> bool:
        """Return whether any packet gets to the target and its answer back."""
        return bool(self.of(Ending.DELIVERED))


class Reachability:
    """All that first packets reach on the host of a topology, under one rule set.

    Raises AnalysisError for rules that are too large to follow. With the `world` of another rule set on the same host,
    sets of both go together.
    """

    def __init__(self, ruleset: AnyRuleset, topology: Topology, world: World | None = None) -> None:
        with limited():
            self.program = programs.program(ruleset)
            self.world = World.of(topology, fragments=not self.program.tracks) if world is None else world
            self.first = self.world.first(self.program)
            self.fates = fates(self.world.space, self.first)
            self.begun = beginnings(self.world)
            self._asked = self.world.space.all

    def only(self, origins: Iterable[Origin], ends: Iterable[Location]) -> None:
        """Follow only the answers of these places to these origins: fewer rules matter to them. To be called first."""
        come = self.world.space.any_of(self.coming(origin) for origin in origins)
        self._asked = come & self.world.space.any_of(self.ending(place) for place in ends)

    @cached_property
    def replies(self) -> Replies:
        """The answers to the packets that passed."""
        with limited():
            return Replies(self.world, self.program, self.first, self._asked)

    def reach(self, origin: Origin, target: ReachTarget, version: int) -> ReachResult:
        """Return how the packets of an origin end that are sent to a target, or get there on any other way."""
        with limited():
            sets = self.sets(origin, target, version)
            regions = tuple(self._regions(sets))
            return ReachResult(regions, self.unjudged(sets.asked))

    def sets(
        self, origin: Origin, target: ReachTarget, version: int, ways: Sequence[Location] | None = None
    ) -> ReachSets:
        """Return the sets of a question; with `ways`: of the packets that are sent to these alone."""
        world = self.world
        family = world.packet.six if version == 6 else ~world.packet.six
        come = self.coming(origin) & family
        ended = world.space.any_of(self.ending(place) for place in target.ends)
        sent = world.space.any_of(self.sent(place) for place in (target.ways if ways is None else ways))
        there = come & ended if ways is None else come & ended & sent
        asked = come & sent | there
        delivered = there & self.replies.returned
        return ReachSets(asked, delivered, there & ~delivered, asked & ~there)

    def coming(self, origin: Origin) -> PacketSet:
        """Return the packets of an origin that begin connections."""
        return self.begun & coming(self.world, origin)

    def ending(self, place: Location) -> PacketSet:
        return ending_at(self.world, self.first, place)

    def sent(self, place: Location) -> PacketSet:
        return sent_to(self.world, place)

    @property
    def unmodelled(self) -> tuple[str, ...]:
        """Return what the model does not follow of the host's routing and sysctls, and of chains of other hooks."""
        of_host = (text for found in assumptions.of_host(self.world.topology) for text in found.texts)
        return (*self.program.unmodelled, *of_host)

    def unjudged(self, packets: PacketSet) -> tuple[str, ...]:
        """Return what the model does not follow of these packets: targets, and chains of other hooks."""
        return (*self.unmodelled_effects(packets), *self.unmodelled)

    def unmodelled_effects(self, packets: PacketSet) -> tuple[str, ...]:
        """Return the targets that meet these packets and that the model does not follow."""
        effects = (effect for effect in self.first.effects if effect.unmodelled)
        return tuple(dict.fromkeys(effect.text for effect in effects if not empty(effect.packets & packets)))

    def _regions(self, sets: ReachSets) -> Iterator[ReachRegion]:
        for fate in self.fates:
            yield from self._region(sets, Ending.DELIVERED, fate, fate.packets & sets.delivered)
        for fate in self.replies.cut(sets.unanswered):
            yield from self._region(sets, Ending.UNANSWERED, fate, fate.packets & sets.unanswered)
        for fate in self.fates:
            yield from self._region(sets, ending_of(fate), fate, fate.packets & sets.closed)

    def _region(self, sets: ReachSets, ending: Ending, fate: Fate, packets: PacketSet) -> Iterator[ReachRegion]:
        if not empty(packets):
            clauses = tuple(dict.fromkeys(clause.text for clause in bounding(self.world, packets)))
            shown = certain(self.world, packets)
            if empty(shown):
                shown = conceivable(self.world, packets)
            yield ReachRegion(
                ending,
                fate.reference,
                fate.answer,
                self.world.space.count(shown, self.world.variables.all),
                self.described(shown, conceivable(self.world, sets.asked)),
                clauses,
                self.witness(shown),
            )

    def described(self, packets: PacketSet, asked: PacketSet) -> Description:
        """Return what bounds packets within those of a question."""
        variables, six = self.world.variables, not empty(packets & self.world.packet.six)
        width = 128 if six else 32
        fields = [
            FieldVariables("source", variables.source[:width]),
            FieldVariables("destination", variables.destination[:width]),
            FieldVariables("protocol", variables.protocol),
            FieldVariables("second", variables.second),
            FieldVariables("first", variables.first),
            FieldVariables("length", variables.length),
            FieldVariables("ttl", variables.ttl),
            FieldVariables("tos", variables.tos),
            FieldVariables("mac", variables.mac),
        ]
        named = {bit for field in fields for bit in field.vector}
        everything = (*self.world.variables.all, *self.world.opaque.variables)
        ignored = self.world.space.one_for_all(bit for bit in everything if bit not in named)
        return describe(self.world.space, packets, asked, fields, ignored)

    def witness(self, packets: PacketSet) -> PlainPacket:
        """Return the plainest packet of a set, one that unread clauses do not match where there is any."""
        return plainest(self.world, packets, PacketKind.FIRST, self.replies.fresh, None)


def ending_of(fate: Fate) -> Ending:
    """Return how packets end that did not reach their target."""
    if fate.end is End.PASSED:
        return Ending.ELSEWHERE
    if fate.end is End.NO_WAY:
        return Ending.NO_ROUTE
    return Ending.REFUSED if fate.answer else Ending.DROPPED


def depends_on_counting(clauses: Sequence[OpaqueClause]) -> bool:
    """Return whether any clause counts packets or draws: the same packet may pass and not pass."""
    return any(clause.kind in (OpaqueKind.COUNTING, OpaqueKind.RANDOM) for clause in clauses)
