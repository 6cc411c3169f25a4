"""A rule to edit, with its context: its clauses, its target, the hooks that lead to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from testbed.behaviour.mutants.edits import Place
from testbed.rules import clauses
from testbed.rules.clauses import Clause, Target
from testbed.rules.ruleset import BUILT_IN_CHAINS, IPV6, Rule, Ruleset, Table


@dataclass(frozen=True)
class Wiring:
    """The jumps and gotos between the chains of a table."""

    table: Table

    @cached_property
    def chains(self) -> frozenset[str]:
        return frozenset(chain.name for chain in self.table.chains) | {rule.chain for rule in self.table.rules}

    @cached_property
    def jumps(self) -> dict[str, frozenset[str]]:
        """Return the chains that each chain's rules jump or go to."""
        found: dict[str, set[str]] = {chain: set() for chain in self.chains}
        for rule in self.table.rules:
            target = clauses.target_of(rule.spec)
            if target is not None and target.name in self.chains:
                found[rule.chain].add(target.name)
        return {chain: frozenset(names) for chain, names in found.items()}

    @cached_property
    def _hooks(self) -> dict[str, frozenset[str]]:
        begun = {name: self.below(name) for name in BUILT_IN_CHAINS if name in self.chains}
        return {chain: frozenset(h for h, names in begun.items() if chain in names) for chain in self.chains}

    def hooks(self, chain: str) -> frozenset[str]:
        """Return the built-in chains from which a packet can reach a chain; the chain itself if it is built in."""
        return self._hooks.get(chain, frozenset())

    def below(self, chain: str) -> frozenset[str]:
        """Return a chain and all chains that a packet can reach from it."""
        found, waiting = set(), [chain]
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += self.jumps.get(name, ())
        return frozenset(found)


@dataclass(frozen=True)
class Site:
    """A rule in its rule set."""

    rules: Ruleset
    wiring: Wiring
    place: Place
    following: Rule | None  # the next rule of its chain
    first: bool  # of its chain

    @property
    def rule(self) -> Rule:
        return self.place.rule

    @property
    def spec(self) -> str:
        return self.rule.spec

    @property
    def chain(self) -> str:
        return self.rule.chain

    @property
    def table(self) -> str:
        """Return the table's name without the prefix of IPv6."""
        return self.place.table.removeprefix(IPV6)

    @property
    def of_ipv6(self) -> bool:
        return self.place.table.startswith(IPV6)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        return clauses.clauses(self.spec)

    @cached_property
    def target(self) -> Target | None:
        return clauses.target_of(self.spec)

    def clause(self, *options: str) -> Clause | None:
        """Return the first clause with one of these options."""
        return next((clause for clause in self.clauses if clause.option in options), None)

    def others(self, option: str) -> Iterator[str]:
        """Return the values that any rule of the rule set has for an option, each once."""
        found = (c for _, rule in self.rules.rules for c in clauses.clauses(rule.spec) if c.option == option)
        return iter(dict.fromkeys(value for clause in found for value in clause.values))


def sites(rules: Ruleset) -> Iterator[Site]:
    """Yield every rule of a rule set, in its order."""
    for table in rules.tables:
        wiring = Wiring(table)
        of_chain = {chain: table.rules_of(chain) for chain in wiring.chains}
        passed: Counter[str] = Counter()
        equal: Counter[str] = Counter()
        for rule in table.rules:
            number = passed[rule.chain]
            following = of_chain[rule.chain][number + 1 : number + 2]
            place = Place(table.name, rule, equal[rule.text])
            yield Site(rules, wiring, place, following[0] if following else None, not number)
            passed[rule.chain] += 1
            equal[rule.text] += 1
