"""Confirm a matrix on the kernel: send each cell's witness on a real bed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace

from testbed.bed import Testbed
from testbed.behaviour.ask import AT_ONCE, behaviours
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probe_setup import made_ready
from testbed.behaviour.probes import Probe
from testbed.behaviour.probing import named
from testbed.errors import Disagreement
from testbed.exposure.cells import CellState, ExposureCell, ExposureMatrix, Way, Why
from testbed.exposure.sending import sent_outcome
from testbed.rules import AnyRuleset

_REACHES, _LOST = "reaches ", ("is lost", "is not sent", "is let through", "is dropped")


def confirmed(matrix: ExposureMatrix, bed: Testbed) -> ExposureMatrix:
    """Return the matrix with each cell confirmed whose witness a node of the bed can send.

    Raises Disagreement, with the path of a file that reproduces it, if the kernel treats a witness otherwise.
    """
    found = _outcomes(bed, [cell for cell in matrix.cells if cell.witness is not None])
    cells = tuple(_confirmed(cell, found.get(id(cell)), bed, matrix.unjudged) for cell in matrix.cells)
    return replace(matrix, cells=cells)


def confirmed_one_by_one(cells: Sequence[ExposureCell], bed: Testbed, unjudged: tuple[str, ...]) -> None:
    """Send the witnesses of cells, traced one after the other, as rule coverage does; raises as `confirmed` does.

    `unjudged` is what the cells' matrix takes no account of. Cells whose answers are dropped are left out: nothing
    answers here.
    """
    asked = [cell for cell in cells if cell.witness is not None and cell.why is not Why.ANSWER]
    made_ready(bed, [_asked(cell) for cell in asked])
    for cell in asked:
        _confirmed(cell, sent_outcome(bed, cell), bed, unjudged)


def _outcomes(bed: Testbed, cells: Sequence[ExposureCell]) -> dict[int, Behaviour]:
    """Return what the kernel did to the witness of each cell that can be sent, by the cell's identity."""
    probes = {id(cell): cell.witness.probe for cell in cells if cell.witness is not None and cell.witness.probe}
    values = named(bed)
    together = tuple(dict.fromkeys(probes.values()))
    at_once = 1 if values.counting and any(cell.clauses for cell in cells) else AT_ONCE
    told = dict(zip(together, behaviours(bed, together, at_once=at_once, taken=values.source_ports), strict=True))
    found = {key: told[probe] for key, probe in probes.items()}
    others = [cell for cell in cells if id(cell) not in probes and cell.witness is not None and cell.witness.sender]
    if others:
        made_ready(bed, [_asked(cell) for cell in others])
        found |= {id(cell): outcome for cell in others if (outcome := sent_outcome(bed, cell)) is not None}
    return found


def _asked(cell: ExposureCell) -> Probe:
    """Return the addresses of a witness that is no probe, as those are named."""
    assert cell.witness is not None
    header = cell.witness.header
    node = cell.witness.sender.node if cell.witness.sender is not None else ""
    return Probe(node, "tcp", str(header.destination), header.second, source=str(header.source))


def _confirmed(cell: ExposureCell, found: Behaviour | None, bed: Testbed, unjudged: tuple[str, ...]) -> ExposureCell:
    """Return a cell as the kernel confirms it; not judged if it may depend on what the model does not follow."""
    if found is None:
        return cell
    if cell.state is CellState.NOT_JUDGED:
        return replace(cell, confirmed=found.outcome.startswith(_REACHES))
    if agrees(cell, found, bed.topology.host):
        return replace(cell, confirmed=True)
    if cell.clauses:
        return cell  # a limit may have been reached, or an opaque clause holds for the witness
    if unjudged:
        return replace(cell, state=CellState.NOT_JUDGED, unjudged=unjudged)
    raise Disagreement(
        f"{cell.row.key} from {cell.column.key} is {cell.state.value}, and the kernel says of its witness: "
        f"{found.probe} {found.outcome}.",
        f"Please report it with {_reproducing(cell, found, bed.loaded)}.",
    )


def agrees(cell: ExposureCell, found: Behaviour, host: str) -> bool:
    """Return whether the kernel did to a witness what its cell says."""
    outcome = found.outcome
    at_host = cell.row.on_host or Way.PROXY in cell.ways[:1] or cell.why is Why.NOT_LISTENING
    reached = outcome.startswith(f"{_REACHES}{host} itself" if at_host else f"{_REACHES}{cell.row.node} at ")
    if cell.why is Why.ANSWER:
        mute = "answer" not in outcome  # the end has no route back, and sends nothing
        return reached and ("its answer is " in outcome or mute)
    if cell.state.open:
        return reached and "its answer is " not in outcome
    if cell.why is Why.NOT_LISTENING:
        return reached
    if cell.by is not None and cell.state in (CellState.CLOSED, CellState.REFUSED):
        return outcome.startswith(("is dropped", "is rejected")) and _decided(cell, found)
    return outcome.startswith((*_LOST, "is rejected")) or (
        outcome.startswith(_REACHES) and not outcome.startswith(f"{_REACHES}{cell.row.node} ")
    )


def _decided(cell: ExposureCell, found: Behaviour) -> bool:
    by = cell.by
    return by is not None and (not found.met or (by.table, by.chain, by.number) in found.met)


def _reproducing(cell: ExposureCell, found: Behaviour, rules: AnyRuleset) -> str:
    """Write what shows the disagreement to a file that is kept; return its path."""
    with tempfile.NamedTemporaryFile("w", prefix="disagreement-", suffix=".txt", delete=False) as file:
        file.writelines(f"# {line}\n" for line in _story(cell, found))
        file.write(rules.text)
    return file.name


def _story(cell: ExposureCell, found: Behaviour) -> Iterator[str]:
    yield f"{cell.row.key} from {cell.column.key} in IPv{cell.version}: {cell.state.value} {cell.why.value}".rstrip()
    yield f"decided by: {cell.by}"
    yield f"witness: {cell.witness.header if cell.witness is not None else ''}"
    yield f"sent: {found.probe}"
    yield f"the kernel: {found.outcome}, by {'; '.join(found.by) or 'no rule'}"
