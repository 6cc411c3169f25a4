"""Two journeys side by side: hook beside hook, and in each the same rule on the same line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Protocol, TypeVar

from testbed.behaviour.divergence import JourneyStep
from testbed.observe.journey import DELIVERED, LOCAL_INPUT, ChainTraversal, HookTraversal, Journey, RuleEvaluation

MATCHED, FAILED, NOTHING = "matched", "failed", ""


class _Keyed(Protocol):
    @property
    def key(self) -> Hashable: ...


K = TypeVar("K", bound=_Keyed)


@dataclass(frozen=True, slots=True)
class AlignedLine:
    """A line of a side: a chain's name, a rule, or another remark.

    `kind` is `chain`, `rule`, `policy`, `change`, `said` or `end`. `outcome` tells whether a rule matched, or the
    packet was delivered. `words` are the text before, in and after the failed clause. `parts`: the journeys diverge
    here.
    """

    kind: str
    depth: int
    words: tuple[str, str, str]
    table: str = ""
    chain: str = ""
    number: int = 0
    outcome: str = NOTHING
    parts: bool = False

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def key(self) -> Hashable:
        """Return a key that is equal for corresponding lines of both sides."""
        return self.kind, self.depth, self.table, self.chain, self.text if self.kind in ("chain", "rule") else ""


@dataclass(frozen=True, slots=True)
class Block:
    """A place on one side's journey: `name` is `sent`, `NODE HOOK` or `end`, `says` describes the packet there."""

    name: str
    says: str
    lines: tuple[AlignedLine, ...]

    @property
    def key(self) -> Hashable:
        return self.name


@dataclass(frozen=True, slots=True)
class Pair:
    """The same place on both sides, None on a side whose journey does not reach it; `rows` are their lines."""

    name: str
    sides: tuple[Block | None, Block | None]
    rows: tuple[tuple[AlignedLine | None, AlignedLine | None], ...]

    @property
    def same(self) -> bool:
        """Return whether both sides are equal."""
        return self.sides[0] == self.sides[1]

    @property
    def parts(self) -> bool:
        return any(line is not None and line.parts for row in self.rows for line in row)


def aligned(old: Journey | None, new: Journey | None, apart: tuple[JourneyStep, JourneyStep] | None) -> list[Pair]:
    """Return both journeys by place, if there are both; `apart` are the diverging steps.

    A place where neither side evaluates a rule is left out.
    """
    marks = apart if apart is not None else (None, None)
    sides = [
        list(_blocks(journey, mark)) if journey is not None else []
        for journey, mark in zip((old, new), marks, strict=True)
    ]
    pairs = [Pair(_name(both), both, tuple(_rows(both))) for both in _beside(*sides)]
    return [pair for pair in pairs if pair.rows or not pair.same]


def _name(both: tuple[Block | None, Block | None]) -> str:
    return next(block.name for block in both if block is not None)


def _rows(both: tuple[Block | None, Block | None]) -> list[tuple[AlignedLine | None, AlignedLine | None]]:
    one, other = (block.lines if block is not None else () for block in both)
    return list(_beside(one, other))


def _beside(one: Sequence[K], other: Sequence[K]) -> Iterator[tuple[K | None, K | None]]:
    """Yield items with equal keys as pairs; replaced items beside their replacements."""
    matcher = SequenceMatcher(None, [item.key for item in one], [item.key for item in other], autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        for number in range(max(b - a, d - c)):
            yield (one[a + number] if a + number < b else None, other[c + number] if c + number < d else None)


def _blocks(journey: Journey, mark: JourneyStep | None) -> Iterator[Block]:
    for passed in journey.passes:
        if not passed.hooks:
            yield Block(passed.node, "crossed as a frame: no rule is asked", ())
        for hook in passed.hooks:
            place = f"{passed.node} {hook.hook}"
            here = mark if mark is not None and mark.place == place else None
            yield Block(place, _says(hook), tuple(_of_hook(hook, here)))
    good = MATCHED if journey.end.kind in (DELIVERED, LOCAL_INPUT) else FAILED
    ended = mark is not None and not mark.place
    seen = journey.arrived or journey.sent
    yield Block(
        "end",
        f"{seen.from_} → {seen.to}",
        (AlignedLine("end", 0, (str(journey.end), "", ""), outcome=good, parts=ended),),
    )


def _says(hook: HookTraversal) -> str:
    ways = [f"{way} {device}" for way, device in (("in by", hook.entered), ("out by", hook.left)) if device]
    state = [f"{hook.state}{', a reply' if hook.reply else ''}"] if hook.state else []
    return ", ".join([f"{hook.header.from_} → {hook.header.to}", *ways, *state])


def _of_hook(hook: HookTraversal, mark: JourneyStep | None) -> Iterator[AlignedLine]:
    for chain in hook.chains:
        yield from _of_chain(chain, 0, mark)
    yield from (AlignedLine("said", 0, (f"{name} is passed over", "", "")) for name in hook.skipped_nat_chains)
    other = mark is not None and not mark.is_rule and not mark.is_policy
    yield from (AlignedLine("change", 0, (change, "", ""), parts=other) for change in hook.translations)


def _of_chain(chain: ChainTraversal, depth: int, mark: JourneyStep | None) -> Iterator[AlignedLine]:
    name = f"{chain.table} {chain.chain}" if depth == 0 else chain.chain
    yield AlignedLine("chain", depth, (name, "", ""), chain.table, chain.chain)
    for asked in chain.asked:
        yield _rule(chain, asked, depth, mark)
        if asked.into is not None:
            yield from _of_chain(asked.into, depth + 1, mark)
    if chain.not_reached:
        number = len(chain.not_reached)
        yield AlignedLine(
            "said", depth, (f"{number} more rule{'s' * (number > 1)} not reached", "", ""), chain.table, chain.chain
        )
    if chain.policy:
        own = mark is not None and mark.is_policy and (mark.table, mark.chain) == (chain.table, chain.chain)
        outcome = FAILED if chain.dropped_by_policy else NOTHING
        yield AlignedLine("policy", depth, (chain.end, "", ""), chain.table, chain.chain, outcome=outcome, parts=own)


def _rule(chain: ChainTraversal, asked: RuleEvaluation, depth: int, mark: JourneyStep | None) -> AlignedLine:
    spec, failed = asked.rule.spec, asked.failed
    start, end = (failed.start, failed.end) if failed is not None else (len(spec), len(spec))
    return AlignedLine(
        "rule",
        depth,
        (spec[:start], spec[start:end], spec[end:]),
        chain.table,
        chain.chain,
        asked.number,
        MATCHED if asked.matched else FAILED,
        mark is not None and asked is mark.asked,
    )
