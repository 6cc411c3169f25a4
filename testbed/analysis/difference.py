"""What two rule sets do differently, over all packets: regions, each with its cause and the plainest packet of it.

Exact but for the clauses that cannot be read: a region that depends on such a clause is not judged, and names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from testbed.analysis import assumptions, effects, programs
from testbed.analysis.changed_rules import ChangedRules, Follow, chains_of, changed_rules
from testbed.analysis.connections import Connections, Followed, FreshVariables
from testbed.analysis.describe import Description, FieldVariables, describe
from testbed.analysis.effects import Unjudged
from testbed.analysis.fates import Fate, answered, by_rule, fates
from testbed.analysis.judged import bounding, certain
from testbed.analysis.opaque import OpaqueKind
from testbed.analysis.packets import STATE_BITS, State
from testbed.analysis.path import Outcome, Tracked
from testbed.analysis.plain import RegionWitness, witness
from testbed.analysis.rejections import rejection
from testbed.analysis.rules import Program, Verdict
from testbed.analysis.space import empty, limited
from testbed.analysis.vector import PacketSet
from testbed.analysis.world import PacketKind, World
from testbed.rules import AnyRuleset
from testbed.rules.reference import RuleReference
from testbed.topology import Topology


class DifferenceKind(Enum):
    """How packets of a region behave differently."""

    NEWLY_OPEN = "newly open"
    NEWLY_CLOSED = "newly closed"
    TRANSLATED = "translated differently"
    ANSWERED = "answered differently"
    BY_ANOTHER_RULE = "by another rule"


@dataclass(frozen=True, slots=True)
class Region:
    """Packets that behave differently in one way, by one rule on each side; None: no rule decided.

    `count` is how many there are, headers counted, `witness` the plainest one.
    """

    kind: DifferenceKind
    packet: PacketKind
    count: int
    description: Description
    old: RuleReference | None
    new: RuleReference | None
    witness: RegionWitness


@dataclass(frozen=True, slots=True)
class RulesetDifference:
    """All that two rule sets do differently; `unjudged` names what may make a difference that is not proved."""

    regions: tuple[Region, ...]
    unjudged: tuple[Unjudged, ...]

    @property
    def changes(self) -> tuple[Region, ...]:
        """Return the regions whose packets have another outcome, not only another deciding rule."""
        return tuple(region for region in self.regions if region.kind is not DifferenceKind.BY_ANOTHER_RULE)


def difference(
    old: AnyRuleset, new: AnyRuleset, topology: Topology, nft: tuple[bool, bool] = (True, True)
) -> RulesetDifference:
    """Compare two rule sets on the host of a topology; AnalysisError when they are too large for that.

    `nft` is whether iptables-nft loads each side, and not iptables-legacy.
    """
    return difference_of((programs.program(old, nft[0]), programs.program(new, nft[1])), topology)


def difference_of(sides: tuple[Program, Program], topology: Topology) -> RulesetDifference:
    """Compare two rule sets as the analysis walks them; raises as `difference` does."""
    if _same(sides):
        return RulesetDifference((), ())
    with limited():
        return SymbolicComparison(World.of(topology, fragments=not all(side.tracks for side in sides)), sides).result()


def _same(sides: tuple[Program, Program]) -> bool:
    """Return whether both rule sets say the same, in the same order, wherever they were read from."""
    one, other = sides
    changed = changed_rules(one, other, counting=True)
    return changed is not None and not changed[0].rules | changed[1].rules and one.unmodelled == other.unmodelled


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The outcomes of both sides for one kind of packets, and where they are the same.

    `possible` are the packets that can come and may differ, `around` all that can come, `arrived` those that come to
    each hook on each side.
    """

    kind: PacketKind
    possible: PacketSet
    around: PacketSet
    arrived: tuple[Mapping[str, PacketSet], Mapping[str, PacketSet]]
    outcomes: tuple[Outcome, Outcome]
    fates: tuple[tuple[Fate, ...], tuple[Fate, ...]]
    followed: Followed | None
    same: PacketSet


