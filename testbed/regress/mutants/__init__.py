"""Mutants of a rule set: the mistakes that somebody could make in it, each as a value with a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.regress.mutants import conditions, places, targets
from testbed.regress.mutants.accepted import accepted
from testbed.regress.mutants.edits import Edit, Policy, Rewritten
from testbed.regress.mutants.mutant import Mutant
from testbed.regress.mutants.site import Site, sites
from testbed.rules.ruleset import IPV6, Ruleset

__all__ = ["Mutant", "equivalent", "mutants"]


def mutants(rules: Ruleset, strong: bool = True) -> tuple[Mutant, ...]:  # noqa: ARG001
    """Every mutant of a rule set that the kernel would load, rule by rule, then the policies; always the same order."""
    found = [*(mutant for site in sites(rules) for mutant in _of(site)), *_policies(rules)]
    return tuple({mutant.id: mutant for mutant in found}.values())


def equivalent(rules: Ruleset, mutant: Mutant) -> str:
    """Why a mutant cannot behave differently, in a sentence; '' where that is not proved."""
    changed = mutant.apply(rules)
    return "it is the same rule set" if changed is not None and changed.listing == rules.listing else ""


def _of(site: Site) -> Iterator[Mutant]:
    for makers in (places.made, targets.made, conditions.made):
        for operator, edit, sentence in makers(site):
            if _loads(site, edit):
                yield Mutant.of_rule(operator, site.place, edit, sentence)


def _loads(site: Site, edit: Edit) -> bool:
    """Whether the kernel takes what is written."""
    if not isinstance(edit, Rewritten):
        return True
    hooks = site.wiring.hooks(edit.chain)
    return all(accepted(spec, edit.chain, site.table, hooks) for spec in edit.specs)


def _policies(rules: Ruleset) -> Iterator[Mutant]:
    for table in rules.tables:
        if table.name.removeprefix(IPV6) == "nat":
            continue  # where a policy of DROP is refused
        for chain in table.chains:
            new = {"ACCEPT": "DROP", "DROP": "ACCEPT"}.get(chain.policy or "")
            if new is not None and chain.policy is not None:
                passes = "passes" if new == "ACCEPT" else "is dropped"
                sentence = f"what no rule of {table.name} {chain.name} decides {passes}"
                yield Mutant.of_policy(table.name, Policy(chain.name, chain.policy, new), sentence)
