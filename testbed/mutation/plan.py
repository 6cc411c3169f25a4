"""The tasks of a campaign: the mutants, and for each the cases that can kill it, the likeliest first."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from testbed.behaviour.mutants import Mutant
from testbed.coverage.records import Coverage, RuleSetRecord
from testbed.rules import clauses, save
from testbed.rules.origin import UNKNOWN, RulesetOrigin
from testbed.rules.ruleset import Chain, Rule, Ruleset, Table

_LISTED = re.compile(r"(?P<table>(?:ip6 )?\S+) (?::(?P<chain>\S+) (?P<policy>\S+)|-A (?P<of>\S+)(?: (?P<spec>.*))?)")
Place = tuple[str, str, int]  # table, chain, number of the rule from 1; 0: the chain's policy


@dataclass(frozen=True, slots=True)
class Task:
    """A mutant, and the cases that reach the mutation."""

    mutant: str
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign sends to its processes: the rules that mutants are made from, and the tasks.

    `engine`: only rule sets that this engine wrote are mutated, and only its cases are collected; empty for all rule
    sets that have the rule. `host` is the text of the probed host, empty for the article's. `table` is the text of a
    behaviour table that replaces the cases. `fresh`: every bed is built anew.
    """

    rules: Ruleset
    strong: bool = False
    engine: str = ""
    host: str = ""
    table: str = ""
    backend: str = "nft"
    fresh: bool = False
    tasks: tuple[Task, ...] = ()

    def text(self) -> str:
        """Return the plan as JSON."""
        value = {name: getattr(self, name) for name in _PLAIN}
        value["rules"] = [save.render(self.rules), self.rules.source, self.rules.sets, self.rules.origin.engine]
        value["tasks"] = [[task.mutant, task.cases] for task in self.tasks]
        return json.dumps(value)

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Return the plan that `text` wrote."""
        value = json.loads(text)
        return cls(
            rules=_rules(*value["rules"]),
            tasks=tuple(Task(mutant, tuple(cases)) for mutant, cases in value["tasks"]),
            **{name: value[name] for name in _PLAIN},
        )


_PLAIN = ("strong", "engine", "host", "table", "backend", "fresh")


def _rules(written: str, source: str, sets: str, engine: str) -> Ruleset:
    read = save.parse(written, source)
    return Ruleset(read.entries, source, sets, RulesetOrigin.of_engine(engine) if engine else UNKNOWN)


class Reach:
    """Find the cases that reach the change of a mutant, by their coverage.

    The likeliest case to kill the mutant comes first. A rule that matches less, or has another target, is detected by a
    case that matches it. A rule that matches more is detected by a case that only reaches it. So the two groups
    alternate. In the second group, cases that miss the rule because of the removed clause alone come first. Cases that
    match fewer rules come before cases that match more.
    """

    def __init__(self, coverage: Coverage, engine: str) -> None:
        own = (one for one in coverage.rule_sets if engine in ("", one.engine))
        self._sets = [_Reached(one) for one in own if all(map(_LISTED.fullmatch, one.listing))]

    def cases(self, mutant: Mutant) -> tuple[str, ...]:
        """Return the cases with a packet that reaches the first place at which a chain differs.

        A packet that does not reach it has the same result as without the mutant: its journey up to there is equal.
        """
        matches: dict[str, bool] = {}
        breadth: dict[str, int] = {}
        missing: set[str] = set()
        for reached in self._sets:
            changed = mutant.apply(reached.rules)
            if changed is not None:
                missing |= reached.missing(mutant)
                for case, matched in reached.by(first_differences(reached.rules, changed, mutant)):
                    matches[case] = matches.get(case, False) or matched
                    breadth[case] = max(breadth.get(case, 0), reached.breadth[case])

        found = sorted(matches, key=lambda case: (breadth[case], case))
        matching = [case for case in found if matches[case]]
        others = sorted((case for case in found if not matches[case]), key=lambda case: case not in missing)
        kinds = (others, matching) if mutant.operator in _MATCHING_MORE else (matching, others)
        return tuple(case for pair in zip_longest(*kinds) for case in pair if case is not None)


_MATCHING_MORE = ("drop-clause",)


def listed(listing: Iterable[str], source: str) -> Ruleset:
    """Return the rule set with this listing (Ruleset.listing): tables by name, without counters."""
    tables: dict[str, list[Chain | Rule]] = {}
    for line in listing:
        if (found := _LISTED.fullmatch(line)) is not None:
            entry: Chain | Rule
            if found["policy"]:
                entry = Chain(found["chain"], None if found["policy"] == "-" else found["policy"])
            else:
                entry = Rule(found["of"], found["spec"] or "")
            tables.setdefault(found["table"], []).append(entry)
    return Ruleset(tuple(Table(name, tuple(entries)) for name, entries in tables.items()), source)


class _Reached:
    """A rule set that cases load, and its rules with the cases that reach them; `breadth` counts a case's matches."""

    def __init__(self, record: RuleSetRecord) -> None:
        self.rules = listed(record.listing, record.source)
        self._records = {(rule.table, rule.chain, rule.number): rule for rule in record.rules}
        self._tests = {test for rule in record.rules for test in rule.reached_by}
        self.breadth = Counter(test for rule in record.rules for test in rule.matched_by)

    def missing(self, mutant: Mutant) -> set[str]:
        """Return the cases with a packet that misses the rule by one clause alone, which the mutant does not have."""
        if mutant.rule is None or len(mutant.replaced) != 1:
            return set()
        left = {clause.text for clause in clauses.clauses(mutant.replaced[0].removeprefix(f"-A {mutant.chain} "))}
        return {
            case
            for (table, chain, _), rule in self._records.items()
            if (table, chain, rule.text) == (mutant.table, mutant.chain, mutant.rule.text)
            for clause in rule.clauses
            if clause.text not in left
            for case in clause.alone_by
        }

    def by(self, places: Iterable[Place]) -> Iterator[tuple[str, bool]]:
        """Yield each case that reaches one of these places, and whether it matches the rule there."""
        for table, chain, number in places:
            record = self._records.get((table, chain, number))
            if record is None:  # after the last rule of a user-defined chain
                record = self._records.get((table, chain, number - 1))
            reached = record.reached_by if record is not None else sorted(self._tests)
            yield from ((test, record is not None and test in record.matched_by) for test in reached)


def first_differences(rules: Ruleset, changed: Ruleset, mutant: Mutant) -> list[Place]:
    """Return the place of the first differing rule (or of the policy: 0) of each chain that differs."""
    places: list[Place] = []
    for table in rules.tables:
        now = changed.table(table.name)
        if now == table:
            continue
        for chain in table.chains:
            old, new = ([rule.text for rule in of.rules_of(chain.name)] for of in (table, now))
            if (at := _parting(old, new)) is not None:
                places.append((table.name, chain.name, at + 1 if at < len(old) or chain.policy is None else 0))
            elif chain not in now.chains:
                places.append((table.name, chain.name, 0))
    if rules.sets != changed.sets and mutant.rule is not None:
        texts = [rule.text for rule in rules.table(mutant.table).rules_of(mutant.chain)]
        places.append((mutant.table, mutant.chain, texts.index(mutant.rule.text) + 1))
    return places


def _parting(old: Sequence[str], new: Sequence[str]) -> int | None:
    """Return the first index at which two lists differ, from 0; None if they are equal."""
    for at, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return at
    return None if len(old) == len(new) else min(len(old), len(new))
