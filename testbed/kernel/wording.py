"""What the kernel calls rules, asked for once a process, and their counters under these names.

The same text loaded into the same kernel comes back the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from testbed.errors import KernelRefused
from testbed.kernel.counts import Counts
from testbed.kernel.loading import Backend
from testbed.kernel.namespace import Namespace
from testbed.rules import AnyRuleset, Counters
from testbed.rules.reading import CounterReading
from testbed.rules.ruleset import Ruleset

_KEPT = 256
_HELD: dict[tuple[str, AnyRuleset, Hashable], Ruleset] = {}
_ELSEWHERE: dict[tuple[str, AnyRuleset], Ruleset] = {}


def words(backend: Backend[Any], namespace: Namespace, loaded: AnyRuleset, counts: Counts) -> Ruleset:
    """The kernel's words for the rules that a namespace holds now, into which `loaded` was loaded last."""
    key = backend.name, loaded, counts.identity
    if key not in _HELD:
        _forget(_HELD)
        _HELD[key] = backend.words(namespace, counts)
    return _HELD[key]


def words_of(backend: Backend[Any], ruleset: AnyRuleset) -> Ruleset:
    """The kernel's words for a rule set that is loaded nowhere; raises what loading raises."""
    key = backend.name, ruleset
    if key not in _ELSEWHERE:
        _forget(_ELSEWHERE)
        elsewhere = Namespace.create("elsewhere")
        try:
            backend.load(elsewhere, ruleset)
            _ELSEWHERE[key] = backend.words(elsewhere, elsewhere.run(backend.open_counters)())
        finally:
            elsewhere.close()
    return _ELSEWHERE[key]


def reading(ruleset: Ruleset, counts: Counts, loaded: AnyRuleset) -> CounterReading:
    """Counters given their rules: both list the rules of a chain in the same order.

    Tables come in the order in which they were loaded; each of iptables' ways lists them in one of its own.
    """
    order = {table.name: number for number, table in enumerate(loaded.tables if isinstance(loaded, Ruleset) else ())}
    lines: list[tuple[str, str, Counters]] = []
    for table in sorted(ruleset.tables, key=lambda table: order.get(table.name, len(order))):
        for chain in table.chains:
            rules = table.rules_of(chain.name)
            counted = counts.chains.get((table.name, chain.name))
            if counted is None and not rules:
                continue  # iptables-nft-save lists all built-in chains of a table, also those that do not exist
            if counted is None or len(rules) != len(counted.rules):
                raise KernelRefused("the rules changed while their counters were read.", "Read them again.")
            if counted.policy is not None:
                lines.append((table.name, f":{chain.name} {chain.policy}", counted.policy))
            lines += [(table.name, rule.text, counters) for rule, counters in zip(rules, counted.rules, strict=True)]
    return CounterReading.of(lines)


def _forget(kept: dict[Any, Any]) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
