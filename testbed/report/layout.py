"""Tables on narrow terminals: if a column would break a word, rows are printed as blocks of lines.

Addresses, translations and commands are read and copied as a whole, so nothing is cut. A line that is longer than the
terminal is wrapped by the terminal. Print with `crop=False`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

_READABLE = 24  # columns that a column of prose or of a rule needs
_SHORT = 16  # columns of a value that shares its line with others


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table that fits the terminal, or else its rows as blocks of lines; an empty heading gives no label."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = _texts(self.table, console)
        if self._width(rows) <= options.max_width:
            yield self.table
        else:
            yield from self._blocks(rows, options.max_width)

    def _width(self, rows: Sequence[Sequence[Text]]) -> int:
        """Return the columns needed so that no word is broken and prose has more than one word a line."""
        columns = range(len(self.table.columns))
        needed = sum(max((_needed(row[n], self.table.columns[n]) for row in rows), default=0) for n in columns)
        return needed + 3 * len(columns) + 1

    def _blocks(self, rows: Sequence[Sequence[Text]], width: int) -> Iterator[Text]:
        headings, *cells = rows
        if self.table.title:
            yield Text(str(self.table.title), style="italic")
        for row in cells:
            yield from (_whole(line, width) for line in _block(self.table.columns, headings, row))
        if self.table.caption:
            yield Text(str(self.table.caption), style="dim italic")


def _texts(table: Table, console: Console) -> list[list[Text]]:
    """Return the cells row by row, headings first."""
    columns = [[column.header, *column.cells] for column in table.columns]
    return [
        [cell if isinstance(cell, Text) else console.render_str(str(cell)) for cell in row]
        for row in zip(*columns, strict=True)
    ]


def _needed(cell: Text, column: Column) -> int:
    lines = cell.plain.splitlines()
    longest = max(map(cell_len, lines), default=0)
    if column.no_wrap:
        return longest
    word = max(map(cell_len, cell.plain.split()), default=0)
    return max(word, min(longest, _READABLE))


def _block(columns: Sequence[Column], headings: Sequence[Text], row: Sequence[Text]) -> Iterator[Text]:
    """Yield the first non-empty cell as the title, long cells on lines of their own, and the short ones on one line."""
    said = [
        (heading.plain, cell, column)
        for heading, cell, column in zip(headings, row, columns, strict=True)
        if cell.plain
    ]
    for _, title, column in said[:1]:
        yield Text.assemble(title, no_wrap=column.no_wrap)
    for name, cell, column in said[1:]:
        if cell_len(cell.plain) > _SHORT:
            for number, line in enumerate(cell.split("\n")):
                yield Text.assemble("  ", _named(name if number == 0 else "", line), no_wrap=column.no_wrap)
    short = [_named(name, cell) for name, cell, _ in said[1:] if cell_len(cell.plain) <= _SHORT]
    if short:
        yield Text("  ").append_text(Text(", ").join(short))


def _named(name: str, cell: Text) -> Text:
    return Text.assemble((f"{name}: ", "dim"), cell) if name else cell.copy()


def _whole(line: Text, width: int) -> Text:
    """Leave wrapping to the terminal if a word, or a value that is copied as a whole, would be broken here."""
    if line.no_wrap or max(map(cell_len, line.plain.split()), default=0) > width:
        line.no_wrap, line.overflow = True, "ignore"
    return line
