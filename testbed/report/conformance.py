"""A real engine compared with the model, as a table of hosts, with the lines that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from testbed.conformance.run import ASPECTS, ORDER, RULES, Conformance
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text

_LEGEND = "- the model has it and the engine does not, + the engine has it and the model does not"


def table(found: Sequence[Conformance]) -> FittedTable:
    """Return a row for each host: for each aspect `equal`, or the number of lines that differ."""
    made = Table("host", *ASPECTS, "seconds")
    for result in found:
        seconds = Text(f"{result.total:.2f}" if result.total else "", style="dim")
        made.add_row(Text(result.host), *(_cell(result, aspect) for aspect in ASPECTS), seconds)
    return FittedTable(made)


def remarks(found: Sequence[Conformance]) -> Iterator[Text]:
    """Yield the lines that differ, what the engine refused, and what was left out."""
    different = [result for result in found if not result.conforms]
    if different:
        yield Text(_LEGEND, style="dim")
    for result in different:
        yield Text(result.host, style="bold")
        if result.refused:
            yield Text(f"  {result.refused}", style="red")
        for what, lines in _lines(result):
            yield from (Text.assemble((f"  {what:<10} ", "dim"), (line, _style(line))) for line in lines)
    yield from (Text(f"left out: {result.host}: {result.left_out}", "dim") for result in found if result.left_out)


def _cell(result: Conformance, aspect: str) -> Text:
    if result.left_out:
        return Text("left out", style="dim")
    if result.refused:
        return Text("refused", style="bold red")
    number = len(result.differences[aspect])
    return Text(f"{number} lines" if number > 1 else "1 line", style="bold red") if number else Text("equal", "green")


def _lines(result: Conformance) -> Iterator[tuple[str, list[str]]]:
    """Yield rules once, including those out of order."""
    yield RULES, result.rules
    yield from ((what, lines) for what, lines in result.differences.items() if what not in (RULES, ORDER))


def _style(line: str) -> str:
    return "red" if line.startswith("-") else "green"
