"""The article's counter table, with a column for each packet."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from testbed.observe.packet_result import PacketResult
from testbed.replay import ReplayStep
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text
from testbed.rules.counters import ZERO, Counters


def packets(steps: Sequence[ReplayStep]) -> FittedTable:
    """Return a table of the packets: kind, addresses as sent and as delivered; translations are in bold."""
    table = Table(title="The packets", title_justify="left")
    for heading in ("packet", "bytes", "left its end as", "came out as"):
        table.add_column(heading, no_wrap=True)
    for step in steps:
        sent = step.result.sent
        table.add_row(sent.kind, str(sent.length), f"{sent.from_} > {sent.to}", _came_out(step.result))
    return FittedTable(table)


def conclusion(last: ReplayStep) -> Text | None:
    """Return a sentence on the last packet's outcome; None if it was delivered."""
    if last.result.delivered:
        return None
    kind, answer = last.result.sent.kind, last.answer
    if last.absent:
        return Text(
            f"The {kind} was let through to {last.absent}; no container with {last.absent} in this bed (give --host).",
            style="bold yellow",
        )
    if answer is not None:
        ended = f"The {kind} reached no end of the bed; it was answered by {answer.kind} from {answer.from_}."
        return Text(ended, style="bold green" if last.accepted else "bold red")
    return Text.assemble((f"The {kind} was lost.", "bold red"), " The rules that counted it are in bold.")


def _came_out(result: PacketResult) -> Text:
    sent, arrived = result.sent, result.arrived
    if arrived is None:
        return Text("did not arrive", style="bold red")
    source, destination = (
        (now, "bold yellow" if now != before else "")
        for before, now in ((sent.from_, arrived.from_), (sent.to, arrived.to))
    )
    return Text.assemble(source, " > ", destination)


def counters(steps: Sequence[ReplayStep]) -> FittedTable:
    """Return every rule with its counters after each packet (packets and bytes); increments are in bold."""
    table = Table(
        title="What the rules had counted after each packet (packets/bytes)", title_justify="left", pad_edge=False
    )
    table.add_column("table", style="dim")
    table.add_column("rule", overflow="fold", ratio=1)
    for step in steps:
        table.add_column(step.result.sent.kind, justify="right", no_wrap=True)
    before: str | None = None
    for line, _ in steps[-1].counted.rules:
        if before not in (None, line.table):
            table.add_section()
        before = line.table
        counted = [dict(step.counted)[line] for step in steps]
        table.add_row(line.table, Text(line.text), *_cells(counted))
    return FittedTable(table)


def _cells(counted: Sequence[Counters]) -> list[Text]:
    cells = []
    for now, previously in zip(counted, [ZERO, *counted], strict=False):
        style = "bold green" if now != previously else "dim"
        cells.append(Text(f"{now.packets}/{now.bytes}" if now != ZERO else "0", style=style))
    return cells
