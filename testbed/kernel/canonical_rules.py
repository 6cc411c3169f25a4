"""Rules in the kernel's own words, read once a process and cached, and their counters under these names.

The same text loaded into the same kernel is always listed the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from testbed.errors import KernelRefused
from testbed.kernel.counts import Counts
from testbed.kernel.loading import Backend
from testbed.kernel.namespace import Namespace
from testbed.rules import AnyRuleset, Counters
from testbed.rules.reading import CounterLine, CounterReading, lines
from testbed.rules.ruleset import Chain, Ruleset, Table

_KEPT = 256
_HELD: dict[tuple[str, AnyRuleset, Hashable], Ruleset] = {}
_ELSEWHERE: dict[tuple[str, AnyRuleset], Ruleset] = {}


def words(backend: Backend[Any], namespace: Namespace, loaded: AnyRuleset, counts: Counts) -> Ruleset:
    """Return the kernel's words for a namespace's current rules; `loaded` is the rule set that was loaded last."""
    key = backend.name, loaded, counts.identity
    if key not in _HELD:
        _forget(_HELD)
        _HELD[key] = backend.words(namespace, counts)
    return _HELD[key]


def words_of(backend: Backend[Any], ruleset: AnyRuleset) -> Ruleset:
    """Return the kernel's words for a rule set that no namespace holds; raises what loading raises."""
    key = backend.name, ruleset
    if key not in _ELSEWHERE:
        _forget(_ELSEWHERE)
        elsewhere = Namespace.create("elsewhere")
        try:
            backend.replace(elsewhere, ruleset)
            with elsewhere.run(backend.open_counters) as counters:
                _ELSEWHERE[key] = backend.words(elsewhere, counters.read())
        finally:
            elsewhere.close()
    return _ELSEWHERE[key]


@dataclass(frozen=True, slots=True)
class CanonicalRules:
    """The kernel's words for the rules of a reading, by chain; `identity` is that of the reading."""

    identity: Hashable
    ruleset: Ruleset
    chains: tuple[_ChainLines, ...]

    @classmethod
    def of(cls, backend: Backend[Any], namespace: Namespace, loaded: AnyRuleset, counts: Counts) -> CanonicalRules:
        """Return the kernel's words for a namespace's current rules; `loaded` is the rule set that was loaded last.

        Tables are in the order in which they were loaded; each iptables backend lists them in its own order.
        """
        ruleset = words(backend, namespace, loaded, counts)
        iptables = loaded.as_iptables
        names = [table.name for table in iptables.tables] if iptables is not None else []
        order = {name: number for number, name in enumerate(names)}
        tables = sorted(ruleset.tables, key=lambda table: order.get(table.name, len(order)))
        return cls(
            counts.identity, ruleset, tuple(_ChainLines.of(table, chain) for table in tables for chain in table.chains)
        )

    def reading(self, counts: Counts) -> CounterReading:
        """Map the counters to their rules; both lists have the rules of a chain in the same order."""
        found: dict[CounterLine, Counters] = {}
        for chain in self.chains:
            counted = counts.chains.get(chain.place)
            if counted is None and not chain.rules:
                continue  # iptables-nft-save lists all built-in chains of a table, including those that do not exist
            if counted is None or len(chain.rules) != len(counted.rules):
                raise KernelRefused("the rules changed while their counters were read.", "Read them again.")
            if counted.policy is not None:
                found[chain.policy] = counted.policy
            found.update(zip(chain.rules, counted.rules, strict=True))
        return CounterReading(found)


@dataclass(frozen=True, slots=True)
class _ChainLines:
    """A chain as the lines of a reading."""

    place: tuple[str, str]
    policy: CounterLine
    rules: tuple[CounterLine, ...]

    @classmethod
    def of(cls, table: Table, chain: Chain) -> _ChainLines:
        texts = (rule.text for rule in table.rules_of(chain.name))
        policy = CounterLine(table.name, f":{chain.name} {chain.policy}")
        return cls((table.name, chain.name), policy, tuple(lines((table.name, text) for text in texts)))


def _forget(kept: dict[Any, Any]) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
