"""A packet's journey as text: hook by hook, chain by chain, rule by rule, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.observe.journey import (
    DELIVERED,
    LOCAL_INPUT,
    ChainTraversal,
    HookTraversal,
    Journey,
    NodeTraversal,
    RuleEvaluation,
    expected_way,
)
from testbed.observe.verdict import ChainEnd
from testbed.report.terminal import Text
from testbed.rules.loaded import copies

MATCHED, FAILED, NOT_REACHED, PARTS = "✓", "✗", "·", "≠"
_STEP = "  "


def lines(journey: Journey) -> Iterator[Text]:
    """Yield the whole journey, line by line; the end and its cause last."""
    sent = journey.sent
    yield Text.assemble(
        (sent.kind, "bold"), f"  {sent.from_} > {sent.to}", (f"  {sent.length} bytes, from {journey.origin}", "dim")
    )
    for passed in journey.passes:
        yield from _node(passed)
    if journey.connection is not None:
        yield Text.assemble(("connection  ", "dim"), (str(journey.connection), "magenta"))
    yield from _copies(journey)
    yield end(journey)


def _copies(journey: Journey) -> Iterator[Text]:
    """Yield the copies that rules sent elsewhere, each with its own journey and end."""
    made_by = [f"{table} {rule.text}" for table, rule in journey.matched if copies(rule)]
    for number, copy in enumerate(journey.copies):
        rule = f"  by {made_by[number]}" if number < len(made_by) else ""
        yield Text.assemble(("copy", "bold"), f"  {copy.sent.from_} > {copy.sent.to}", (rule, "dim"))
        for passed in copy.passes:
            yield from (Text.assemble(_STEP, line) for line in _node(passed))
        yield Text.assemble(_STEP, f"→ the copy was {copy.end}")


def end(journey: Journey) -> Text:
    """Return one line on where the packet was delivered, or what dropped it."""
    good = journey.end.kind in (DELIVERED, LOCAL_INPUT)
    arrived = f" as {journey.arrived.from_} > {journey.arrived.to}" if journey.arrived is not None else ""
    came_back = "" if not journey.answers or journey.end.why else f"; answered by {journey.answers[0]}"
    return Text.assemble(("→ ", "bold"), (f"{journey.end}{arrived}{came_back}", "bold green" if good else "bold red"))


def _node(passed: NodeTraversal) -> Iterator[Text]:
    routed = False
    yield Text(passed.node, style="bold cyan")
    if not passed.hooks:
        yield Text.assemble(_STEP, ("crossed its bridge as a frame: no rule was asked", "italic"))
    for hook in passed.hooks:
        if passed.routed and not routed and hook.hook not in ("INGRESS", "PREROUTING", "OUTPUT"):
            routed = True
            yield Text.assemble(_STEP, (passed.routed, "italic"))
        yield from _hook(hook)


def _hook(hook: HookTraversal) -> Iterator[Text]:
    places = " ".join(f"{way} {device}" for way, device in (("in by", hook.entered), ("out by", hook.left)) if device)
    state = f"  {hook.state}{', a reply' if hook.reply else ''}" if hook.state else ""
    header = f"{hook.header.from_} > {hook.header.to}"
    yield Text.assemble(_STEP, (hook.hook, "bold"), f"  {header}", (f"  {places}", "dim"), (state, "magenta"))
    for chain in hook.chains:
        yield from _chain(chain, 2)
    for name in hook.skipped_nat_chains:
        known = "the connection is known" if hook.state in ("ESTABLISHED", "RELATED") else "it belongs to no connection"
        yield Text.assemble(_STEP * 2, (f"{name} is passed over: {known}", "dim italic"))
    for change in hook.translations:
        yield Text.assemble(_STEP * 2, (f"⇒ {change}", "bold yellow"))


def _chain(chain: ChainTraversal, depth: int) -> Iterator[Text]:
    name = f"{chain.table} {chain.chain}" if depth == 2 else chain.chain
    yield Text.assemble(_STEP * depth, (name, "cyan"))
    for asked in chain.asked:
        yield _rule(asked, depth + 1)
        if asked.into is not None:
            yield from _chain(asked.into, depth + 2)
    indent = _STEP * (depth + 1)
    if chain.not_reached:
        plural = "s" if len(chain.not_reached) > 1 else ""
        yield Text.assemble(indent, (f"{NOT_REACHED} {len(chain.not_reached)} more rule{plural} not reached", "dim"))
    if chain.policy or chain.end is ChainEnd.END_OF_CHAIN:
        yield Text.assemble(indent, (chain.end, "bold red" if chain.dropped_by_policy else "dim"))


def _rule(asked: RuleEvaluation, depth: int) -> Text:
    """Return the rule with its number; the failed clause of a rule that did not match is underlined."""
    mark = (MATCHED, "bold green") if asked.matched else (FAILED, "red")
    said = Text(asked.rule.spec, style="" if asked.matched else "dim")
    if asked.failed is not None:
        said.stylize("underline red not dim", asked.failed.start, asked.failed.end)
    line = Text.assemble(_STEP * depth, mark, (f" {asked.number} ", "dim"), said)
    if asked.failed is not None:
        line.append(f"   {asked.failed.text}: no", style="red dim")
    elif not asked.matched:
        line.append("   which clause failed cannot be told", style="red dim")
    return line


def parting(journey: Journey, expectation: str) -> list[str]:
    """Return an expected journey beside the actual one, a mark at the divergence, and why the expected rule failed."""
    expected, gone = expected_way(expectation), journey.way
    apart = _first_difference(expected, gone)
    width = max(map(len, ("expected", *expected)))
    rows = [f"  {'expected'.ljust(width)}  actual"]
    for number in range(max(len(expected), len(gone))):
        left, right = (side[number] if number < len(side) else "" for side in (expected, gone))
        rows.append(f"{PARTS if number == apart else ' '} {left.ljust(width)}  {right}".rstrip())
    return [
        f"the {journey.sent.kind} of {journey.origin} did not go the expected way: it parts at line {apart + 1}",
        *rows,
        str(journey.end),
        *_asked_of(journey, expected[apart] if apart < len(expected) else ""),
    ]


def _first_difference(expected: Sequence[str], gone: Sequence[str]) -> int:
    pairs = zip(expected, gone, strict=False)
    return next((n for n, (left, right) in enumerate(pairs) if left != right), min(len(expected), len(gone)))


def _asked_of(journey: Journey, line: str) -> Iterator[str]:
    """Yield why a rule that was expected to match did not."""
    for _, asked in journey.asked:
        if asked.rule.text == line and not asked.matched:
            clause = f"{asked.failed.text} did not hold" if asked.failed is not None else "it did not match"
            yield f"{line}: {clause}"
