"""One mistake that somebody could make in a rule set, as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from testbed.behaviour.mutants.edits import Edit, Place, Policy
from testbed.rules.ruleset import Rule, Ruleset

_DIGITS = 8  # of an id: some 65000 mutants of one operator before two are likely to share one


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake: what is done to one rule, or to a chain's policy (`rule` is None then), and what that does.

    `id` says the same mistake of the same rule, wherever the rule stands and whatever stands around it. `nth` tells
    rules of one chain that have the same text. `sentence` is for a person.
    """

    id: str
    operator: str
    table: str
    chain: str
    rule: Rule | None
    sentence: str
    edit: Edit
    nth: int = 0

    @classmethod
    def of_rule(cls, operator: str, place: Place, edit: Edit, sentence: str) -> Mutant:
        """Of the rule at a place."""
        rule = place.rule
        known_by = _hash(edit, place.table, rule.text, place.nth, operator)
        return cls(f"{operator}-{known_by}", operator, place.table, rule.chain, rule, sentence, edit, place.nth)

    @classmethod
    def of_policy(cls, table: str, edit: Policy, sentence: str) -> Mutant:
        """Of a chain's policy."""
        return cls(f"policy-{_hash(edit, table)}", "policy", table, edit.chain, None, sentence, edit)

    @property
    def replaced(self) -> tuple[str, ...]:
        """What stands there instead: rule lines, a policy's line, or a set's; nothing where a rule is gone."""
        return self.edit.lines

    def apply(self, rules: Ruleset) -> Ruleset | None:
        """The rule set with the mistake; None where it does not hold that rule (same table, chain, text, nth)."""
        if isinstance(self.edit, Policy):
            return self.edit.of_table(rules, self.table)
        return self.edit.of(rules, Place(self.table, self.rule, self.nth)) if self.rule is not None else None

    def __str__(self) -> str:
        return self.sentence


def _hash(edit: Edit, *of: object) -> str:
    """What the identity is taken from: of what, and what is done to it; no line numbers, no counters."""
    words = "\n".join(map(str, (*of, edit.done, *edit.lines)))
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
