"""Prove a spec for a rule set: packets that get where nothing allows them to, and what is allowed and closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from testbed.analysis.describe import Term
from testbed.analysis.fates import Fate
from testbed.analysis.judged import conceivable
from testbed.analysis.packets import LOCAL, UDP
from testbed.analysis.places import within
from testbed.analysis.reachability import Reachability, ReachSets
from testbed.analysis.space import empty
from testbed.analysis.vector import PacketSet
from testbed.exposure.cells import CellState, ExposureCell
from testbed.exposure.columns import ColumnKind, ExposureColumn, columns
from testbed.exposure.made import ExposureStand
from testbed.exposure.matrix import MatrixBuilder
from testbed.exposure.rows import ExposureRow, rows
from testbed.exposure.services import host_listeners, translated_services
from testbed.exposure.spec.entries import ExposureSpec, SpecEntry, SpecSection
from testbed.exposure.spec.names import Outside, ResolvedEntry, SpecNames, What, Who, asked_services
from testbed.exposure.spec.outgoing import leaving, outgoing_row
from testbed.exposure.witness import WitnessChooser
from testbed.rules.reference import RuleReference

VERSIONS = (4, 6)
Cells = dict[tuple[str, str, int], PacketSet]  # by row, column and version of IP


class ViolationKind(Enum):
    """How rules break a spec."""

    OPEN = "is open, and nothing allows it"
    DENIED = "is open, and it is denied"
    NOT_REACHABLE = "is allowed, and not reachable"
    PARTLY = "is allowed, and reachable by some only"
    OUTGOING = "goes out, and nothing allows it"
    NOT_OUTGOING = "is allowed to go out, and does not get out"


@dataclass(frozen=True, slots=True)
class Violation:
    """What breaks a spec: who and what, the entry that does not hold, if it is one, and a cell with a witness.

    `terms` bound the packets, within those that are sent from there. `key` is the cell that is to be closed.
    """

    kind: ViolationKind
    who: str
    what: str
    cell: ExposureCell | None
    entry: ResolvedEntry | None = None
    terms: tuple[Term, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        assert self.cell is not None
        return self.cell.row.key, self.cell.column.key, self.cell.version


@dataclass(frozen=True, slots=True)
class SpecResult:
    """All that breaks a spec on one host with one rule set; `unjudged` names what could not be judged."""

    source: str
    entries: tuple[ResolvedEntry, ...]
    violations: tuple[Violation, ...]
    unjudged: tuple[str, ...] = ()

    def about(self, entry: ResolvedEntry) -> tuple[Violation, ...]:
        return tuple(one for one in self.violations if one.entry == entry)

    @property
    def open(self) -> tuple[Violation, ...]:
        """Return the violations that no entry says: what is open, or goes out, and nothing allows it."""
        return tuple(one for one in self.violations if one.entry is None)


class SpecCheck:
    """One spec on one host with one rule set."""

    def __init__(self, stand: ExposureStand, spec: ExposureSpec, reachability: Reachability | None = None) -> None:
        self.stand = stand
        self.spec = spec
        self.reachability = reachability or Reachability(stand.rules, stand.topology)
        self.entries = SpecNames(stand.host, stand.topology.host).resolved(spec)
        self.columns = columns(stand.topology, stand.host)
        self.rows = self._rows()
        self.builder = MatrixBuilder(self.reachability, stand.topology)
        everywhere = (place for row in self.rows for place in row.target.ends)
        self.reachability.only((column.origin for column in self.columns), everywhere)

    def with_rules(self, stand: ExposureStand) -> SpecCheck:
        """Return the same check of other rules, with sets that go together with these."""
        changed = Reachability(stand.rules, self.stand.topology, self.reachability.world)
        return SpecCheck(replace(stand, topology=self.stand.topology), self.spec, changed)

    def _rows(self) -> tuple[ExposureRow, ...]:
        asked = list(asked_services(self.entries))
        host = self.stand.topology.host
        also = [*translated_services(self.reachability, self.stand.host), *asked]
        listening = [*host_listeners(self.reachability, host), *(one for one in asked if one.node == host)]
        return rows(self.stand.topology, self.stand.host, also, listening)

    @cached_property
    def sets(self) -> dict[tuple[str, str, int], tuple[ExposureRow, ExposureColumn, ReachSets]]:
        """The packets of each cell by how they end."""
        host = next(column for column in self.columns if column.kind is ColumnKind.HOST)
        return {
            (row.key, column.key, version): (row, column, sets)
            for row in self.rows
            for column in self.columns
            for version in VERSIONS
            if (sets := self.builder.sets_of(row, column, version, host)) is not None
        }

    def result(self) -> SpecResult:
        """Return all violations, and what could not be judged."""
        found = [*self._opened(), *self._not_reachable(), *self._outgoing()]
        return SpecResult(self.stand.rules.source, self.entries, tuple(found), self._unjudged())

    # what is open

    @cached_property
    def getting_in(self) -> Cells:
        """The packets of each cell that reach its service: answered, or datagrams."""
        world = self.reachability.world
        udp = world.space.equal(world.packet.protocol, UDP)
        return {key: sets.delivered | sets.unanswered & udp for key, (_, _, sets) in self.sets.items()}

    @cached_property
    def permitted(self) -> Cells:
        """The packets of each cell that the spec allows."""
        found: Cells = {}
        for key, (row, column, _) in self.sets.items():
            allowed = self._of(SpecSection.ALLOW, row, column) & ~self._of(SpecSection.DENY, row, column)
            found[key] = allowed | self._of(SpecSection.EXCEPT, row, column)
        return found

    def _of(self, section: SpecSection, row: ExposureRow, column: ExposureColumn) -> PacketSet:
        space = self.reachability.world.space
        entries = (one for one in self.entries if one.entry.section is section)
        covering = (one for one in entries if any(what.covers(row) for what in one.what))
        return space.any_of(self._from(who) for one in covering for who in one.who if who.covers(column))

    def _from(self, who: Who) -> PacketSet:
        world = self.reachability.world
        return within(world, world.packet.six, world.packet.source, who.sources) if who.sources else world.space.all

    def breaking(self, key: tuple[str, str, int]) -> PacketSet:
        """Return the packets of a cell that get in and that nothing allows.

        Of ports of the host at which no program is known to listen only those that are denied.
        """
        row, column, _ = self.sets[key]
        world = self.reachability.world
        got = conceivable(world, self.getting_in[key])
        if row.on_host and row.port is None:
            return got & self._of(SpecSection.DENY, row, column) & ~self._of(SpecSection.EXCEPT, row, column)
        return got & ~self.permitted[key]

    def _opened(self) -> Iterator[Violation]:
        for key, (row, column, sets) in self.sets.items():
            packets = self.breaking(key)
            if empty(packets):
                continue
            shown = ReachSets(sets.asked, sets.delivered & packets, sets.unanswered & packets, sets.closed)
            cell = self.builder.cell_of(row, column, key[2], shown)
            denied = empty(packets & ~self._of(SpecSection.DENY, row, column))
            entry = self._denying(row, column) if denied else None
            kind = ViolationKind.OPEN if entry is None else ViolationKind.DENIED
            yield Violation(kind, column.key, row.key, cell, entry, cell.terms)

    def _denying(self, row: ExposureRow, column: ExposureColumn) -> ResolvedEntry | None:
        for one in self.entries:
            covers = any(what.covers(row) for what in one.what) and any(who.covers(column) for who in one.who)
            if one.entry.section is SpecSection.DENY and covers:
                return one
        return None

    def confirming(self, entry: SpecEntry | None) -> Iterator[ExposureCell]:
        """Yield the cells whose witnesses show that an entry holds; None: those of what nothing allows, all closed."""
        for key, (row, column, sets) in self.sets.items():
            if entry is None:
                if empty(self.permitted[key]) and not empty(sets.asked) and not row.on_host:
                    yield self._cell(key)
                continue
            own = next((one for one in self.entries if one.entry == entry and one.what), None)
            if own is None or not any(what.covers(row) for what in own.what):
                continue
            senders = self.reachability.world.space.any_of(self._from(who) for who in own.who if who.covers(column))
            packets = self.getting_in[key] & senders
            if entry.section is SpecSection.DENY and not empty(sets.asked) and any(w.covers(column) for w in own.who):
                yield self._cell(key)
            elif not empty(packets):
                shown = ReachSets(
                    sets.asked & senders, sets.delivered & senders, sets.unanswered & senders, sets.closed
                )
                yield self.builder.cell_of(row, column, key[2], shown)

    # what is not reachable

    def _not_reachable(self) -> Iterator[Violation]:
        for one in self.entries:
            if one.entry.section is not SpecSection.ALLOW:
                continue
            for what in one.what:
                for row in self.rows if what.named else ():
                    if what.covers(row):
                        yield from (found for who in one.who if (found := self._missing(one, who, what, row)))

    def _missing(self, one: ResolvedEntry, who: Who, what: What, row: ExposureRow) -> Violation | None:
        """Return the violation of an entry whose senders do not all reach a service, or none of them."""
        keys = [key for key, (own, column, _) in self.sets.items() if own is row and who.covers(column)]
        if not keys:
            return None  # the container is alone on that network
        keys = [key for key in keys if not empty(self._sent(key) & self._from(who))]
        reached = [key for key in keys if not empty(self.getting_in[key] & self._from(who))]
        if not reached:
            cell = next((self._cell(key) for key in keys), None)
            return Violation(ViolationKind.NOT_REACHABLE, who.text, what.text, cell, one)
        lacking = [key for key in reached if not empty(self._left_out(key, who))]
        if who.text != "*" and len(lacking) == len(reached):
            cell = self._cell(lacking[0])
            return Violation(ViolationKind.PARTLY, who.text, what.text, cell, one, cell.terms)
        return None

    def _sent(self, key: tuple[str, str, int]) -> PacketSet:
        return self.sets[key][2].asked

    def _left_out(self, key: tuple[str, str, int], who: Who) -> PacketSet:
        """Return the sources of an entry from which no packet of a cell gets in."""
        world = self.reachability.world
        own = set(world.variables.source.bits) | {world.packet.six}
        everything = (*world.variables.all, *world.opaque.variables)
        others = world.space.one_for_all(bit for bit in everything if bit not in own)
        asked = (self._sent(key) & self._from(who)).exists(others)
        return asked & ~self.getting_in[key].exists(others)

    def _cell(self, key: tuple[str, str, int]) -> ExposureCell:
        row, column, sets = self.sets[key]
        return self.builder.cell_of(row, column, key[2], sets)

    # what goes out

    @cached_property
    def going_out(self) -> Cells:
        """The packets of each network that leave by an uplink, if the spec says what may."""
        if not self.spec.of(SpecSection.ALSO):
            return {}
        return {
            ("outside", column.key, version): leaving(
                self.reachability, self.builder.come(column, version), self.columns
            )
            for column in self.columns
            if column.kind is ColumnKind.NETWORK
            for version in column.versions
        }

    def going_out_allowed(self, key: tuple[str, str, int]) -> PacketSet:
        """Return the packets of a network that the spec lets go out."""
        column = next(column for column in self.columns if column.key == key[1])
        space = self.reachability.world.space
        return space.any_of(
            self._from(who) & self._to(to)
            for one in self.entries
            for who in one.who
            for to in one.outside
            if who.covers(column)
        )

    def _to(self, outside: Outside) -> PacketSet:
        return outgoing_row(outside).packets(self.reachability)

    def _outgoing(self) -> Iterator[Violation]:
        for key, packets in self.going_out.items():
            column = next(column for column in self.columns if column.key == key[1])
            breaking = conceivable(self.reachability.world, packets) & ~self.going_out_allowed(key)
            if not empty(breaking):
                cell = self._leaving_cell(column, key[2], breaking)
                yield Violation(ViolationKind.OUTGOING, column.key, "outside", cell, None, cell.terms)
        for one in self.entries:
            for who in one.who if one.outside else ():
                yield from self._kept_in(one, who)

    def _kept_in(self, one: ResolvedEntry, who: Who) -> Iterator[Violation]:
        keys = [key for key in self.going_out if who.covers(next(c for c in self.columns if c.key == key[1]))]
        for to in one.outside:
            if keys and all(empty(self.going_out[key] & self._from(who) & self._to(to)) for key in keys):
                yield Violation(ViolationKind.NOT_OUTGOING, who.text, to.text, None, one)

    def _leaving_cell(self, column: ExposureColumn, version: int, packets: PacketSet) -> ExposureCell:
        row = outgoing_row(Outside("outside")).row(self.stand.topology)
        chooser = WitnessChooser(self.reachability, column)
        witness, point = chooser.choose(packets, row.target.ways, "", version)
        fate: Fate | None = next((one for one in self.reachability.fates if not empty(one.packets & point)), None)
        by: RuleReference | None = fate.reference if fate is not None else None
        asked = self.builder.come(column, version)
        terms = self.reachability.described(packets, asked).terms
        return ExposureCell(row, column, version, CellState.OPEN, by, terms=terms, witness=witness)

    def _unjudged(self) -> tuple[str, ...]:
        """Return what keeps a cell from being judged: clauses that depend on contents or time, targets, other hooks."""
        found: dict[str, None] = dict.fromkeys(self.reachability.unmodelled)
        for key, (_, _, sets) in self.sets.items():
            got = self.getting_in[key]
            if not empty(conceivable(self.reachability.world, got)) or self.reachability.unjudged(sets.asked):
                found |= dict.fromkeys(self._cell(key).unjudged)
        return tuple(found)


def is_local(cell: ExposureCell) -> bool:
    """Return whether the packets of a cell end at the host itself."""
    places = cell.row.target.ends
    return bool(places) and all(place.device == LOCAL for place in places)
