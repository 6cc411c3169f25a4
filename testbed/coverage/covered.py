"""A report on rule coverage of one rule set: what packets reached, matched and missed, and what is impossible.

Impossible outcomes are proved from the rules (rules/unreachable.py). They are named with the reason and do not count in
the denominator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.coverage.records import ChainRecord, ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.errors import Disagreement
from testbed.rules.unreachable import LimitedRule, Limits

Key = tuple[str, str, str, int]  # table, chain, text, occurrence among equal rules


@dataclass(frozen=True, slots=True)
class CoveredClause:
    """A clause: `alone` packets missed the rule for it alone; `never` says why that is impossible, '' if it is
    possible.
    """

    text: str
    alone: int
    unknown: int
    never: str

    @property
    def due(self) -> bool:
        """Whether it counts: it was seen, or nothing proves it impossible."""
        return bool(self.alone) or not self.never


@dataclass(frozen=True, slots=True)
class CoveredRule:
    """A rule or policy with its record; each `never_...` says why that is impossible, '' if it is possible."""

    record: RuleRecord
    clauses: tuple[CoveredClause, ...] = ()
    never_reached: str = ""
    never_matched: str = ""
    never_missed: str = ""

    @property
    def reachable(self) -> bool:
        return bool(self.record.reached) or not self.never_reached

    @property
    def branches(self) -> tuple[int | None, int | None]:
        """The number of packets that matched and that missed; None for an impossible outcome, and for a policy."""
        if self.record.is_policy or not self.reachable:
            return None, None
        return (
            self.record.matched if self.record.matched or not self.never_matched else None,
            self.record.missed if self.record.missed or not self.never_missed else None,
        )

    @property
    def asked(self) -> tuple[CoveredClause, ...]:
        """The clauses that count."""
        return tuple(clause for clause in self.clauses if clause.due and self.reachable)

    @property
    def whole(self) -> bool:
        """Whether every possible outcome was seen."""
        seen = [*self.branches, *(clause.alone for clause in self.asked)]
        return bool(self.record.reached) and 0 not in seen

    @property
    def excluded(self) -> tuple[tuple[str, str], ...]:
        """The impossible outcomes of the rule, each with the reason."""
        record = self.record
        if not self.reachable:
            return (("cannot be reached", self.never_reached),)
        found = []
        if self.never_matched and not record.matched:
            found.append(("cannot be matched", self.never_matched))
        if self.never_missed and not record.missed and not record.is_policy:
            found.append(("cannot be missed", self.never_missed))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a total."""

    seen: int
    of: int

    @property
    def percent(self) -> float:
        """The share in percent; 100 for a total of zero."""
        return 100 * self.seen / self.of if self.of else 100.0

    def __str__(self) -> str:
        return f"{self.percent:.0f} % ({self.seen} of {self.of})"


@dataclass(frozen=True, slots=True)
class Report:
    """The coverage of one rule set, `source`, by `tests` on `rule_sets` loaded rule sets."""

    source: str
    chains: tuple[ChainRecord, ...]
    rules: tuple[CoveredRule, ...]
    tests: tuple[str, ...]
    rule_sets: int

    @property
    def reached(self) -> Share:
        """The share of rules and policies that a packet reached."""
        due = [rule for rule in self.rules if rule.reachable]
        return Share(sum(bool(rule.record.reached) for rule in due), len(due))

    @property
    def branches(self) -> Share:
        """The share of branches; a rule has two: a packet matched it, a packet missed it."""
        due = [branch for rule in self.rules for branch in rule.branches if branch is not None]
        return Share(sum(map(bool, due)), len(due))

    @property
    def clauses(self) -> Share:
        """The share of clauses that were the only reason for a packet's miss of the rule."""
        due = [clause for rule in self.rules for clause in rule.asked]
        return Share(sum(bool(clause.alone) for clause in due), len(due))

    @property
    def missing(self) -> Iterator[tuple[CoveredRule, str]]:
        """The possible outcomes that no packet has had."""
        for rule in self.rules:
            if rule.reachable and not rule.record.reached:
                yield rule, "never decided" if rule.record.is_policy else "never reached"
                continue
            matched, missed = rule.branches
            if matched == 0:
                yield rule, "never matched"
            if missed == 0:
                yield rule, "never missed"
            unknown = max(rule.clauses, key=lambda clause: clause.unknown, default=None)
            open_ = f", as far as `{unknown.text}` can be told" if unknown is not None and unknown.unknown else ""
            yield from (
                (rule, f"never missed for `{clause.text}` alone{open_}") for clause in rule.asked if not clause.alone
            )


