"""A recorder of rule coverage: every bed of this process is traced while a rule set is loaded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from testbed.bed import Testbed
from testbed.bed_events import BedObserver, observing
from testbed.coverage.records import ChainRecord, ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.errors import TestbedError
from testbed.observe.background import BackgroundTracing
from testbed.observe.crosscheck import chain_passes, verify
from testbed.observe.journey import Journey, RuleEvaluation
from testbed.observe.tracing import Tracing, Watcher
from testbed.rules import AnyRuleset
from testbed.rules.clauses import Clause
from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.ruleset import Rule
from testbed.rules.syntax import Syntax

Place = tuple[str, str, int]  # table, chain, number of the rule; 0 for the policy
_POLICY = "policy "


class Recorder(BedObserver):
    """Traces every bed that is made while it is installed; `coverage` is the result.

    `test` is the name of the test that sends packets now. A case may trace its bed itself. The recorder then pauses,
    and uses the journeys of the case's own tracing.
    """

    def __init__(self) -> None:
        self.test = ""
        self._beds: dict[int, _Watched] = {}
        self._tallies: dict[tuple[object, ...], _RuleSetTally] = {}
        self._troubles: list[str] = []

    @property
    def coverage(self) -> Coverage:
        return Coverage(tuple(tally.record for tally in self._tallies.values()), tuple(self._troubles))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Trace the beds of this process while the block runs."""
        with observing(self):
            yield

    def ends(self, test: str) -> None:
        """Record the packets that a test has sent through beds that outlive it."""
        self.test = test
        for watched in self._beds.values():
            watched.harvest()
        self.test = ""

    def loaded(self, bed: Testbed) -> None:
        self._beds[id(bed)] = _Watched(bed, self)
        self._beds[id(bed)].start()

    def leaving(self, bed: Testbed) -> None:
        if (watched := self._beds.get(id(bed))) is not None:
            watched.finish()
            del self._beds[id(bed)]

    def watcher(self, bed: Testbed) -> Watcher | None:
        return self._beds.get(id(bed))

    def tally(self, loaded: AnyRuleset, book: LoadedRuleset) -> _RuleSetTally:
        """Return the tally of the packets that pass a rule set."""
        record = rule_set_of(loaded, book)
        return self._tallies.setdefault(record.key, _RuleSetTally(record))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Record an error of the trace: the case is not at fault, but the coverage is incomplete."""
        try:
            yield
        except TestbedError as error:
            self._troubles.append(f"{self.test or 'outside of a test'}: {error.what}")


class _Watched(BackgroundTracing):
    """A bed with one rule set loaded."""

    def __init__(self, bed: Testbed, recorder: Recorder) -> None:
        super().__init__(bed, recorder.noting)
        self._bed = bed
        self._recorder = recorder
        self._journeys: list[Journey] = []

    def start(self) -> None:
        with self._recorder.noting():
            self._before = self._bed.counters()
            self.trace()

    def finish(self) -> None:
        """End the tracing, and compare the trace with the counters."""
        self.pause()
        with self._recorder.noting():
            counted = self._bed.counters() - self._before
            verify(self._journeys, counted, self._bed.loaded.syntax.counts_before_the_end)

    def traces(self, tracing: Tracing) -> None:
        self._tally = self._recorder.tally(self._bed.loaded, tracing.book)

    def took(self, journeys: Iterable[Journey]) -> None:
        for journey in journeys:
            self._journeys.append(journey)
            self._tally.take(journey, self._recorder.test)


@dataclass(slots=True)
class _RuleTally:
    reached: int = 0
    matched: int = 0
    alone: Counter[Clause] = field(default_factory=Counter)
    alone_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unknown: Counter[Clause] = field(default_factory=Counter)
    reached_by: set[str] = field(default_factory=set)
    matched_by: set[str] = field(default_factory=set)

    def add(self, test: str, matched: bool) -> None:
        self.reached += 1
        self.reached_by.add(test)
        if matched:
            self.matched += 1
            self.matched_by.add(test)

    def blame(self, test: str, asked: RuleEvaluation) -> None:
        if asked.alone is not None:
            self.alone[asked.alone] += 1
            self.alone_by[asked.alone.text].add(test)
        self.unknown.update(asked.unknown)

    def clause(self, text: str) -> ClauseRecord:
        """Return the record of a clause."""
        alone_by = tuple(sorted(self.alone_by[text]))
        return ClauseRecord(text, _of(self.alone, text), _of(self.unknown, text), alone_by)


@dataclass(slots=True)
class _RuleSetTally:
    """Counts the packets that pass a rule set."""

    empty: RuleSetRecord
    entered: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: defaultdict[Place, _RuleTally] = field(default_factory=lambda: defaultdict(_RuleTally))

    def take(self, journey: Journey, test: str) -> None:
        for _, hook in journey.hooks:
            for chain in chain_passes(hook.chains):
                self.entered[chain.table, chain.chain] += 1
                for asked in chain.asked:
                    tally = self.rules[chain.table, chain.chain, asked.number]
                    tally.add(test, asked.matched)
                    tally.blame(test, asked)
            for base in hook.chains:
                if base.end.startswith(_POLICY):
                    self.rules[base.table, base.chain, 0].add(test, matched=True)

    @property
    def record(self) -> RuleSetRecord:
        return replace(
            self.empty,
            chains=tuple(replace(one, entered=self.entered[one.table, one.name]) for one in self.empty.chains),
            rules=tuple(self._counted(rule) for rule in self.empty.rules),
        )

    def _counted(self, rule: RuleRecord) -> RuleRecord:
        tally = self.rules[rule.table, rule.chain, rule.number]
        return replace(
            rule,
            clauses=tuple(tally.clause(one.text) for one in rule.clauses),
            reached=tally.reached,
            matched=tally.matched,
            reached_by=tuple(sorted(tally.reached_by)),
            matched_by=tuple(sorted(tally.matched_by)),
        )


def _of(counted: Counter[Clause], text: str) -> int:
    return sum(number for clause, number in counted.items() if clause.text == text)


def rule_set_of(loaded: AnyRuleset, book: LoadedRuleset) -> RuleSetRecord:
    """Return the record of a rule set without packets; texts and lines are the loaded ones, words are the kernel's."""
    known = {(chain.table, chain.name): chain for chain in book}
    if (iptables := loaded.as_iptables) is None:
        shown = [_Shown(chain.table, chain.name, chain.base.policy if chain.base else "") for chain in book]
    else:
        shown = [
            _Shown(table.name, chain.name, chain.policy or "", chain.line, table.rules_of(chain.name))
            for table in iptables.tables
            for chain in table.chains
        ]
    rules = (rule for chain in shown for rule in chain.rules(known.get((chain.table, chain.name)), loaded.syntax))
    chains = tuple(ChainRecord(chain.table, chain.name, chain.policy, chain.line) for chain in shown)
    return RuleSetRecord(loaded.source, tuple(loaded.listing), chains, tuple(rules), loaded.origin.engine)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A chain as in the rule set's text."""

    table: str
    name: str
    policy: str
    line: int = 0
    written: tuple[Rule, ...] = ()

    def rules(self, held: LoadedChain | None, syntax: Syntax) -> Iterator[RuleRecord]:
        """Yield its rules and its policy; the kernel may hold more rules than were written (`-s` with several
        addresses).
        """
        words = held.rules if held is not None else ()
        written = self.written if len(self.written) == len(words) else words
        for number, (own, rule) in enumerate(zip(written, words, strict=True), start=1):
            asked = tuple(ClauseRecord(clause.text) for clause in syntax.clauses(rule.spec))
            yield RuleRecord(self.table, self.name, number, own.text, rule.text, own.line, asked)
        if self.policy:
            policy = f":{self.name} {self.policy}"
            yield RuleRecord(self.table, self.name, 0, policy, policy, self.line)
