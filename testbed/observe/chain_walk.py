"""Reconstruct every rule evaluation of a hook from the trace, which names only the rules that matched.

Every rule between two matched rules was evaluated and did not match. The rules themselves say where a jump, a return or
a chain's end leads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from testbed.errors import KernelRefused
from testbed.kernel.trace_events import POLICY, TraceEvent
from testbed.observe.journey import ChainTraversal, RuleEvaluation
from testbed.observe.verdict import ChainEnd
from testbed.rules.clauses import target_of
from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.ruleset import Rule

_ENDS = (ChainEnd.ACCEPT, ChainEnd.DROP, ChainEnd.QUEUE, ChainEnd.STOLEN)
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "RETURN": "return", "NFQUEUE": "queue", "QUEUE": "queue"}
_TAKES = "SYNPROXY"  # answers a SYN itself; drops, takes or passes other packets


class RuleMatcher(Protocol):
    """Compares rules with the packet as a base chain saw it."""

    def missed(self, number: int, rule: Rule) -> RuleEvaluation:
        """Return the evaluation of a rule that the kernel did not match, with the reason if it is known."""

    def matched(self, rule: Rule) -> None:
        """Check that a rule that the kernel matched can match; both methods raise Disagreement for a contradiction."""


@dataclass(frozen=True, slots=True)
class ChainWalk:
    """A walk through the chains of one hook; `came_out` says whether the packet left the hook."""

    book: LoadedRuleset
    events: deque[TraceEvent]
    came_out: bool
    judge: Callable[[TraceEvent, LoadedChain], RuleMatcher]

    def chains(self) -> tuple[ChainTraversal, ...]:
        """Return every base chain that the packet traversed, in order."""
        passed: list[ChainTraversal] = []
        priority: int | None = None
        while self.events:
            base = self.book.chain(self.events[0].table, self.events[0].chain)
            if base.base is None:
                raise KernelRefused(f"the trace is not whole: it begins in {base.name}, which no hook begins with.")
            if priority is not None and base.base.priority <= priority and any(base.name == p.chain for p in passed):
                break  # the same hook of another packet with equal headers (demultiplexer.py)
            priority = base.base.priority
            passed.append(self._chain(base, self.judge(self.events[0], base)))
            if passed[-1].end in (ChainEnd.DROP, ChainEnd.STOLEN):
                break
        return tuple(passed)

    def _chain(self, chain: LoadedChain, judge: RuleMatcher) -> ChainTraversal:
        asked: list[RuleEvaluation] = []

        def ended(end: ChainEnd, reached: int) -> ChainTraversal:
            return ChainTraversal(chain.table, chain.name, tuple(asked), end, chain.rules[reached:])

        def missed(until: int) -> None:
            start = asked[-1].number if asked else 0
            rules = enumerate(chain.rules[start:until], start + 1)
            asked.extend(judge.missed(number, rule) for number, rule in rules)

        while True:
            event = self._next(chain)
            position = chain.position(event.rule) if event is not None and event.kind != POLICY else None
            if event is None or position is None:
                if event is not None and chain.base is not None and self._next_is_policy(chain):
                    continue
                missed(len(chain.rules))
                return ended(_end_of(chain), len(chain.rules))
            missed(position)
            rule = chain.rules[position]
            judge.matched(rule)
            verdict = event.verdict or self._of_target(event, rule)
            kind, _, target = verdict.partition(" ")
            if kind in ("jump", "goto"):
                into = self._chain(self.book.chain(event.table, target), judge)
                asked.append(RuleEvaluation(position + 1, rule, True, verdict, into=into))
                if into.end in _ENDS:
                    return ended(into.end, position + 1)
                if kind == "jump":
                    continue
            else:
                asked.append(RuleEvaluation(position + 1, rule, True, verdict))
            if kind in _ENDS:
                return ended(ChainEnd(kind), position + 1)
            if kind in (ChainEnd.RETURN, "goto"):
                return self._returned(chain, ended(ChainEnd.RETURN, position + 1))

    def _next(self, chain: LoadedChain) -> TraceEvent | None:
        """Return the next event if it belongs to this chain; not all traces report the end of a user-defined chain."""
        if self._next_is_of(chain):
            return self.events.popleft()
        if chain.base is not None:
            raise KernelRefused(f"the trace is not whole: {chain.table} {chain.name} did not end.")
        return None

    def _next_is_policy(self, chain: LoadedChain) -> bool:
        """Return whether the next event is the policy; nf_tables reports the end of a base chain before its policy."""
        return self._next_is_of(chain) and self.events[0].kind == POLICY

    def _returned(self, chain: LoadedChain, passed: ChainTraversal) -> ChainTraversal:
        """Return the traversal after a return; a return from a base chain leads to its policy."""
        if chain.base is None:
            return passed
        if self._next_is_policy(chain) or self._next_is_end(chain):
            self.events.popleft()
        return replace(passed, end=_end_of(chain))

    def _next_is_end(self, chain: LoadedChain) -> bool:
        return self._next_is_of(chain) and chain.position(self.events[0].rule) is None

    def _next_is_of(self, chain: LoadedChain) -> bool:
        return bool(self.events) and (self.events[0].table, self.events[0].chain) == (chain.traced_as, chain.name)

    def _of_target(self, event: TraceEvent, rule: Rule) -> str:
        """Return the verdict of an iptables-legacy rule, from its target or from the next event of its table."""
        target = target_of(rule.spec)
        if target is None:
            return "continue"
        if target.name in _VERDICTS:
            return _VERDICTS[target.name]
        if self.book.has(event.table, target.name):
            return f"{target.verb} {target.name}"
        if self.events and self.events[0].table == event.table:
            return "continue"
        if target.name == _TAKES and not self.came_out and not self.events:
            return "stolen"
        return "accept" if self.came_out or self.events else "drop"


def _end_of(chain: LoadedChain) -> ChainEnd:
    """Return how a packet that no rule decided leaves a chain."""
    return ChainEnd.of_policy(chain.base.policy) if chain.base is not None else ChainEnd.END_OF_CHAIN
