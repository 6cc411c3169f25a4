"""The result of an exposure spec, for a terminal, a pull request's comment and programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from testbed.exposure.cells import ExposureCell
from testbed.exposure.spec.check import Violation, ViolationKind
from testbed.exposure.spec.proposals import ClosingRules
from testbed.exposure.spec.tried import ShownViolation, SpecReport
from testbed.report import journey as report
from testbed.report.exposure import rule
from testbed.report.exposure_files import header_as_dict
from testbed.report.markdown import code, fenced, plain
from testbed.report.packet_terms import in_words
from testbed.report.terminal import Text
from testbed.rules.syntax import NFTABLES

_CLOSED = (ViolationKind.NOT_REACHABLE, ViolationKind.PARTLY)


def sentence(violation: Violation) -> str:
    """Return what breaks the spec: `admin:9000/tcp from direct is open, and nothing allows it: ...`."""
    said = f"{violation.what} from {violation.who} {violation.kind.value}"
    if violation.entry is not None:
        said += f" (line {violation.entry.entry.line})"
    cell = violation.cell
    if cell is None:
        return f"{said}: no packet from there is sent to it."
    version = f"IPv{cell.version}"
    terms = f", {in_words(violation.terms)}" if violation.terms else ""
    if violation.kind in _CLOSED and not cell.state.open:
        by = rule(cell.by) if cell.by is not None else cell.why.value or "no address that leads there"
        return f"{said}: {cell.state.value} by {by}, {version}."
    return f"{said}: {version}{terms}, by {rule(cell.by)}."


def witness(cell: ExposureCell) -> str:
    """Return the packet that shows it."""
    found = cell.witness
    if found is None:
        return ""
    header = found.header
    node = found.sender.node if found.sender is not None else "no node of the bed"
    to = f"[{header.destination}]" if header.destination.version == 6 else str(header.destination)
    return f"{node} ({header.source}) sends to {to}:{header.second}"


def lines(found: SpecReport, ways: bool) -> Iterator[Text]:
    """Yield the result of one rule set: the violations with witness and proposal, then what is not judged."""
    result = found.result
    number = len(result.violations)
    head = (
        f"{result.source}: {number} violation{'s' * (number != 1)}" if number else f"{result.source}: as the spec says"
    )
    yield Text(f"{head}; {len(result.entries)} entries.", style="bold red" if number else "bold green")
    for one in found.shown:
        yield from _violation(one, ways, found.stand.rules.syntax is NFTABLES)
    yield from (Text(f"Not judged: {text}.", style="bold yellow") for text in result.unjudged)


def _violation(one: ShownViolation, ways: bool, native: bool) -> Iterator[Text]:
    yield Text(f"- {sentence(one.violation)}")
    if one.violation.cell is not None and (shown := witness(one.violation.cell)):
        yield Text.assemble("  ", (f"witness: {shown}", "cyan"))
    if one.journey is not None:
        journey = list(report.lines(one.journey))
        yield from (Text.assemble("    ", line) for line in (journey if ways else journey[-1:]))
    if one.proposal is not None:
        yield from (Text.assemble("  ", line) for line in _proposed(one.proposal, native))


def _proposed(proposal: ClosingRules, native: bool) -> Iterator[str]:
    """Yield what closes a violation, as it is typed."""
    if native:
        yield "this table closes it, and nothing that the spec allows:"
        yield from (f"  {line.expandtabs(2)}" for line in proposal.own_table.splitlines())
        return
    place = f"in {proposal.chain}, before {'RETURN' if proposal.chain == 'DOCKER-USER' else 'its first rule'}"
    yield f"this rule closes it, and nothing that the spec allows ({place}):"
    yield from (f"  {command(proposal, rule_)}" for rule_ in reversed(proposal.rules))


def command(proposal: ClosingRules, rule_: str) -> str:
    program = "ip6tables" if proposal.table.startswith("ip6 ") else "iptables"
    table = proposal.table.removeprefix("ip6 ")
    return f"{program}{'' if table == 'filter' else f' -t {table}'} -I {proposal.chain} {rule_}"


def markdown(found: Sequence[SpecReport]) -> str:
    """Return all results as Markdown."""
    parts: list[str] = []
    for one in found:
        number = len(one.result.violations)
        parts += [f"### {plain(one.result.source)}: {number or 'no'} violation{'s' * (number != 1)}", ""]
        for shown in one.shown:
            parts.append(f"- {code(sentence(shown.violation))}")
            if shown.violation.cell is not None and (said := witness(shown.violation.cell)):
                parts.append(f"  - witness: {code(said)}")
            if shown.proposal is not None:
                native = one.stand.rules.syntax is NFTABLES
                parts += ["", *fenced(_proposed(shown.proposal, native), "text"), ""]
        parts += [*(f"- not judged: {code(text)}" for text in one.result.unjudged), ""]
    return "\n".join(parts)


def as_dict(found: SpecReport) -> dict[str, Any]:
    """Return a result for JSON output."""
    return {
        "source": found.result.source,
        "violations": [_as_dict(one, found.stand.rules.syntax is NFTABLES) for one in found.shown],
        "not_judged": list(found.result.unjudged),
    }


def _as_dict(one: ShownViolation, native: bool) -> dict[str, Any]:
    violation, cell = one.violation, one.violation.cell
    header = cell.witness.header if cell is not None and cell.witness is not None else None
    return {
        "kind": violation.kind.name.lower().replace("_", " "),
        "from": violation.who,
        "to": violation.what,
        "line": violation.entry.entry.line if violation.entry is not None else None,
        "version": cell.version if cell is not None else None,
        "by": rule(cell.by) if cell is not None and cell.by is not None else None,
        "sentence": sentence(violation),
        "witness": header_as_dict(header) if header is not None else None,
        "journey": one.journey.as_dict() if one.journey is not None else None,
        "proposal": list(_proposed(one.proposal, native))[1:] if one.proposal is not None else None,
    }
