"""Rule coverage, for a terminal and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from testbed.coverage.covered import CoveredRule, Report, Share
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text

CANNOT = "–"  # noqa: RUF001 - a dash: impossible


def lines(report: Report) -> Iterator[FittedTable | Text]:
    """Yield each rule with its marks, what is missing, what is impossible and why, and the totals."""
    yield _table(report)
    missing = [Text(f"  {_name(rule)}: {what}") for rule, what in report.missing]
    if missing:
        yield Text("no packet has done this:", style="bold")
        yield from missing
    cannot = [(rule, *excluded) for rule in report.rules for excluded in rule.excluded]
    if cannot:
        yield Text("no packet can do this, so it does not count:", style="bold")
        yield from (Text(f"  {_name(rule)}: {what}, {why}", style="dim") for rule, what, why in cannot)
    for rule in report.rules:
        for clause in rule.clauses:
            if not clause.due and rule.reachable:
                yield Text(f"  {_name(rule)}: cannot be missed for {clause.text} alone, {clause.never}", style="dim")
    yield Text(totals(report), style="bold")


def totals(report: Report) -> str:
    """Return the totals in one line."""
    tests = f"{len(report.tests)} cases" if len(report.tests) != 1 else "1 case"
    return f"{report.source}: rules {report.reached}, branches {report.branches}, clauses {report.clauses}, by {tests}."


def mark(number: int | None) -> str:
    """Return the number of packets; a cross if there was none, a dash if there can be none."""
    return CANNOT if number is None else f"✓ {number}" if number else "✗"


def as_dict(report: Report) -> dict[str, Any]:
    """Return a dict for JSON output."""
    return {
        "source": report.source,
        "rule_sets": report.rule_sets,
        "totals": {
            name: _share(share)
            for name, share in (
                ("rules", report.reached),
                ("branches", report.branches),
                ("clauses", report.clauses),
            )
        },
        "tests": list(report.tests),
        "missing": [
            {"table": rule.record.table, "rule": rule.record.text, "what": what} for rule, what in report.missing
        ],
        "chains": [
            {"table": chain.table, "chain": chain.name, "policy": chain.policy, "entered": chain.entered}
            for chain in report.chains
        ],
        "rules": [_rule(rule) for rule in report.rules],
    }


def _rule(rule: CoveredRule) -> dict[str, Any]:
    record = rule.record
    return {
        "table": record.table,
        "chain": record.chain,
        "number": record.number,
        "rule": record.text,
        "line": record.line,
        "reached": record.reached,
        "matched": record.matched,
        "missed": record.missed,
        "never": dict(rule.excluded),
        "clauses": [
            {"clause": clause.text, "alone": clause.alone, "unknown": clause.unknown, "never": clause.never}
            for clause in rule.clauses
        ],
        "reached_by": list(record.reached_by),
        "matched_by": list(record.matched_by),
    }


def _share(share: Share) -> dict[str, float]:
    return {"seen": share.seen, "of": share.of, "percent": round(share.percent, 2)}


def _table(report: Report) -> FittedTable:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (("line", "right"), ("rule", "left"), ("reached", "right"), ("matched", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for name in ("missed", "alone", "cases"):
        table.add_column(name, justify="right")
    chain = ""
    for rule in report.rules:
        record = rule.record
        if chain != (chain := f"{record.table} {record.chain}"):
            entered = next(c.entered for c in report.chains if (c.table, c.name) == (record.table, record.chain))
            table.add_row("", Text(f"{chain}, entered by {_packets(entered)}", style="bold"))
        matched, missed = rule.branches
        asked = rule.asked
        alone = f"{sum(bool(clause.alone) for clause in asked)} of {len(asked)}" if asked else CANNOT
        table.add_row(
            str(record.line or ""),
            Text(f"{record.text}", style=_style(rule)),
            _marked(record.reached if rule.reachable else None),
            _marked(matched),
            _marked(missed),
            Text(alone, style="" if all(clause.alone for clause in asked) else "yellow"),
            str(len(record.reached_by)),
        )
    return FittedTable(table)


def _marked(number: int | None) -> Text:
    return Text(mark(number), style="dim" if number is None else "green" if number else "bold red")


def _style(rule: CoveredRule) -> str:
    if not rule.reachable:
        return "dim"
    return "" if rule.whole else "yellow" if rule.record.reached else "red"


def _packets(number: int) -> str:
    return "1 packet" if number == 1 else f"{number} packets" if number else "no packet"


def _name(rule: CoveredRule) -> str:
    return f"{rule.record.table} {rule.record.text}"
