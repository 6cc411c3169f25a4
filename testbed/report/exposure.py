"""A matrix of exposure, for a terminal and for a pull request's comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from testbed.exposure.cells import CellState, ExposureCell, ExposureMatrix, Mark, Way, Why
from testbed.exposure.columns import ColumnKind, ExposureColumn
from testbed.exposure.misses import Miss
from testbed.exposure.rows import ExposureRow
from testbed.report.markdown import cell as escaped
from testbed.report.markdown import code, plain
from testbed.report.packet_terms import in_words
from testbed.report.terminal import Text
from testbed.rules.reference import RuleReference

_GAP = 2
_SHORTEST = 26  # columns for the names of rows, where there is little room
_STYLES = {
    CellState.OPEN: "bold red",
    CellState.CONDITIONS: "red",
    CellState.CLOSED: "green",
    CellState.REFUSED: "green",
    CellState.UNREACHABLE: "dim",
    CellState.NOT_JUDGED: "bold yellow",
}
_WORDS = {
    CellState.OPEN: "open",
    CellState.CONDITIONS: "open if",
    CellState.CLOSED: "closed",
    CellState.REFUSED: "refused",
    CellState.UNREACHABLE: "-",
    CellState.NOT_JUDGED: "?",
}
LEGEND = (
    "-: no packet gets there. let in: no rule stops it on the way to the host; whether a program listens is not known. "
    "Numbers: the rule or the condition. IPv4/IPv6 where they differ."
)


@dataclass(slots=True)
class Notes:
    """The rules and conditions that cells refer to, by number."""

    known: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known) + 1)

    def lines(self) -> Iterator[str]:
        return (f"{number:2}  {text}" for text, number in self.known.items())


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row as it is shown: its name, and the cells' text with their states; rows that say the same are one."""

    name: str
    cells: tuple[tuple[str, CellState | None], ...]


def lines(matrix: ExposureMatrix, width: int, heading: str) -> Iterator[Text]:
    """Yield the matrix in as many blocks of columns as the width needs, then what the numbers mean, then the marks."""
    notes = Notes()
    shown = _rows(matrix, notes)
    yield Text(heading, style="bold")
    names = [column.key for column in matrix.columns]
    columns = sum(_width(names, shown, number) + _GAP for number in range(len(names)))
    first = min(max([len(row.name) for row in shown] or [0]), max(_SHORTEST, width - columns))
    for block in _blocks(names, shown, width - first):
        yield Text("")
        yield from _block(names, shown, block, first)
    yield Text("")
    yield from (Text(line, style="dim") for line in wrap(LEGEND, width))
    yield from (Text(line) for line in notes.lines())
    yield from (Text(line) for sentence in sentences(matrix) for line in wrap(sentence, width, break_long_words=False))


def _rows(matrix: ExposureMatrix, notes: Notes) -> list[ShownRow]:
    """Return the rows, with containers' other ports in one row where all cells are the same."""
    found: list[ShownRow] = []
    others: dict[tuple[tuple[str, CellState | None], ...], list[str]] = {}
    for row in matrix.rows:
        cells = tuple(_shown(matrix.of(row, column), notes) for column in matrix.columns)
        if row.port is None and not row.on_host:
            others.setdefault(cells, []).append(row.node)
        elif row.port is None:
            found += [ShownRow(f"{_several(nodes)} any other port", same) for same, nodes in others.items()]
            found.append(ShownRow(f"{row.node} any other port", cells))
        else:
            found.append(ShownRow(name(row), cells))
    return found


def _several(nodes: Sequence[str]) -> str:
    return ", ".join(nodes) if len(nodes) <= 3 else f"{nodes[0]} and {len(nodes) - 1} others"


def name(row: ExposureRow) -> str:
    """Return what a row is about: `web 8080/tcp on 80`."""
    if row.port is None:
        return f"{row.node} any other port"
    ports = ", ".join(str(port).partition(f":{port.container}/")[0] for port in row.published)
    return f"{row.node} {row.port}/{row.protocol}" + (f" on {ports}" if ports else "")


def _shown(cells: tuple[ExposureCell, ...], notes: Notes) -> tuple[str, CellState | None]:
    """Return the text of the cells of all versions of IP: apart where they differ."""
    if not cells:
        return "", None
    texts = [word(one, notes) for one in cells]
    worst = min((one.state for one in cells), key=list(CellState).index)
    return (texts[0] if len(set(texts)) == 1 else "/".join(texts)), worst


def word(cell: ExposureCell, notes: Notes) -> str:
    """Return a cell in a word, with the number of what closes it or of its condition."""
    if cell.state is CellState.OPEN:
        return "let in" if cell.why is Why.NOT_LISTENING else "open"
    if cell.state is CellState.UNREACHABLE:
        return "-"
    note = _note(cell)
    return f"{_WORDS[cell.state]} {notes.number(note)}" if note else _WORDS[cell.state]


def _note(cell: ExposureCell) -> str:
    if cell.state is CellState.NOT_JUDGED:
        return f"not judged: {', '.join(cell.unjudged)}"
    if cell.state is CellState.CONDITIONS:
        return condition(cell)
    if cell.why is Why.NOT_LISTENING:
        return "no rule translates the packet, and no program listens on the host"
    if cell.why is Why.ANSWER and cell.by is None:
        return "the container has no route by which to answer"
    return rule(cell.by) + (", which drops the answer" if cell.why is Why.ANSWER else "") if cell.by else ""


