"""Whether a clause of a rule holds for a packet: yes, no, or that it cannot be told; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.rules.clauses import Clause
from testbed.rules.facts import Facts
from testbed.rules.predicates import TESTS


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a rule matches (None: it cannot be told), and the first clause that certainly does not hold."""

    matches: bool | None
    clause: Clause | None = None


def holds(clause: Clause, facts: Facts) -> bool | None:
    """Whether a packet is as a clause wants it; None: it cannot be told."""
    test = TESTS.get((clause.module, clause.option)) or TESTS.get(("*", clause.option))
    found = test(clause.values, facts) if test is not None else None
    return found if found is None else found != clause.negated


def first_failing(rule: Iterable[Clause], facts: Facts) -> Judgement:
    """What the clauses of a rule say of a packet."""
    found = [(clause, holds(clause, facts)) for clause in rule]
    failing = next((clause for clause, held in found if held is False), None)
    if failing is not None:
        return Judgement(False, failing)
    return Judgement(None if any(held is None for _, held in found) else True)


def culprit(rule: Iterable[Clause], facts: Facts) -> Clause | None:
    """Why the kernel did not match a rule: the first clause that certainly fails, else the only one that may have.

    None where several may have, or none: then the rule should have matched.
    """
    own = tuple(rule)
    if (failing := first_failing(own, facts).clause) is not None:
        return failing
    doubtful = [clause for clause in own if holds(clause, facts) is None]
    return doubtful[0] if len(doubtful) == 1 else None
