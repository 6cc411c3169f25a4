"""What behaves differently, for a terminal, for a pull request's comment, for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.text import Text

from testbed.regress.difference import CLOSED, OPENED, Cause, Change

_STYLES = {OPENED: "bold red", CLOSED: "bold yellow"}


def lines(causes: Sequence[Cause]) -> Iterator[Text]:
    """Each cause: what kind of change, how many probes, the witness on both sides, and the rules where they part."""
    for cause in causes:
        witness, number = cause.witness, len(cause.changes)
        yield Text.assemble((cause.kind, _STYLES.get(cause.kind, "bold")), f"  {number} probe{'s' * (number > 1)}")
        yield Text.assemble("  ", (witness.probe, "cyan"))
        for sign, row, rule in (("-", witness.old, cause.parted[0]), ("+", witness.new, cause.parted[1])):
            by = f"   by {rule}" if rule else ""
            yield Text.assemble(f"  {sign} ", row.outcome, (by, "dim"))
        yield from (Text(f"    also {change.probe}", style="dim") for change in cause.changes[1:])


def markdown(causes: Sequence[Cause], heading: str, remarks: Iterable[str]) -> str:
    """A comment for a pull request: a row for each cause, the other probes folded away."""
    parts = [f"### {heading}", ""]
    if causes:
        parts += ["| what | witness | before | now |", "| --- | --- | --- | --- |"]
    for cause in causes:
        old, new = (
            f"{_cell(row.outcome)}{f'<br>`{_cell(rule)}`' if rule else ''}"
            for row, rule in zip((cause.witness.old, cause.witness.new), cause.parted, strict=True)
        )
        number = f" ({len(cause.changes)} probes)" if len(cause.changes) > 1 else ""
        parts.append(f"| **{cause.kind}**{number} | `{_cell(cause.witness.probe)}` | {old} | {new} |")
    several = [change for cause in causes for change in cause.changes[1:]]
    if several:
        parts += ["", "<details><summary>the other probes</summary>", ""]
        parts += [f"- {change.kind}: `{change.probe}`" for change in several]
        parts += ["", "</details>"]
    return "\n".join([*parts, "", *remarks, ""])


def as_dict(change: Change) -> dict[str, Any]:
    """For programs."""
    return {
        "kind": change.kind,
        "probe": change.probe,
        "old": {"outcome": change.old.outcome, "by": list(change.old.by)},
        "new": {"outcome": change.new.outcome, "by": list(change.new.by)},
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
