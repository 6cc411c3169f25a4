"""One edit of a rule set, as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from testbed.behaviour.mutants.edits import Edit, OfSet, Place, Policy
from testbed.behaviour.mutants.phrases import PHRASES
from testbed.rules.ruleset import Rule, Ruleset

_DIGITS = 8  # of an id: some 65000 mutants of one operator before two are likely to have the same id


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit of one rule, or of a chain's policy (`rule` is None then).

    `id` identifies the same edit of the same rule, regardless of the rule's position and neighbours. `nth`
    distinguishes rules of one chain with equal text.
    """

    id: str
    operator: str
    table: str
    chain: str
    rule: Rule | None
    edit: Edit
    nth: int = 0

    @classmethod
    def of_rule(cls, operator: str, place: Place, edit: Edit) -> Mutant:
        """Return the mutant of the rule at a place."""
        rule = place.rule
        known_by = _hash(edit, place.table, rule.text, place.nth, operator)
        return cls(f"{operator}-{known_by}", operator, place.table, rule.chain, rule, edit, place.nth)

    @classmethod
    def of_policy(cls, table: str, edit: Policy) -> Mutant:
        """Return the mutant of a chain's policy."""
        return cls(f"policy-{_hash(edit, table)}", "policy", table, edit.chain, None, edit)

    @property
    def title(self) -> str:
        """The operator in words, and the chain."""
        return f"{PHRASES[self.operator]} {self.table} {self.chain}"

    @property
    def was(self) -> str:
        """The rule, or the chain with its policy, before the edit."""
        if isinstance(self.edit, Policy):
            return f":{self.chain} {self.edit.old}"
        return self.rule.text if self.rule is not None else ""

    @property
    def removed(self) -> tuple[str, ...]:
        """The lines that the edit removes: a rule, a policy's line, or a set's."""
        if isinstance(self.edit, OfSet):
            return (self.edit.old,) if self.edit.old else ()
        return (self.was,)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Return the new text: rule lines, a policy's line, or a set's; empty if a rule is removed."""
        return self.edit.lines

    @property
    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        return [*(f"- {line}" for line in self.removed), *(f"+ {line}" for line in self.replaced)]

    def apply(self, rules: Ruleset) -> Ruleset | None:
        """Return the mutated rule set; None if it does not have that rule (same table, chain, text, nth)."""
        if isinstance(self.edit, Policy):
            return self.edit.of_table(rules, self.table)
        return self.edit.of(rules, Place(self.table, self.rule, self.nth)) if self.rule is not None else None

    def __str__(self) -> str:
        return self.title


def _hash(edit: Edit, *of: object) -> str:
    """Return a hash of the edited object and the edit, without line numbers and counters."""
    words = "\n".join(map(str, (*of, edit.done, *edit.lines)))
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
