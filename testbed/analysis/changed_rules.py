"""The rules that only one of two rule sets has at their place, and the rules that lead to them.

A packet that matches none of them on either side meets the same other rules in the same order on both, so it has the
same outcome. Rules that only lead to them are followed without the rules between: more packets come there then.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from testbed.analysis import clauses, native_clauses
from testbed.analysis.rules import (
    Add,
    AnalysedChain,
    AnalysedRule,
    Assign,
    Copy,
    Jump,
    Notrack,
    Program,
    Unmodelled,
)

_CHANGING = (Assign, Copy, Add, Notrack, Unmodelled)  # what later rules may see

ChainKey = tuple[str, str]
RuleKey = tuple[str, str, int | None]  # table, chain, number; None: the policy


class Follow(Enum):
    """How much of a base chain is followed to find the packets that changed rules match."""

    NOTHING = "nothing"
    LEADING = "only rules that lead to changed ones"
    ALL = "all rules, since some change fields that others read"


@dataclass(frozen=True, slots=True)
class ChangedRules:
    """The changed rules and policies of one rule set, the rules that lead to them, and how to follow each chain."""

    rules: frozenset[RuleKey]
    leading: frozenset[RuleKey]
    follow: Mapping[ChainKey, Follow]


def changed_rules(old: Program, new: Program, counting: bool = False) -> tuple[ChangedRules, ChangedRules] | None:
    """Return what only one side has; None if every packet may differ.

    So it is if a whole base chain or a set differs, or, but for `counting`, if a rule draws or counts: its packets
    depend on the others.
    """
    sides = [{(chain.table, chain.name): chain for chain in program.chains} for program in (old, new)]
    if old.native != new.native or old.native_sets != new.native_sets or old.tracks != new.tracks:
        return None
    if old.sets != new.sets or _bases(sides[0]) != _bases(sides[1]):
        return None
    if not counting and any(map(_counts, (old, new))):
        return None
    found: tuple[set[RuleKey], set[RuleKey]] = set(), set()
    for key in {**sides[0], **sides[1]}:
        _compare(sides[0].get(key), sides[1].get(key), found)
    return _leading(sides[0], found[0]), _leading(sides[1], found[1])


def chains_of(program: Program) -> list[ChainKey]:
    """Return the keys of all chains."""
    return [(chain.table, chain.name) for chain in program.chains]


def _counts(program: Program) -> bool:
    rules = (rule for chain in program.chains for rule in chain.rules)
    if program.native:
        return any(native_clauses.depends_on_others(rule.reference.text) for rule in rules)
    return any(clauses.depends_on_others(rule.clauses) for rule in rules)


def _bases(chains: Mapping[ChainKey, AnalysedChain]) -> dict[ChainKey, Hashable]:
    """Return what a packet meets of base chains before their rules."""
    return {
        key: (chain.hook, chain.priority, chain.translates, chain.versions)
        for key, chain in chains.items()
        if chain.hook
    }


def _compare(old: AnalysedChain | None, new: AnalysedChain | None, found: tuple[set[RuleKey], set[RuleKey]]) -> None:
    """Add the rules of a chain that only one side has, and both policies where they differ."""
    one, other = (list(chain.rules) if chain is not None else [] for chain in (old, new))
    words = [[_meaning(rule) for rule in rules] for rules in (one, other)]
    if words[0] != words[1]:
        for what, a, b, c, d in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
            if what != "equal":
                found[0].update(map(_key, one[a:b]))
                found[1].update(map(_key, other[c:d]))
    if old is not None and new is not None and old.accepts != new.accepts:
        for side in found:
            side.add((old.table, old.name, None))


def _meaning(rule: AnalysedRule) -> Hashable:
    return rule.clauses, rule.actions


def _key(rule: AnalysedRule) -> RuleKey:
    return rule.reference.table, rule.reference.chain, rule.reference.number


def _leading(chains: Mapping[ChainKey, AnalysedChain], changed: set[RuleKey]) -> ChangedRules:
    """Add the rules by which packets come to changed ones, and how each base chain is followed."""
    entered = {(table, chain) for table, chain, _ in changed}
    changing = {key for key, chain in chains.items() if any(_changes(rule) for rule in chain.rules)}
    leading = set(changed)
    for reached in (entered, changing):
        pending = list(reached)
        while pending:
            target = pending.pop()
            for key, rule in _jumps(chains, target):
                leading.add(_key(rule))
                if key not in reached:
                    reached.add(key)
                    pending.append(key)
    follow = {
        key: Follow.ALL if key in changing else Follow.LEADING if key in entered else Follow.NOTHING for key in chains
    }
    return ChangedRules(frozenset(changed), frozenset(leading), follow)


def _jumps(chains: Mapping[ChainKey, AnalysedChain], target: ChainKey) -> Iterator[tuple[ChainKey, AnalysedRule]]:
    """Yield the rules that jump to a chain, with their chains."""
    for key, chain in chains.items():
        if key[0] == target[0]:
            for rule in chain.rules:
                if any(isinstance(action, Jump) and action.chain == target[1] for action in rule.actions):
                    yield key, rule


def _changes(rule: AnalysedRule) -> bool:
    return any(isinstance(action, _CHANGING) for action in rule.actions)
