"""The names of rules while a mutant is loaded: those of the original rules, for every rule that was loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.observe.journey import ChainTraversal, Journey, RuleEvaluation
from testbed.rules import clauses
from testbed.rules.counters import ZERO
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.reference import RuleKind
from testbed.rules.ruleset import Rule, Ruleset


@dataclass(frozen=True, slots=True)
class RuleAliases:
    """Maps each loaded (mutated) rule to its name in the original rule set.

    So a test cannot detect a mutant by its text. A rule in both rule sets keeps its name. A rule that is only loaded
    gets the name of an original rule that is not loaded. Both rule sets are in the kernel's words.
    """

    given: tuple[CounterLine, ...]
    called: dict[CounterLine, CounterLine]

    @classmethod
    def of(cls, given: Ruleset, loaded: Ruleset) -> RuleAliases:
        known, there = _lines(given), _lines(loaded)
        called: dict[CounterLine, CounterLine] = {}
        for policies in (True, False):
            lacking = [line for line in known if line.is_policy == policies and line not in there]
            strange = [line for line in there if line.is_policy == policies and line not in known]
            for line in strange:
                same_table = [other for other in lacking if other.table == line.table]
                if same_table:
                    called[line] = same_table[0]
        return cls(known, called)

    def reading(self, counted: CounterReading) -> CounterReading:
        """Return the same counters under the original names; a deleted rule has counted nothing."""
        found = dict.fromkeys(self.given, ZERO)
        policies = {line for line in self.given if line.is_policy}
        for line, counters in counted:
            name = self.called.get(line, line)
            found[name] = found.get(name, ZERO) + counters
            policies.discard(name)
        return CounterReading({line: counters for line, counters in found.items() if line not in policies})

    def journey(self, journey: Journey) -> Journey:
        """Return the same journey under the original names."""
        passes = tuple(
            replace(passed, hooks=tuple(replace(hook, chains=self._chains(hook.chains)) for hook in passed.hooks))
            for passed in journey.passes
        )
        decided = journey.end.rule
        if decided is not None and decided.kind is RuleKind.RULE:
            decided = replace(decided, text=self._rule(decided.table, decided.text).text)
        copies = tuple(map(self.journey, journey.copies))
        return replace(journey, passes=passes, end=replace(journey.end, rule=decided), copies=copies)

    def _chains(self, chains: tuple[ChainTraversal, ...]) -> tuple[ChainTraversal, ...]:
        return tuple(
            replace(
                chain,
                asked=tuple(self._asked(chain.table, asked) for asked in chain.asked),
                not_reached=tuple(self._rule(chain.table, rule.text, rule.line) for rule in chain.not_reached),
            )
            for chain in chains
        )

    def _asked(self, table: str, asked: RuleEvaluation) -> RuleEvaluation:
        into = self._chains((asked.into,))[0] if asked.into is not None else None
        rule = self._rule(table, asked.rule.text, asked.rule.line)
        own = clauses.clauses(rule.spec) if rule.text != asked.rule.text else ()
        failed = asked.failed
        if failed is not None:  # in the words of the original rule, if that has such a clause
            failed = next((clause for clause in own if clause.option == failed.option), failed)
        return replace(asked, rule=rule, into=into, failed=failed)

    def _rule(self, table: str, text: str, number: int = 0) -> Rule:
        """Return a rule under its original name."""
        name = self.called.get(CounterLine(table, text))
        _, chain, *spec = (text if name is None else name.text).split(" ", 2)
        return Rule(chain, "".join(spec), line=number)


def _lines(rules: Ruleset) -> tuple[CounterLine, ...]:
    """Return every policy and rule, chain by chain."""
    texts = (
        (table.name, text, ZERO)
        for table in rules.tables
        for chain in table.chains
        for text in (
            *([f":{chain.name} {chain.policy}"] if chain.policy is not None else []),
            *(rule.text for rule in table.rules_of(chain.name)),
        )
    )
    return tuple(line for line, _ in CounterReading.of(texts))
