"""A host whose routing the analysis does not follow: what the kernel does otherwise is not judged, and named."""

from __future__ import annotations

from pathlib import Path

from testbed.exposure.cells import CellState
from testbed.exposure.made import ExposureStand
from testbed.tasks.chosen import choose
from testbed.tasks.host_options import HostOptions

CAPTURE = Path(__file__).parents[1] / "data" / "capture" / "hard-28.5.capture"


def test_cells_of_a_host_with_two_uplinks_and_routing_rules_are_confirmed_or_not_judged() -> None:
    chosen = choose(HostOptions(str(CAPTURE)), None, None)
    matrix = ExposureStand.of(chosen.fitted.host, chosen.rules, "").confirmed()
    assert any(text.startswith("routing rules") for text in matrix.unjudged)
    assert any("rp_filter" in text for text in matrix.unjudged)
    states = {(cell.row.key, cell.column.key, cell.version): cell for cell in matrix.cells}
    assert states["web:80/tcp", "lan eth1", 4].confirmed
    assert states["web:80/tcp", "lan eth1", 4].state is CellState.OPEN
    assert states["web:80/tcp", "internet eth1", 4].state is CellState.NOT_JUDGED