def report(empty: RuleSetRecord, found: Coverage, proofs: bool = True) -> Report | None:
    """Return the coverage of a rule set by all records of the same rules; None if these rules were never loaded.

    Raises Disagreement when a packet did something that was proved impossible. The records of every
    rule set that the same engine wrote count; a rule with the same table, chain and text is then the same rule.
    `proofs` says whether the rules are in iptables' syntax, in which impossible outcomes can be proved.
    """
    relevant = [
        one
        for one in found.rule_sets
        if sorted(one.listing) == sorted(empty.listing) or (empty.engine and one.engine == empty.engine)
    ]
    if not relevant:
        return None
    seen: dict[Key, RuleRecord] = {}
    entered: Counter[tuple[str, str]] = Counter()
    for one in relevant:
        for key, rule in _keyed(one.rules):
            seen[key] = seen[key] + rule if key in seen else rule
        for chain in one.chains:
            entered[chain.table, chain.name] += chain.entered
    counted = [_with(rule, seen.get(key)) for key, rule in _keyed(empty.rules)]
    judged = tuple(_judged(counted, empty.chains)) if proofs else tuple(map(_unproved, counted))
    if not empty.engine:
        _agree(judged)
    chains = tuple(replace(chain, entered=entered[chain.table, chain.name]) for chain in empty.chains)
    tests = {test for rule in counted for test in rule.reached_by}
    return Report(empty.source, chains, judged, tuple(sorted(tests)), len(relevant))


def _agree(rules: Iterable[CoveredRule]) -> None:
    """Raise Disagreement if packets contradict the proofs."""
    for rule in rules:
        record = rule.record
        said = [
            (rule.never_reached, record.reached),
            (rule.never_matched, record.matched),
            (rule.never_missed, record.missed),
            *((clause.never, clause.alone) for clause in rule.clauses),
        ]
        for never, done in said:
            if never and done:
                raise Disagreement(
                    f"{record.table} {record.text}: packets did what cannot be, since {never}.",
                    "One of both is wrong: please report it with the rule set.",
                )


def _keyed(rules: Iterable[RuleRecord]) -> Iterator[tuple[Key, RuleRecord]]:
    times: Counter[tuple[str, str, str]] = Counter()
    for rule in rules:
        key = rule.table, rule.chain, rule.words
        yield (*key, times[key]), rule
        times[key] += 1


def _with(rule: RuleRecord, seen: RuleRecord | None) -> RuleRecord:
    return rule + seen if seen is not None else rule


def _judged(rules: Sequence[RuleRecord], chains: Iterable[ChainRecord]) -> Iterator[CoveredRule]:
    known = list(chains)
    limits = Limits(
        (LimitedRule(rule.table, rule.chain, _spec(rule)) for rule in rules if not rule.is_policy),
        ((chain.table, chain.name) for chain in known),
        ((chain.table, chain.name) for chain in known if chain.policy),
    )
    for rule in rules:
        place = rule.table, rule.chain, rule.number
        if rule.is_policy:
            yield CoveredRule(rule, never_reached=limits.decided_by(rule.table, rule.chain))
            continue
        clauses = (_clause(one, limits.alone(*place, one.text)) for one in rule.clauses)
        yield CoveredRule(rule, tuple(clauses), limits.reached(*place), limits.matched(*place), limits.missed(*place))


def _unproved(rule: RuleRecord) -> CoveredRule:
    missed = "" if rule.clauses else "it asks nothing of a packet"
    return CoveredRule(rule, tuple(_clause(one, "") for one in rule.clauses), never_missed=missed)


def _clause(one: ClauseRecord, never: str) -> CoveredClause:
    return CoveredClause(one.text, one.alone, one.unknown, never)


def _spec(rule: RuleRecord) -> str:
    return rule.words.removeprefix(f"-A {rule.chain}").strip()
