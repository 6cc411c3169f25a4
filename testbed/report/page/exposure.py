"""A matrix of exposure as the page shows it: each cell leads to the journey of its witness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.exposure.cells import CellState, ExposureCell, ExposureMatrix
from testbed.exposure.journeys import WitnessJourneys
from testbed.report.exposure import LEGEND, Notes, name, sentences, word
from testbed.report.page.view import StoryView


@dataclass(frozen=True, slots=True)
class ExposurePage:
    """A matrix with the journeys of its witnesses, and what is said about both."""

    matrix: ExposureMatrix
    journeys: WitnessJourneys
    heading: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellLink:
    """A cell of one version of IP: its text, its state for the style sheet, and the packet that it leads to, or ''."""

    text: str
    state: str
    packet: str
    title: str


@dataclass(frozen=True, slots=True)
class RowView:
    name: str
    cells: tuple[tuple[CellLink, ...], ...]


@dataclass(frozen=True, slots=True)
class ExposureView:
    """The table, the notes that its cells refer to, and sentences."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[RowView, ...]
    notes: tuple[str, ...]
    said: tuple[str, ...]
    legend: str


def view(page: ExposurePage, story: StoryView) -> ExposureView:
    """Return the matrix with a link for each cell whose witness is in the story."""
    ids = [packet.id for packet in story.packets]
    notes = Notes()
    rows = tuple(
        RowView(
            name(row), tuple(_links(page, page.matrix.of(row, column), notes, ids) for column in page.matrix.columns)
        )
        for row in page.matrix.rows
    )
    said = (*sentences(page.matrix), *page.remarks)
    columns = tuple(column.key for column in page.matrix.columns)
    return ExposureView(page.heading, columns, rows, tuple(notes.lines()), said, LEGEND)


def _links(page: ExposurePage, cells: Sequence[ExposureCell], notes: Notes, ids: Sequence[str]) -> tuple[CellLink, ...]:
    words = [word(cell, notes) for cell in cells]
    apart = len(set(words)) > 1
    kept = cells if apart else cells[:1]
    return tuple(
        _link(page, cell, f"{text} v{cell.version}" if apart else text, ids)
        for cell, text in zip(kept, words, strict=False)
    )


def _link(page: ExposurePage, cell: ExposureCell, text: str, ids: Sequence[str]) -> CellLink:
    probe = cell.witness.probe if cell.witness is not None else None
    place = page.journeys.places.get(probe) if probe is not None else None
    state = "open" if cell.state.open else "unjudged" if cell.state is CellState.NOT_JUDGED else "closed"
    state = "none" if cell.state is CellState.UNREACHABLE else state
    return CellLink(text, state, ids[place] if place is not None else "", str(probe) if probe is not None else "")
