"""A report on rule coverage: what of one rule set was reached, matched and missed, and what never can be.

What cannot be is proved from the rules (rules/unreachable.py), named with the reason, and leaves the denominator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.coverage.records import ChainRecord, ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.errors import Disagreement
from testbed.rules.unreachable import LimitedRule, Limits

Key = tuple[str, str, str, int]  # table, chain, text; which of equal ones


@dataclass(frozen=True, slots=True)
class CoveredClause:
    """A clause: `alone` packets missed the rule for it alone; `never` says why that cannot be, '' where it can."""

    text: str
    alone: int
    unknown: int
    never: str

    @property
    def due(self) -> bool:
        """Whether it counts: it was seen, or nothing proves that it cannot be."""
        return bool(self.alone) or not self.never


@dataclass(frozen=True, slots=True)
class CoveredRule:
    """A rule or policy with what was recorded of it; each `never_...` says why that cannot be, '' where it can."""

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
        """How many packets matched and how many missed; None for what cannot be, and for a policy's."""
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
        """Whether nothing that can be is left to see."""
        seen = [*self.branches, *(clause.alone for clause in self.asked)]
        return bool(self.record.reached) and 0 not in seen

    @property
    def excluded(self) -> tuple[tuple[str, str], ...]:
        """What cannot be of it, each with the reason."""
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
    """So many of so many."""

    seen: int
    of: int

    @property
    def percent(self) -> float:
        """In percent; of nothing everything was seen."""
        return 100 * self.seen / self.of if self.of else 100.0

    def __str__(self) -> str:
        return f"{self.percent:.0f} % ({self.seen} of {self.of})"


@dataclass(frozen=True, slots=True)
class Report:
    """The coverage of one rule set, `source`, by `tests` on `rule_sets` rule sets that were loaded."""

    source: str
    chains: tuple[ChainRecord, ...]
    rules: tuple[CoveredRule, ...]
    tests: tuple[str, ...]
    rule_sets: int

    @property
    def reached(self) -> Share:
        """Rules and policies that a packet reached."""
        due = [rule for rule in self.rules if rule.reachable]
        return Share(sum(bool(rule.record.reached) for rule in due), len(due))

    @property
    def branches(self) -> Share:
        """Of every rule two: a packet matched it, a packet missed it."""
        due = [branch for rule in self.rules for branch in rule.branches if branch is not None]
        return Share(sum(map(bool, due)), len(due))

    @property
    def clauses(self) -> Share:
        """Clauses that were the only reason for which a packet missed their rule."""
        due = [clause for rule in self.rules for clause in rule.asked]
        return Share(sum(bool(clause.alone) for clause in due), len(due))

    @property
    def missing(self) -> Iterator[tuple[CoveredRule, str]]:
        """What no packet has done although nothing proves that none can."""
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


def report(empty: RuleSetRecord, found: Coverage, by_source: bool = False, proofs: bool = True) -> Report | None:
    """The coverage of a rule set by all that was recorded on the same rules; None where none were loaded.

    Raises Disagreement when a packet did what was proved that none can.

    With `by_source` what was recorded on every rule set of the same source counts: a rule with the same table, chain
    and text is the same rule. `proofs`: whether the rules are in iptables' words, of which something can be proved.
    """
    relevant = [
        one
        for one in found.rule_sets
        if sorted(one.listing) == sorted(empty.listing) or (by_source and one.source == empty.source)
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
    if not by_source:
        _agree(judged)
    chains = tuple(replace(chain, entered=entered[chain.table, chain.name]) for chain in empty.chains)
    tests = {test for rule in counted for test in rule.reached_by}
    return Report(empty.source, chains, judged, tuple(sorted(tests)), len(relevant))


def _agree(rules: Iterable[CoveredRule]) -> None:
    """Proofs and packets are two witnesses of the same rules."""
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
