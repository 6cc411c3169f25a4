"""What is remarkable about open cells, and which rule was meant to close them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testbed.analysis.fates import End, Fate, fates
from testbed.analysis.plain import plain_first
from testbed.analysis.reachability import Reachability
from testbed.analysis.rules import Manip
from testbed.analysis.space import empty
from testbed.analysis.vector import PacketSet
from testbed.exposure.cells import Bypass, CellState, ExposureCell, Mark, Way, Why
from testbed.exposure.columns import ColumnKind
from testbed.rules.reference import RuleReference


class Marker:
    """Marks the cells of one matrix."""

    def __init__(self, reachability: Reachability) -> None:
        self._reachability = reachability
        self._closed: PacketSet | None = None
        self._fates: list[Fate] = []

    def marked(self, cell: ExposureCell, packets: PacketSet | None) -> ExposureCell:
        """Return an open cell with the rule of INPUT that was meant to close it, if there is one.

        `packets` are those that get through by an address of the host, None where there are none.
        """
        if packets is None or not cell.column.outside or not cell.state.open or cell.row.on_host:
            return cell
        closed = packets & self._closed_by_input()
        if empty(closed):
            return cell
        bypass = self._bypass(closed)
        return cell if bypass is None else replace(cell, bypass=bypass, marks=(*cell.marks, Mark.BYPASS))

    def _closed_by_input(self) -> PacketSet:
        """Return the packets that INPUT would drop if nothing translated their destination."""
        if self._closed is None:
            reachability = self._reachability
            if not self._has_input():
                self._closed = reachability.world.space.none
                return self._closed
            kept = [
                chain for chain in reachability.program.chains if not (chain.translates and chain.hook == "PREROUTING")
            ]
            without = replace(reachability.program, chains=tuple(kept))
            outcome = reachability.world.first(without)
            self._fates = [
                fate
                for fate in fates(reachability.world.space, outcome)
                if fate.end is End.CLOSED and fate.hook == "INPUT"
            ]
            self._closed = reachability.world.space.any_of(fate.packets for fate in self._fates)
        return self._closed

    def _has_input(self) -> bool:
        """Return whether any chain of INPUT can close a port."""
        chains = [chain for chain in self._reachability.program.chains if chain.hook == "INPUT"]
        return any(chain.rules or not chain.accepts for chain in chains if not chain.translates)

    def _bypass(self, packets: PacketSet) -> Bypass | None:
        _, point = plain_first(self._reachability.world, packets)
        meant = next((fate.reference for fate in self._fates if not empty(fate.packets & point)), None)
        return None if meant is None else Bypass(meant, self._translation(point))

    def _translation(self, point: PacketSet) -> RuleReference | None:
        for decision in self._reachability.first.decisions:
            action = decision.translation
            if action is not None and action.manip is Manip.DESTINATION and not empty(decision.packets & point):
                return decision.reference
        return None

    @staticmethod
    def compared(cells: Sequence[ExposureCell]) -> list[ExposureCell]:
        """Return the cells of a row with the marks that follow from what they say, beside each other."""
        return [replace(cell, marks=(*cell.marks, *_marks(cell, cells))) for cell in cells]


def _marks(cell: ExposureCell, cells: Sequence[ExposureCell]) -> list[Mark]:
    if not cell.state.open or not cell.column.outside:
        return []
    known = cell.why is not Why.NOT_LISTENING
    found = [Mark.INTERNET] if cell.column.kind is ColumnKind.INTERNET and known else []
    four = [other for other in cells if other.column is cell.column and other.version == 4]
    if cell.version == 6 and any(other.state in (CellState.CLOSED, CellState.REFUSED) for other in four):
        found.append(Mark.IPV6_ONLY)
    published = cell.row.published
    if published and all(port.on_loopback for port in published):
        found.append(Mark.LOOPBACK)
    if Way.OWN in cell.ways and not cell.row.on_host:
        found.append(Mark.OWN_ADDRESS)
    return found
