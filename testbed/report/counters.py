"""Counters as text: expected beside actual, with differences marked."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.observe.counting import Counted, hints
from testbed.rules.counters import ZERO, Counters
from testbed.rules.reading import CounterDifference, CounterReading

MARK = "≠"


def comparison(reading: CounterReading, expectation: str) -> list[str]:
    """Return an expectation beside the counters, with differing lines marked.

    Rules that were expected to count nothing and counted nothing are summarised in one line.
    """
    differences = reading.compare(expectation)
    shown = [d for d in differences if not d.equal or d.expected != ZERO]
    silent = len(differences) - len(shown)
    return [
        *_side_by_side(shown),
        *([f"  {silent} more lines counted nothing, as expected."] if silent else []),
    ]


def summary(reading: CounterReading, expectation: str) -> list[str]:
    """Return only the lines in which expectation and counters differ, with a hint if one is known."""
    differences = reading.compare(expectation)
    wrong = [difference for difference in differences if not difference.equal]
    return [
        f"counters are not as expected in {len(wrong)} of {len(differences)} lines",
        *(f"hint: {hint}" for hint in hints(wrong, reading.seen if isinstance(reading, Counted) else ())),
        *_side_by_side(wrong),
    ]


def _side_by_side(differences: Sequence[CounterDifference]) -> list[str]:
    rows = [
        (" " if d.equal else MARK, _cell(d.expected), _cell(d.actual), d.line.table, d.line.text) for d in differences
    ]
    header = (" ", "expected", "actual", "table", "rule")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(4)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in [header, *rows]
    ]


def _cell(counters: Counters | None) -> str:
    return str(counters) if counters is not None else "not there"