def condition(cell: ExposureCell) -> str:
    """Return under which condition a cell is open."""
    parts = [in_words(cell.terms)] if cell.terms else []
    parts += list(cell.clauses)
    if cell.why is Why.ANSWER:
        cut = f"answers are dropped by {rule(cell.by)}" if cell.by is not None else "no route leads the answers back"
        parts.append(f"one way: {cut}")
    return "; ".join(parts)


def rule(reference: RuleReference | None) -> str:
    """Return a rule or a policy with its table: `filter: -A INPUT -j DROP`."""
    if reference is None:
        return "no rule"
    if reference.number is None:
        return f"{reference.table}: policy {reference.text.lstrip(':')}"
    where = f" ({reference.chain} {reference.number})" if not reference.text.startswith("-A") else ""
    return f"{reference.table}: {reference.text}{where}"


def _blocks(names: Sequence[str], shown: Sequence[ShownRow], room: int) -> list[list[int]]:
    blocks: list[list[int]] = [[]]
    used = 0
    for number in range(len(names)):
        width = _width(names, shown, number) + _GAP
        if blocks[-1] and used + width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(number)
        used += width
    return blocks


def _width(names: Sequence[str], shown: Sequence[ShownRow], number: int) -> int:
    return max(len(names[number]), *(len(row.cells[number][0]) for row in shown), 1)


def _block(names: Sequence[str], shown: Sequence[ShownRow], block: list[int], first: int) -> Iterator[Text]:
    widths = {number: _width(names, shown, number) for number in block}
    heads = "".join(f"{'':{_GAP}}{names[number]:{widths[number]}}" for number in block)
    yield Text(f"{'':{first}}{heads}".rstrip(), style="bold")
    for row in shown:
        label = row.name if len(row.name) <= first else f"{row.name[: first - 1]}~"
        parts: list[str | tuple[str, str]] = [f"{label:{first}}"]
        for number in block:
            text, state = row.cells[number]
            parts.append(" " * _GAP)
            parts.append((f"{text:{widths[number]}}", _STYLES[state] if state is not None else ""))
        line = Text.assemble(*parts)
        line.rstrip()
        yield line


def sentences(matrix: ExposureMatrix) -> Iterator[str]:
    """Yield what is remarkable, a sentence for each mark; then what is not judged."""
    for mark in Mark:
        marked = [cell for cell in matrix.cells if mark in cell.marks]
        if marked:
            yield from _marked(mark, marked)
    named = dict.fromkeys(text for cell in matrix.not_judged for text in cell.unjudged)
    for text in named:
        yield f"Not judged: packets that depend on {text}."
    for text in matrix.unjudged:
        if text not in named:
            yield f"Not followed: {text}."


def _marked(mark: Mark, cells: Sequence[ExposureCell]) -> Iterator[str]:
    names = ", ".join(dict.fromkeys(name(cell.row) for cell in cells))
    if mark is Mark.INTERNET:
        yield f"Open to the internet: {names}."
    elif mark is Mark.IPV6_ONLY:
        yield f"Open in IPv6 only: {names}."
    elif mark is Mark.LOOPBACK:
        yield f"Published on the loopback only, and open to {_columns(cells)}: {names}."
    elif mark is Mark.OWN_ADDRESS:
        own = [cell for cell in cells if cell.ways[:1] == (Way.OWN,) or not cell.row.published]
        if own:
            names = ", ".join(dict.fromkeys(name(cell.row) for cell in own))
            yield f"Open by the container's own address, {_columns(own)}: {names}."
    else:
        yield from dict.fromkeys(_bypassed(cell) for cell in cells)


def _columns(cells: Sequence[ExposureCell]) -> str:
    return ", ".join(dict.fromkeys(_from(cell.column) for cell in cells))


def _from(column: ExposureColumn) -> str:
    if column.kind is ColumnKind.DIRECT:
        return f"neighbours who send straight to the host{f' ({column.name})' if column.name else ''}"
    return f"the {column.key}"


def _bypassed(cell: ExposureCell) -> str:
    """Say which rule was meant to close a port, and why it is never asked."""
    bypass = cell.bypass
    if bypass is None:
        return ""
    by = f" ({rule(bypass.translation)})" if bypass.translation is not None else ""
    return (
        f"{name(cell.row)} is open although INPUT would close it: {rule(bypass.meant)}. INPUT is never asked: "
        f"PREROUTING translates the port{by}, so the packet goes through FORWARD to the container."
    )


def markdown(matrix: ExposureMatrix, heading: str, remarks: Sequence[str]) -> str:
    """Return the matrix as Markdown, for the comment on a pull request."""
    notes = Notes()
    shown = _rows(matrix, notes)
    names = [plain(column.key) for column in matrix.columns]
    table = [f"| | {' | '.join(map(escaped, names))} |", f"|---|{'---|' * len(names)}"]
    table += [
        f"| {escaped(plain(row.name))} | {' | '.join(escaped(plain(text)) for text, _ in row.cells)} |" for row in shown
    ]
    said = [f"- {number}: {code(text)}" for text, number in notes.known.items()]
    told = [f"- {plain(sentence)}" for sentence in (*sentences(matrix), *remarks)]
    return "\n".join([f"### {plain(heading)}", "", *table, "", plain(LEGEND), "", *said, "", *told, ""])


def missed(miss: Miss) -> str:
    """Say why a rule does not close what it names, and which rule does."""
    program = "ip6tables" if miss.table.startswith("ip6 ") else "iptables"
    said = f"{rule(miss.reference)} misses: {miss.kind.value}."
    return f"{said} Proved instead: {program} -I {miss.chain} {miss.corrected}" if miss.corrected else said
