"""One edit of a rule set, as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from testbed.behaviour.mutants.edits import Edit, Place, Policy
from testbed.rules.ruleset import Rule, Ruleset

_DIGITS = 8  # of an id: some 65000 mutants of one operator before two are likely to have the same id


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit of one rule, or of a chain's policy (`rule` is None then), with its effect as a sentence.

    `id` identifies the same edit of the same rule, regardless of the rule's position and neighbours. `nth`
    distinguishes rules of one chain with equal text. `sentence` is for people.
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
        """Return the mutant of the rule at a place."""
        rule = place.rule
        known_by = _hash(edit, place.table, rule.text, place.nth, operator)
        return cls(f"{operator}-{known_by}", operator, place.table, rule.chain, rule, sentence, edit, place.nth)

    @classmethod
    def of_policy(cls, table: str, edit: Policy, sentence: str) -> Mutant:
        """Return the mutant of a chain's policy."""
        return cls(f"policy-{_hash(edit, table)}", "policy", table, edit.chain, None, sentence, edit)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Return the new text: rule lines, a policy's line, or a set's; empty if a rule is removed."""
        return self.edit.lines

    def apply(self, rules: Ruleset) -> Ruleset | None:
        """Return the mutated rule set; None if it does not have that rule (same table, chain, text, nth)."""
        if isinstance(self.edit, Policy):
            return self.edit.of_table(rules, self.table)
        return self.edit.of(rules, Place(self.table, self.rule, self.nth)) if self.rule is not None else None

    def __str__(self) -> str:
        return self.sentence


def _hash(edit: Edit, *of: object) -> str:
    """Return a hash of the edited object and the edit, without line numbers and counters."""
    words = "\n".join(map(str, (*of, edit.done, *edit.lines)))
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
