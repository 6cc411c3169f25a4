"""A packet's traversal of a hook, summarised: the deciding rules, and the rule or policy that dropped it.

Packets on the same path produce the same events. So the rules are walked once for each path. The reasons why rules did
not match are left out (see assembly.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from testbed.kernel.trace_events import TraceEvent
from testbed.observe.chain_walk import ChainWalk
from testbed.observe.crosscheck import chain_passes, lengthened, lines
from testbed.observe.demultiplexer import Hook
from testbed.observe.journey import ChainTraversal, RuleEvaluation
from testbed.observe.journey_end import held_by
from testbed.observe.verdict import ChainEnd
from testbed.rules.changed_chains import ChainName
from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.reading import CounterLine
from testbed.rules.ruleset import Rule

_FINAL = (ChainEnd.ACCEPT, ChainEnd.DROP, ChainEnd.QUEUE, ChainEnd.STOLEN)
Met = frozenset[tuple[str, str, int | None]]


@dataclass(frozen=True, slots=True)
class HookSummary:
    """A summary of a hook.

    `deciding` are the rules and policies with which chains ended. `dropped_by` is the one that dropped the packet,
    empty if none did. `counted` are the lines that counted the packet. `longer` are those of them behind a rule that
    may have lengthened it. `entered` are the chains it traversed, each with its table. `met` are the rules that it
    matched, by table, chain and number, and the policies that decided (None).
    """

    deciding: tuple[str, ...]
    dropped_by: str
    counted: tuple[CounterLine, ...]
    longer: tuple[CounterLine, ...]
    entered: frozenset[ChainName]
    met: Met


class HookReader:
    """Summarises the hooks of one node's packets; `book` is the node's rule set."""

    def __init__(self, book: LoadedRuleset) -> None:
        self._book = book
        self._known: dict[tuple[object, ...], tuple[HookSummary, int]] = {}

    def read(self, hook: Hook) -> HookSummary:
        """Return the summary of a hook and consume its events."""
        events, came_out = hook.events, hook.after is not None
        key = (came_out, *((event.table, event.chain, event.kind, event.rule, event.verdict) for event in events))
        if key not in self._known:
            left = events.copy()
            chains = ChainWalk(self._book, left, came_out, _unjudged).chains()
            self._known[key] = _brief(chains, came_out), len(events) - len(left)
        brief, taken = self._known[key]
        for _ in islice(range(len(events)), taken):
            events.popleft()
        return brief


def deciding(chains: tuple[ChainTraversal, ...]) -> Iterator[str]:
    """Yield the rules with which chains ended, and the policies that dropped: the reasons for the packet's outcome."""
    for chain in chains:
        if chain.dropped_by_policy or chain.end in _FINAL:
            yield chain.decided_by.saved


def _brief(chains: tuple[ChainTraversal, ...], came_out: bool) -> HookSummary:
    held = held_by(chains, ChainEnd.QUEUE) if not came_out else None
    dropping = next((chain.decided_by for chain in chains if chain.end.drops), held)
    dropped_by = dropping.saved if dropping is not None else ""
    counted = tuple(line for chain in chains for line in lines(chain))
    entered = frozenset((chain.table, chain.chain) for chain in chain_passes(chains))
    return HookSummary(
        tuple(deciding(chains)),
        dropped_by,
        counted,
        tuple(lengthened(chains)),
        entered,
        met(chains),
    )


def met(chains: Iterable[ChainTraversal]) -> Met:
    """Return the rules that a packet matched, and the policies that decided about it."""
    passed = tuple(chains)
    rules = ((of.table, of.chain, asked.number) for chain in passed for of, asked in chain.every if asked.matched)
    policies = ((chain.table, chain.chain, None) for chain in passed if chain.policy)
    return frozenset((*rules, *policies))


class _Unjudged:
    """A matcher that does not look for reasons."""

    def missed(self, number: int, rule: Rule) -> RuleEvaluation:
        return RuleEvaluation(number, rule, matched=False)

    def matched(self, _: Rule) -> None:
        return None


def _unjudged(_: TraceEvent, __: LoadedChain) -> _Unjudged:
    return _Unjudged()
