"""Proofs from the rules alone that no packet can reach a rule, match it or miss it.

A packet that reaches a rule has matched the jumps that lead there. It has missed the earlier rules that would have led
it away. If these conditions contradict each other, no packet can reach the rule. Without a proof nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testbed.rules.clauses import Clause, target_of
from testbed.rules.implied import asked, contradicts, follows, opposite

# Targets with a verdict, which end the chain for a packet; other targets are unknown (net/netfilter/xt_*.c)
_DECIDE = {
    *("ACCEPT", "DROP", "RETURN", "REJECT", "QUEUE", "NFQUEUE"),
    *("DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"),
}


@dataclass(frozen=True, slots=True)
class LimitedRule:
    """A rule under examination; `spec` is the text after `-A CHAIN `."""

    table: str
    chain: str
    spec: str

    @property
    def text(self) -> str:
        return f"-A {self.chain} {self.spec}".rstrip()


class Limits:
    """Proofs about a rule set in iptables' syntax.

    `rules` are in the order of each chain. `chains` are all chains, by table and name, `bases` the base chains.
    """

    def __init__(
        self, rules: Iterable[LimitedRule], chains: Iterable[tuple[str, str]], bases: Iterable[tuple[str, str]]
    ) -> None:
        self._bases = set(bases)
        self._rules: dict[tuple[str, str], list[LimitedRule]] = {chain: [] for chain in chains}
        for rule in rules:
            self._rules[rule.table, rule.chain].append(rule)

    def reached(self, table: str, chain: str, number: int) -> str:
        """Return why no packet can reach a rule (by its number, from 1), or ''."""
        return self._barred(table, chain, number, ())

    def entered(self, table: str, chain: str) -> str:
        """Return why no packet can enter a chain, or ''."""
        return self._barred(table, chain, 1, ())

    def decided_by(self, table: str, chain: str) -> str:
        """Return why the policy of a base chain can never decide, or ''; a return from it leads to the policy."""
        for rule in self._rules[table, chain]:
            target = target_of(rule.spec)
            returns = target is not None and (target.name == "RETURN" or target.verb == "goto")
            if returns:
                return ""
            if not asked(rule.spec, rule.table) and self._decides(rule):
                return f"`{rule.text}` stands before it"
        return ""

    def matched(self, table: str, chain: str, number: int) -> str:
        """Return why no packet that reaches a rule can match it, or ''."""
        return self._barred(table, chain, number, self._clauses(table, chain, number))

    def missed(self, table: str, chain: str, number: int) -> str:
        """Return why no packet that reaches a rule can miss it, or ''."""
        own = self._clauses(table, chain, number)
        if not own:
            return "it asks nothing of a packet"
        barred = [self._barred(table, chain, number, (opposite(clause),)) for clause in own]
        return barred[0] if all(barred) else ""

    def alone(self, table: str, chain: str, number: int, text: str) -> str:
        """Return why a clause can never be the only reason for which a packet misses the rule, or ''."""
        own = self._clauses(table, chain, number)
        (alone,) = [clause for clause in own if clause.text == text][:1]
        return self._barred(table, chain, number, [opposite(one) if one is alone else one for one in own])

    def _clauses(self, table: str, chain: str, number: int) -> tuple[Clause, ...]:
        return asked(self._rules[table, chain][number - 1].spec, table)

    def _barred(self, table: str, chain: str, number: int, met: Sequence[Clause]) -> str:
        """Return why no packet that matches these clauses reaches a rule, or ''."""
        for place, one in enumerate(met):
            for other in met[:place]:
                if contradicts(one, other):
                    return f"{_words(other)} and {_words(one)} cannot both hold"
        for before in self._rules[table, chain][: number - 1]:
            if self._decides(before) and all(follows(clause, met) for clause in asked(before.spec, table)):
                return f"`{before.text}` stands before it"
        if (table, chain) in self._bases:
            return ""
        reason = ""
        for caller, place in self._callers(table, chain):
            found = self._barred(table, caller.chain, place, [*asked(caller.spec, caller.table), *met])
            if not found:
                return ""
            reason = reason or self._through(caller, met, found)
        return reason or f"no rule leads to {chain}"

    def _through(self, caller: LimitedRule, met: Sequence[Clause], found: str) -> str:
        """Return the reason in words: the jump itself contradicts the clauses, or a rule further up does."""
        for clause in asked(caller.spec, caller.table):
            if any(contradicts(clause, other) for other in met):
                return f"who comes here has met {_words(clause)} in `{caller.text}`"
        return found

    def _callers(self, table: str, chain: str) -> Iterator[tuple[LimitedRule, int]]:
        for (of_table, _), rules in self._rules.items():
            for number, rule in enumerate(rules, start=1):
                target = target_of(rule.spec)
                if of_table == table and target is not None and target.name == chain:
                    yield rule, number

    def _decides(self, rule: LimitedRule) -> bool:
        """Return whether a packet that matches a rule is not compared with the next one."""
        target = target_of(rule.spec)
        if target is None:
            return False
        if (rule.table, target.name) in self._rules:
            return target.verb == "goto" or self._never_returns(rule.table, target.name)
        return target.name in _DECIDE

    def _never_returns(self, table: str, chain: str) -> bool:
        """Return whether every packet that enters a chain gets a verdict in it."""
        for rule in self._rules[table, chain]:
            target = target_of(rule.spec)
            if target is not None and (target.name == "RETURN" or target.verb == "goto"):
                return False
            if not asked(rule.spec, rule.table) and self._decides(rule):
                return True
        return False


def _words(clause: Clause) -> str:
    """Return a clause in the words of its rule; a clause that is assumed not to hold is negated."""
    plain = clause.text.removeprefix("! ")
    return f"`! {plain}`" if clause.negated else f"`{plain}`"
