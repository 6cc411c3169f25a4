"""The matrix of a host and a rule set, proved over all packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testbed.analysis.describe import Term
from testbed.analysis.fates import End, Fate
from testbed.analysis.judged import bounding, certain, conceivable
from testbed.analysis.opaque import OpaqueClause, OpaqueKind
from testbed.analysis.packets import UDP
from testbed.analysis.places import Location, within
from testbed.analysis.reachability import Ending, Reachability, ReachSets, ending_of
from testbed.analysis.space import empty, limited
from testbed.analysis.vector import PacketSet
from testbed.docker.host import DockerHost
from testbed.exposure.cells import CellState, ExposureCell, ExposureMatrix, Way, Why
from testbed.exposure.columns import ColumnKind, ExposureColumn, columns
from testbed.exposure.marks import Marker
from testbed.exposure.rows import ExposureRow, rows
from testbed.exposure.services import host_listeners, translated_services
from testbed.exposure.witness import WitnessChooser
from testbed.rules import AnyRuleset
from testbed.topology import Topology

_EXTENSION_HEADERS = ("-m rt ", "-m hbh ", "-m dst ", "-m mh ", "-m ah ", "-m ipv6header ", "-m srh ")
_NOT_NAMED = ("destination", "protocol")  # terms that a row says already
_STATES = {
    Ending.DROPPED: (CellState.CLOSED, Why.NONE),
    Ending.REFUSED: (CellState.REFUSED, Why.NONE),
    Ending.NO_ROUTE: (CellState.UNREACHABLE, Why.NO_ROUTE),
    Ending.ELSEWHERE: (CellState.UNREACHABLE, Why.ELSEWHERE),
}


def matrix(topology: Topology, host: DockerHost, rules: AnyRuleset) -> ExposureMatrix:
    """Return the matrix of a host; raises AnalysisError for rules that are too large to follow."""
    with limited():
        reachability = Reachability(rules, topology)
        also = translated_services(reachability, host)
        listening = host_listeners(reachability, topology.host)
        return MatrixBuilder(reachability, topology).matrix(
            rules.source, rows(topology, host, also, listening), columns(topology, host)
        )


@dataclass(slots=True, eq=False)
class MatrixBuilder:
    """Makes the cells of a matrix out of one analysis."""

    reachability: Reachability
    topology: Topology
    _ending: dict[Location, PacketSet] = field(default_factory=dict)
    _sent: dict[Location, PacketSet] = field(default_factory=dict)
    _coming: dict[tuple[str, int], PacketSet] = field(default_factory=dict)
    _ends: dict[str, tuple[Location, ...]] = field(default_factory=dict)

    def sets_of(self, row: ExposureRow, column: ExposureColumn, version: int, host: ExposureColumn) -> ReachSets | None:
        """Return the packets of a cell by how they end; None where nothing can send."""
        if not self._has(row, column, version):
            return None
        come = self.come(column, version) & ~self._own(row, column)
        return self._sets(come, row.target.ways, self._ends_of(row, host))

    def cell_of(self, row: ExposureRow, column: ExposureColumn, version: int, sets: ReachSets) -> ExposureCell:
        """Return a cell without its marks."""
        return self._cell(row, column, version, sets)[0]

    def matrix(self, source: str, listed: Sequence[ExposureRow], beside: Sequence[ExposureColumn]) -> ExposureMatrix:
        """Return all cells of these rows and columns."""
        everywhere = (place for row in listed for place in row.target.ends)
        self.reachability.only((column.origin for column in beside), everywhere)
        host = next(column for column in beside if column.kind is ColumnKind.HOST)
        marker = Marker(self.reachability)
        found: list[ExposureCell] = []
        for row in listed:
            asked = ((column, version) for column in beside for version in (4, 6))
            made = (
                self._cell(row, column, version, sets)
                for column, version in asked
                if (sets := self.sets_of(row, column, version, host)) is not None
            )
            cells = [marker.marked(*one) for one in made]
            found += marker.compared(cells)
        return ExposureMatrix(source, tuple(listed), tuple(beside), tuple(found), self.reachability.unmodelled)

    def _ends_of(self, row: ExposureRow, host: ExposureColumn) -> tuple[Location, ...]:
        """Return where a row's packets may end: at a listener of the proxy only where that reaches the container."""
        if not row.listener:
            return row.target.ends
        if row.key not in self._ends:
            proxied = any(
                not empty(conceivable(self.reachability.world, self._sets(come, row.own, row.own).delivered))
                for come in (self.come(host, version) for version in (4, 6))
            )
            self._ends[row.key] = row.target.ends if proxied else row.own
        return self._ends[row.key]

    def _cell(
        self, row: ExposureRow, column: ExposureColumn, version: int, sets: ReachSets
    ) -> tuple[ExposureCell, PacketSet | None]:
        """Return a cell, with the packets that get through by a published port."""
        if empty(sets.asked):
            return ExposureCell(row, column, version, CellState.UNREACHABLE, why=Why.NO_ADDRESS), None
        if not empty(conceivable(self.reachability.world, sets.delivered)):
            return self._open(row, column, version, sets)
        return self._closed(row, column, version, sets), None

    def _has(self, row: ExposureRow, column: ExposureColumn, version: int) -> bool:
        if version not in column.versions:
            return False
        if column.kind is ColumnKind.HOST and row.on_host:
            return False
        able = any(own.node != row.node and own.address.version == version for own in column.senders)
        if not able and column.kind is ColumnKind.NETWORK:
            return False
        places = (*row.target.ways, *row.target.ends)
        return any(prefix.version == version for place in places for prefix in place.addresses)

    def come(self, column: ExposureColumn, version: int) -> PacketSet:
        """Return the packets of a column in one version of IP."""
        key = column.key, version
        if key not in self._coming:
            six = self.reachability.world.packet.six
            self._coming[key] = self.reachability.coming(column.origin) & (six if version == 6 else ~six)
        return self._coming[key]

    def _own(self, row: ExposureRow, column: ExposureColumn) -> PacketSet:
        """Return the packets of the row's own container, which does not ask itself."""
        world = self.reachability.world
        if column.kind is not ColumnKind.NETWORK:
            return world.space.none
        addresses = [prefix for place in row.own for prefix in place.addresses]
        return within(world, world.packet.six, world.packet.source, addresses)

    def _sent_to(self, places: Sequence[Location]) -> PacketSet:
        for place in places:
            if place not in self._sent:
                self._sent[place] = self.reachability.sent(place)
        return self.reachability.world.space.any_of(self._sent[place] for place in places)

    def _ending_at(self, places: Sequence[Location]) -> PacketSet:
        for place in places:
            if place not in self._ending:
                self._ending[place] = self.reachability.ending(place)
        return self.reachability.world.space.any_of(self._ending[place] for place in places)

    def _sets(self, come: PacketSet, ways: Sequence[Location], ends: Sequence[Location]) -> ReachSets:
        there = come & self._ending_at(ends)
        asked = come & self._sent_to(ways) | there
        delivered = there & self.reachability.replies.returned
        return ReachSets(asked, delivered, there & ~delivered, asked & ~there)

    def _ways(self, row: ExposureRow, sets: ReachSets, own_first: bool) -> Iterator[tuple[Way, PacketSet, PacketSet]]:
        """Yield the ways by which packets get through, with those packets and all that are sent that way."""
        left = conceivable(self.reachability.world, sets.delivered)
        published = [way for way in row.target.ways if way not in row.own]
        sides = ((Way.PUBLISHED, self._sent_to(published)), (Way.OWN, self._sent_to(row.own)))
        other = ~(sides[0][1] | sides[1][1])
        order = reversed(sides) if own_first else sides
        for way, sent in (*order, (Way.OTHER, other)):
            if not empty(left & sent):
                packets = sets.delivered & sent
                proxied = self._ending_at(row.listener)
                by_proxy = way is not Way.OWN and not empty(packets & proxied) and empty(packets & ~proxied)
                yield Way.PROXY if by_proxy else way, packets, sets.asked & sent

    def _open(
        self, row: ExposureRow, column: ExposureColumn, version: int, sets: ReachSets
    ) -> tuple[ExposureCell, PacketSet | None]:
        world = self.reachability.world
        ways = list(self._ways(row, sets, column.own_first))
        way, packets, asked = ways[0]
        sure = certain(world, packets)
        shown = sure if not empty(sure) else conceivable(world, packets)
        bounds = bounding(world, packets)
        unread = tuple(dict.fromkeys(one.text for one in bounds if one.kind is OpaqueKind.UNREAD))
        clauses = self._conditions(packets, bounds)
        terms = self._terms(row, column, shown, conceivable(world, asked), way)
        unjudged = (*self.reachability.unmodelled_effects(packets & shown), *(unread if empty(sure) else ()))
        places = row.own if way is Way.OWN else row.target.ways
        witness, point = WitnessChooser(self.reachability, column).choose(packets & shown, places, row.node, version)
        fate = self._fate(self.reachability.fates, point)
        state = CellState.CONDITIONS if terms or clauses else CellState.OPEN
        made = ExposureCell(
            row,
            column,
            version,
            CellState.NOT_JUDGED if unjudged else state,
            fate.reference if fate is not None else None,
            why=Why.NOT_LISTENING if row.on_host and row.port is None else Why.NONE,
            terms=terms,
            clauses=clauses,
            ways=tuple(one for one, _, _ in ways),
            unjudged=unjudged,
            witness=witness,
        )
        return made, packets if way in (Way.PUBLISHED, Way.OTHER) else None

    def _conditions(self, packets: PacketSet, bounds: Sequence[OpaqueClause]) -> tuple[str, ...]:
        """Return the clauses that no model reads and the packets depend on, with `not` where they must not match.

        `bounds` are all clauses that bound the packets. Clauses about extension headers are left out where they must
        not match: a plain packet has no such header.
        """
        space, found = self.reachability.world.space, []
        for clause in bounds:
            if clause.kind is not OpaqueKind.CHOICE:
                barred = empty(packets & ~space.equal(clause.variables, 0))
                if not barred or not clause.text.startswith(_EXTENSION_HEADERS):
                    found.append(f"not {clause.text}" if barred else clause.text)
        return tuple(dict.fromkeys(found))

    def _terms(
        self, row: ExposureRow, column: ExposureColumn, packets: PacketSet, asked: PacketSet, way: Way
    ) -> tuple[Term, ...]:
        if packets == asked:
            return ()
        found = self.reachability.described(packets, asked).terms
        hidden = _NOT_NAMED if row.port is not None and way is not Way.OTHER else _NOT_NAMED[:1]
        if column.kind is ColumnKind.HOST:
            hidden = (*hidden, "source")  # which its kernel chooses
        return tuple(term for term in found if term.field not in hidden)

    @staticmethod
    def _fate(fates: Sequence[Fate], point: PacketSet) -> Fate | None:
        return next((fate for fate in fates if not empty(fate.packets & point)), None)

    def _closed(self, row: ExposureRow, column: ExposureColumn, version: int, sets: ReachSets) -> ExposureCell:
        """Return a cell of packets none of which gets to the target and its answer back."""
        chooser = WitnessChooser(self.reachability, column)
        places = (*row.own, *row.target.ways) if column.own_first else row.target.ways
        if not empty(cut := sets.unanswered):
            witness, point = chooser.choose(cut, places, row.node, version)
            cut_off = [own for own in self.reachability.replies.fates if own.end is not End.PASSED]
            fate = self._fate(cut_off, point)
            one_way = witness.header.protocol == UDP
            state, why, answer = CellState.CONDITIONS if one_way else CellState.CLOSED, Why.ANSWER, ""
            packets = cut
        else:
            stopped = sets.closed & ~self.reachability.first.passed
            packets = sets.closed if empty(stopped) else stopped
            witness, point = chooser.choose(packets, places, row.node, version)
            fate = self._fate(self.reachability.fates, point)
            state, why = _STATES[ending_of(fate)] if fate is not None else (CellState.UNREACHABLE, Why.NO_ROUTE)
            if why is Why.ELSEWHERE and not empty(point & self.reachability.first.delivered):
                state, why = CellState.REFUSED, Why.NOT_LISTENING
            answer = fate.answer if fate is not None else ""
        unjudged = self.reachability.unmodelled_effects(sets.asked)
        decided = packets & fate.packets if fate is not None else self.reachability.world.space.none
        return ExposureCell(
            row,
            column,
            version,
            CellState.NOT_JUDGED if unjudged else state,
            fate.reference if fate is not None else None,
            answer,
            why,
            clauses=self._conditions(decided, bounding(self.reachability.world, decided)),
            unjudged=unjudged,
            witness=witness,
        )
