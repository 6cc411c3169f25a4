"""A rule set without one of its rules, as the analysis walks it."""

from __future__ import annotations

from dataclasses import replace

from testbed.analysis.rules import Program
from testbed.rules.reference import RuleReference


def without_rule(program: Program, reference: RuleReference) -> Program:
    """Return a rule set without a rule; the others keep their references."""
    chains = tuple(
        replace(chain, rules=tuple(rule for rule in chain.rules if rule.reference != reference))
        if (chain.table, chain.name) == (reference.table, reference.chain)
        else chain
        for chain in program.chains
    )
    return replace(program, chains=chains)
