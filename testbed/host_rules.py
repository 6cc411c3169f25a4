"""The rules that a bed's host holds: their text, their counters under the rules' names, and their references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.kernel import canonical_rules
from testbed.kernel.canonical_rules import CanonicalRules
from testbed.kernel.counts import CounterReader, Counts
from testbed.kernel.loading import Backend
from testbed.kernel.namespace import Namespace
from testbed.observe.drops import DroppingLines, DropProof
from testbed.rules import AnyRuleset, reference
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Ruleset


class HostRules:
    """The rules in a namespace, loaded by a backend; `loaded` is the rule set that was loaded last."""

    def __init__(self, namespace: Namespace, backend: Backend[Any], loaded: AnyRuleset) -> None:
        self._namespace = namespace
        self._backend = backend
        self.loaded = loaded
        self._counters: CounterReader | None = None
        self._canonical: CanonicalRules | None = None
        self._dropping: tuple[object, DroppingLines] | None = None

    def close(self) -> None:
        """Close what reads the counters."""
        if self._counters is not None:
            self._counters.close()
            self._counters = None

    def replaced(self, ruleset: AnyRuleset) -> None:
        """Take note that another rule set was loaded."""
        self.loaded = ruleset
        self.close()
        self._canonical = None

    @property
    def native(self) -> bool:
        """Whether they are native nftables rules, of which some have no counter."""
        return self.loaded.as_iptables is None

    def counts(self) -> Counts:
        """Return the present counters by chain and position."""
        if self._counters is None:
            self._counters = self._namespace.run(self._backend.open_counters)
        return self._counters.read()

    def words(self, counts: Counts) -> Ruleset:
        """Return the rules of a reading in the kernel's words."""
        return self._named(counts).ruleset

    def reading(self, counts: Counts) -> CounterReading:
        """Return counters under the names of their rules."""
        return self._named(counts).reading(counts)

    def proof(self, before: Counts | None, after: Counts, length: int) -> DropProof:
        """Return what the counters before (None: all zero) and after a packet of that length prove about its drop."""
        counted = self.reading(after)
        if self._dropping is None or self._dropping[0] != after.identity:
            loaded = self._backend.book(self._namespace)
            self._dropping = after.identity, DroppingLines(loaded, (line for line, _ in counted), self.native)
        delta = counted if before is None else counted - self.reading(before)
        return self._dropping[1].proof(delta, length)

    def reference(self, line: CounterLine, shown: AnyRuleset, words: Callable[[], Ruleset]) -> RuleReference:
        """Return the reference of a line of the rule set `shown`, whose rules in the kernel's words are `words`."""
        if shown.as_iptables is not None:
            texts = [rule.text for table, rule in words().rules if table.name == line.table]
        else:
            chains = self._backend.book(self._namespace)
            texts = [rule.text for chain in chains if chain.table == line.table for rule in chain.rules]
        return reference.of_line(line, texts, shown)

    def _named(self, counts: Counts) -> CanonicalRules:
        if self._canonical is None or self._canonical.identity != counts.identity:
            self._canonical = canonical_rules.CanonicalRules.of(self._backend, self._namespace, self.loaded, counts)
        return self._canonical
