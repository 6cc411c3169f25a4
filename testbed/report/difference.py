"""Differences in behaviour, for a terminal, for a pull request's comment, for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from html import escape
from itertools import accumulate
from typing import Any

from testbed.behaviour.difference import CLOSED, MOVED, OPENED, Change, decided
from testbed.behaviour.divergence import JourneyStep
from testbed.behaviour.explanation import Explained
from testbed.behaviour.witness import ProbeJourneys
from testbed.report import journey as report
from testbed.report.markdown import cell, code, fenced, plain
from testbed.report.terminal import Text
from testbed.visible import one_line

_MOST = 60_000  # characters: a comment on GitHub ends at 65,536
_STYLES = {OPENED: "bold red", CLOSED: "bold yellow"}
TABLE = "A table has no ways that could be shown: only rules can be asked again."
OTHERWISE = "Asked again by itself, the witness fared otherwise: a rule counts, or remembers what was sent before."


def lines(found: Sequence[Explained], whole: bool = False) -> Iterator[Text]:
    """Yield each cause: the kind of change, the number of probes, the witness on both sides, and the divergence.

    With `whole` its journeys follow, rule by rule, and each other region; else these are counted. Regions with the
    same outcome on both sides are only named then.
    """
    for one in found:
        if one.cause.witness.packets is not None and not whole:
            yield from _region(one)
            continue
        cause = one.cause
        witness = cause.witness
        yield Text.assemble((cause.kind, _STYLES.get(cause.kind, "bold")), f"  {cause.size}")
        yield Text.assemble("  ", (witness.probe, "cyan"))
        rows = zip("-+", (witness.old, witness.new), cause.parted, witness.places, strict=True)
        for sign, row, rule, place in rows:
            by = f"   by {decided(row, rule)}{f' ({place})' if place else ''}" if decided(row, rule) else ""
            yield Text.assemble(f"  {sign} ", row.outcome, (by, "dim"))
        yield from (Text(f"  {note}") for note in witness.notes)
        yield from (Text(f"  {said}") for said in parting(one))
        if whole:
            yield from _whole(one)
        yield from (Text(f"    also {change.probe}", style="dim") for change in cause.changes[1:])


def _region(one: Explained) -> Iterator[Text]:
    """Yield a cause of regions in short."""
    cause, witness = one.cause, one.cause.witness
    yield Text.assemble((cause.kind, _STYLES.get(cause.kind, "bold")), f"  {cause.size}")
    yield Text.assemble("  ", (witness.probe, "cyan"))
    for sign, row, rule, place in zip("-+", (witness.old, witness.new), cause.parted, witness.places, strict=True):
        by = f"   by {decided(row, rule)}{f' ({place})' if place else ''}" if decided(row, rule) else ""
        if cause.kind != MOVED or by:
            yield Text.assemble(f"  {sign} ", "" if cause.kind == MOVED else row.outcome, (by, "dim"))
    if cause.kind != MOVED:
        yield from (Text(f"  {note}") for note in witness.notes)
        yield from (Text(f"  {said}") for said in parting(one))
    if others := cause.changes[1:]:
        kinds = Counter(change.probe.partition(": ")[0] if ": " in change.probe else "packets" for change in others)
        said = ", ".join(f"{name} ({number})" if number > 1 else name for name, number in kinds.items())
        yield Text(f"    also {said}", style="dim")


def parting(one: Explained) -> Iterator[str]:
    """Yield a line on the divergence, if any; and a line if the witness had another outcome when sent again."""
    apart = one.parting
    if apart is not None:
        whose = "its answer's" if apart.of_answer else "the"
        yield f"{whose} ways part at: {' | '.join(map(step, apart.sides))}"
    if one.otherwise:
        yield OTHERWISE


def step(of: JourneyStep) -> str:
    """Describe a rule with its table, and its failed clause if it did not match."""
    if of.matched:
        return str(of)
    return f"{of}: {of.failed} does not hold" if of.failed else f"{of}: does not match"


def _whole(one: Explained) -> Iterator[Text]:
    """Yield both journeys as one text: lines of one side with its sign, common lines once."""
    old, new = list(_way(one.old)), list(_way(one.new))
    matcher = SequenceMatcher(None, [line.plain for line in old], [line.plain for line in new], autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        signed = [(" ", line) for line in old[a:b]]
        if what != "equal":
            signed = [*(("-", line) for line in old[a:b]), *(("+", line) for line in new[c:d])]
        yield from (Text.assemble(f"  {sign} ", line) for sign, line in signed)


def _way(way: ProbeJourneys | None) -> Iterator[Text]:
    """Yield the journeys of the question and the answer."""
    if way is None:
        yield Text(TABLE, style="italic")
    elif way.question is None:
        yield Text("nothing was sent: the kernel has no way there", style="italic")
    else:
        yield from (line for journey in way.gone for line in report.lines(journey))


def markdown(
    found: Sequence[Explained],
    heading: str,
    remarks: Iterable[str],
    not_asked: Sequence[str] = (),
    title: str = "Not asked:",
) -> str:
    """Return a comment for a pull request: a row for each cause, then the journeys and the other probes, folded.

    Journeys and probes are cut to the length that GitHub accepts in a comment; the number of omitted ones is stated.
    """
    head = [f"### {plain(heading)}", ""]
    if found:
        head += ["| what | witness | before | now |", "| --- | --- | --- | --- |"]
    head += [_row(one) for one in found]
    head += ["", *([title, ""] if found else []), *(f"- {code(one)}" for one in not_asked)] if not_asked else []
    several = [change for one in found for change in one.cause.changes[1:]]
    others = "probes" if all(change.packets is None for change in several) else "regions"
    folded = [_folded(one) for one in found if one.old is not None or one.new is not None]
    ways = _fitting(folded, "ways", _MOST - len("\n".join(head)))
    if several:
        listed = [f"- {change.kind}: {code(change.probe)}" for change in several]
        fitting = _fitting(listed, others, _MOST - len("\n".join([*head, *ways])))
        ways += ["", f"<details><summary>the other {others}</summary>", "", *fitting, "", "</details>"]
    return "\n".join([*head, *ways, "", *map(plain, remarks), ""])


def _fitting(parts: Sequence[str], what: str, room: int) -> list[str]:
    """Return the parts that fit into `room` characters, and a sentence on those that are left out."""
    ends = list(accumulate(len(part) + 1 for part in parts))
    number = sum(end <= room for end in ends)
    left = len(parts) - number
    return [
        *parts[:number],
        *(["", f"{left} more {what} are left out: the comment would be too long."] if left else []),
    ]


def _row(one: Explained) -> str:
    cause = one.cause
    old, new = (
        f"{cell(plain(row.outcome))}{f'<br>{cell(code(found))}' if (found := decided(row, rule)) else ''}"
        for row, rule in zip((cause.witness.old, cause.witness.new), cause.parted, strict=True)
    )
    several = len(cause.changes) > 1 or cause.witness.packets is not None
    number = f" ({cause.size})" if several else ""
    return f"| **{cause.kind}**{number} | {cell(code(cause.witness.probe))} | {old} | {new} |"


def _folded(one: Explained) -> str:
    """Return the journeys of a witness, below their divergence."""
    probe = escape(one_line(one.cause.witness.probe), quote=False)
    told = ["", f"<details><summary>{one.cause.kind}: the ways of <code>{probe}</code></summary>", ""]
    for said in parting(one):
        head, _, sides = said.partition(": ")
        told += [f"{head}:", "", *(f"- {code(side)}" for side in sides.split(" | "))] if sides else [said]
        told.append("")
    ways = [line.plain.removeprefix("  ") for line in _whole(one)]
    return "\n".join([*told, *fenced(ways, "diff"), "</details>"])


def as_dict(change: Change) -> dict[str, Any]:
    """Return a dict for JSON output."""
    return {
        "kind": change.kind,
        "probe": change.probe,
        **({"packets": change.packets, "places": list(change.places)} if change.packets is not None else {}),
        "old": {"outcome": change.old.outcome, "by": list(change.old.by)},
        "new": {"outcome": change.new.outcome, "by": list(change.new.by)},
    }
