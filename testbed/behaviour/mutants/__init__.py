"""Mutants of a rule set: rule sets with one edit, each as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from testbed.behaviour.mutants import conditions, rule_position, sets, targets
from testbed.behaviour.mutants.edits import Edit, Policy, Rewritten, RuleEdit
from testbed.behaviour.mutants.mutant import Mutant
from testbed.behaviour.mutants.proof import Proof, proof
from testbed.behaviour.mutants.site import Site, sites
from testbed.behaviour.mutants.validity import accepted
from testbed.rules.clauses import target_of
from testbed.rules.ruleset import IPV6, Ruleset

__all__ = ["Mutant", "Proof", "equivalent", "mutants", "proof"]


Maker = Callable[[Site], Iterator[tuple[str, RuleEdit]]]
_DEFAULT: tuple[Maker, ...] = (rule_position.made, targets.made, conditions.made)
_STRONG: tuple[Maker, ...] = (rule_position.made_strong, targets.made_strong, conditions.made_strong, sets.made_strong)


def mutants(rules: Ruleset, strong: bool = True) -> tuple[Mutant, ...]:
    """Return every mutant of a rule set that the kernel would load: rule by rule, then the policies, in a fixed order.

    Not `strong`: without jumps, early returns, other hooks, TCP flags, ICMP types, marks, sets and limits.
    """
    makers = (*_DEFAULT, *_STRONG) if strong else _DEFAULT
    found = [*(mutant for site in sites(rules) for mutant in _of(site, makers)), *_policies(rules)]
    return tuple({mutant.id: mutant for mutant in found}.values())


def equivalent(rules: Ruleset, mutant: Mutant) -> str:
    """Return why a mutant is equivalent, in a sentence; '' if that is not proved.

    Either it cannot behave differently: `by counters too` if all other rules count equally, or `by behaviour only`. Or
    it makes the same rule set as another mutant of these rules, which is named. The answer holds for these rules only;
    other rule sets with the rule need their own.
    """
    proved = proof(rules, mutant)
    if proved is not None:
        return str(proved)
    changed = mutant.apply(rules)
    first = _makers(rules).get(_key(changed)) if changed is not None else None
    return f"it makes the same rules as {first.id}: {first.title}" if first and first.id != mutant.id else ""


@lru_cache(maxsize=8)
def _makers(rules: Ruleset) -> dict[tuple[object, ...], Mutant]:
    """Return the first mutant that makes each rule set; default mutants come first."""
    first: dict[tuple[object, ...], Mutant] = {}
    for mutant in (*mutants(rules, strong=False), *mutants(rules)):
        changed = mutant.apply(rules)
        if changed is not None:
            first.setdefault(_key(changed), mutant)
    return first


def _key(rules: Ruleset) -> tuple[object, ...]:
    return (*rules.listing, rules.sets)


def _of(site: Site, makers: Sequence[Maker]) -> Iterator[Mutant]:
    for made in makers:
        for operator, edit in made(site):
            if _loads(site, edit):
                yield Mutant.of_rule(operator, site.place, edit)


def _loads(site: Site, edit: Edit) -> bool:
    """Return whether the kernel accepts the new rules, and all rules that packets then reach from other hooks."""
    if not isinstance(edit, Rewritten):
        return True
    hooks = site.wiring.hooks(edit.chain)
    if not all(accepted(spec, edit.chain, site.table, hooks) for spec in edit.specs):
        return False
    targets = [target.name for spec in edit.specs if (target := target_of(spec)) is not None]
    called = {chain for name in targets if name in site.wiring.chains for chain in site.wiring.below(name)}
    rules = (rule for chain in called for rule in site.wiring.table.rules_of(chain))
    return all(accepted(rule.spec, rule.chain, site.table, hooks) for rule in rules)


def _policies(rules: Ruleset) -> Iterator[Mutant]:
    for table in rules.tables:
        if table.name.removeprefix(IPV6) == "nat":
            continue  # where the kernel refuses a policy of DROP
        for chain in table.chains:
            new = {"ACCEPT": "DROP", "DROP": "ACCEPT"}.get(chain.policy or "")
            if new is not None and chain.policy is not None:
                yield Mutant.of_policy(table.name, Policy(chain.name, chain.policy, new))