class SymbolicComparison:
    """Two rule sets on one host."""

    def __init__(self, world: World, sides: tuple[Program, Program]) -> None:
        self._world = world
        self._sides = sides
        self._changed = changed_rules(*sides)
        self._space = world.space
        self._fresh = FreshVariables.make(world.space, world.interfaces.width)
        self._regions: list[Region] = []
        self._unjudged: list[Unjudged] = []

    def result(self) -> RulesetDifference:
        """All regions, of first packets and of those behind them."""
        first = self._first()
        self._collect(first)
        stable = first.same & first.outcomes[0].passed & first.around & self._begun(first)
        if not empty(stable):
            for kind in list(PacketKind)[1:]:
                self._collect(self._behind(first, stable, kind))
        self._unjudged += self._answers_of_rejects(first)
        self._unjudged += (*assumptions.of_host(self._world.topology), *assumptions.of_rules(self._sides))
        return RulesetDifference(tuple(self._regions), tuple(dict.fromkeys(self._unjudged)))

    def _answers_of_rejects(self, first: Compared) -> list[Unjudged]:
        """Name rules that may stop the answers of REJECT on one side only: these are packets of the host itself."""
        rejects = [d for outcome in first.outcomes for d in outcome.decisions if d.verdict is Verdict.REJECT]
        if not rejects:
            return []
        packet, packets = rejection(self._world)
        touched = self._space.none
        for side, changed in zip(self._sides, self._changed or (None, None), strict=True):
            tracked = Tracked(self._space.constant(State.RELATED, STATE_BITS))
            if changed is None:
                everything = frozenset((chain.table, chain.name, None) for chain in side.chains if chain.hook)
                changed = ChangedRules(everything, frozenset(), dict.fromkeys(chains_of(side), Follow.LEADING))
            self._world.opaque.start("answer of REJECT")
            touched = touched | self._world.leading(side, packet, tracked, changed).touched
        if empty(touched & packets):
            return []
        return [Unjudged(("changed rules may stop the answers of REJECT, which pass OUTPUT",), (rejects[0].reference,))]

    def _begun(self, first: Compared) -> PacketSet:
        """Packets that begin a connection on both sides."""
        states = [self._space.equal(outcome.packet.state, State.NEW) for outcome in first.outcomes]
        return states[0] & states[1]

    def _first(self) -> Compared:
        changed = self._changed or (None, None)
        outcomes = [self._world.first(side, own) for side, own in zip(self._sides, changed, strict=True)]
        arrived = outcomes[0].arrived, outcomes[1].arrived
        touched = outcomes[0].touched | outcomes[1].touched if self._shortened else self._space.all
        return self._compared(PacketKind.FIRST, self._world.possible, touched, arrived, outcomes, None)

    def _behind(self, first: Compared, stable: PacketSet, kind: PacketKind) -> Compared:
        """A kind of packets of the connections that both sides let begin and translate alike."""
        followed = [Connections(self._world, begun, self._fresh).packet(kind) for begun in first.outcomes]
        possible = stable & followed[0].possible
        touched, arrived = self._touched(followed)
        packets = possible if self._counts() else touched
        outcomes = []
        for side, packet in zip(self._sides, followed, strict=True):
            self._world.opaque.start(kind.value)
            outcomes.append(self._world.follow(side, packet.packet, packet.tracked, packets))
        found = arrived or (outcomes[0].arrived, outcomes[1].arrived)
        return self._compared(kind, possible, touched, found, outcomes, followed[0])

    def _touched(
        self, followed: Sequence[Followed]
    ) -> tuple[PacketSet, tuple[Mapping[str, PacketSet], Mapping[str, PacketSet]] | None]:
        """Return the packets that may match changed rules, and those that may come to each hook on each side."""
        if not self._shortened or self._changed is None:
            return self._space.all, None
        found = []
        for side, changed, packet in zip(self._sides, self._changed, followed, strict=True):
            self._world.opaque.start(packet.kind.value)
            found.append(self._world.leading(side, packet.packet, packet.tracked, changed))
        return found[0].touched | found[1].touched, (found[0].arrived, found[1].arrived)

    @property
    def _shortened(self) -> bool:
        """Whether only packets are compared that match changed rules: no clause depends on the others."""
        return self._changed is not None and not self._counts()

    def _counts(self) -> bool:
        """Whether a clause depends on which packets come to it: then only those that can come are followed.

        Else all are, which takes smaller sets, and those that can come are asked of what differs.
        """
        counting = (OpaqueKind.RANDOM, OpaqueKind.COUNTING)
        return any(clause.kind in counting for clause in self._world.opaque.known)

    def _compared(
        self,
        kind: PacketKind,
        around: PacketSet,
        touched: PacketSet,
        arrived: tuple[Mapping[str, PacketSet], Mapping[str, PacketSet]],
        outcomes: Sequence[Outcome],
        followed: Followed | None,
    ) -> Compared:
        old, new = outcomes
        found = fates(self._space, old), fates(self._space, new)
        possible = around & touched
        same = self._alike(old, new, possible) | ~touched
        return Compared(kind, possible, around, arrived, (old, new), found, followed, same)

    def _alike(self, old: Outcome, new: Outcome, possible: PacketSet) -> PacketSet:
        """Where packets pass on both sides, to the same place and with the same header, or on none."""
        space = self._space
        both = old.passed & new.passed
        same = both & ~(old.delivered ^ new.delivered)
        for name in ("left", "source", "destination", "first", "second", "ttl", "tos"):
            one, other = getattr(old.packet, name), getattr(new.packet, name)
            if one.content != other.content:
                same = same & (space.same(one, other, both & possible) | ~possible)
        return same | ~old.passed & ~new.passed

    def _collect(self, compared: Compared) -> None:
        """Add the regions of one kind of packets."""
        for kind, packets in self._kinds(compared):
            self._judge(compared, kind, packets & compared.possible)
        self._unjudged += effects.unpaired(compared.outcomes, compared.possible)

    def _kinds(self, compared: Compared) -> Iterator[tuple[DifferenceKind, PacketSet]]:
        old, new = compared.outcomes
        yield DifferenceKind.NEWLY_OPEN, ~old.passed & new.passed
        yield DifferenceKind.NEWLY_CLOSED, old.passed & ~new.passed
        yield DifferenceKind.TRANSLATED, old.passed & new.passed & ~compared.same
        other = self._differently_answered(compared)
        yield DifferenceKind.ANSWERED, other
        yield DifferenceKind.BY_ANOTHER_RULE, compared.same & ~other & self._elsewhere(compared)

    def _differently_answered(self, compared: Compared) -> PacketSet:
        old, new = (answered(self._space, found) for found in compared.fates)
        none = self._space.none
        other = self._space.any_of(old.get(a, none) ^ new.get(a, none) for a in {**old, **new})
        return other & ~compared.outcomes[0].passed & ~compared.outcomes[1].passed

    def _elsewhere(self, compared: Compared) -> PacketSet:
        old, new = (by_rule(self._space, found) for found in compared.fates)
        none = self._space.none
        return self._space.any_of(old.get(key, none) ^ new.get(key, none) for key in {**old, **new})

    def _judge(self, compared: Compared, kind: DifferenceKind, packets: PacketSet) -> None:
        """Part a difference into what is certain and what depends on clauses that are not read."""
        if empty(packets):
            return
        sure = certain(self._world, packets)
        if not empty(sure):
            self._regions += self._parted(compared, kind, sure)
        free = self._space.one_for_all(self._world.opaque.variables)
        open_ = packets & ~sure.exists(free)
        if not empty(open_):
            clauses = bounding(self._world, open_)
            references = tuple(dict.fromkeys(clause.reference for clause in clauses))
            texts = tuple(dict.fromkeys(clause.text for clause in clauses))
            self._unjudged.append(Unjudged(texts, references, kind.value))

    def _parted(self, compared: Compared, kind: DifferenceKind, packets: PacketSet) -> Iterator[Region]:
        """One region for each pair of rules that decided, and version of IP."""
        olds, news = compared.fates
        for old in olds:
            mine = old.packets & packets
            if empty(mine):
                continue
            for new in news:
                both = mine & new.packets
                for family in (~self._world.packet.six, self._world.packet.six):
                    part = certain(self._world, both & family)
                    if not empty(part):
                        yield self._region(compared, kind, part, family, (old, new))

    def _region(
        self, compared: Compared, kind: DifferenceKind, part: PacketSet, family: PacketSet, by: tuple[Fate, Fate]
    ) -> Region:
        fields = self._fields(compared.kind, six=(part & self._world.packet.six).satisfiable())
        named = {bit for field in fields for bit in field.vector}
        everything = [*self._world.variables.all, *self._fresh.all, *self._world.opaque.variables]
        ignored = self._space.one_for_all(bit for bit in everything if bit not in named)
        sides = list(zip(compared.outcomes, compared.fates, strict=True))
        return Region(
            kind,
            compared.kind,
            self._space.count(part, [bit for bit in everything if bit not in set(self._world.opaque.variables)]),
            describe(self._space, part, self._beside(compared, by) & family, fields, ignored),
            by[0].reference,
            by[1].reference,
            witness(self._world, part, compared.kind, self._fresh, compared.followed, sides),
        )

    def _beside(self, compared: Compared, by: tuple[Fate, Fate]) -> PacketSet:
        """The packets that come to the hook where both sides decided a region: what a description need not say."""
        found = compared.around
        if by[0].hook == by[1].hook:
            for arrived in compared.arrived:
                found = found & arrived.get(by[0].hook, self._space.all)
        return found

    def _fields(self, kind: PacketKind, six: bool) -> list[FieldVariables]:
        """The fields that a region is described by: the connection's, and those of the packet itself."""
        variables, fresh, width = self._world.variables, self._fresh, 128 if six else 32
        own = variables if kind is PacketKind.FIRST else fresh
        names = [("entered", own.entered), ("protocol", variables.protocol)]
        names += [("destination", variables.destination[:width]), ("second", variables.second)]
        names += [("source", variables.source[:width]), ("first", variables.first), ("flags", own.flags)]
        names += [("length", own.length), ("ttl", own.ttl), ("tos", own.tos), ("mac", own.mac)]
        names += [("bridged", own.bridged)]
        if kind is PacketKind.FIRST:
            names += [("damaged", variables.damaged), ("fragment", variables.fragment)]
        if kind in (PacketKind.ERROR, PacketKind.REPLY_ERROR):
            names += [("error", fresh.first), ("sender", fresh.source[:width])]
        return [FieldVariables(name, vector) for name, vector in names]
