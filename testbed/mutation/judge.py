"""Decide whether the cases kill a mutant, and by what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from testbed.behaviour import table
from testbed.behaviour.difference import KINDS, MOVED, changes
from testbed.behaviour.mutants import Mutant
from testbed.behaviour.probe_cache import ProbeCache
from testbed.behaviour.table import Row
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.mutation.injection import Injection, Observations, Replay
from testbed.mutation.outcome import (
    BEHAVIOUR,
    COUNTERS,
    ERROR,
    KILLED,
    NO_COVERAGE,
    SEEN_IN_COUNTERS,
    SURVIVED,
    MutantResult,
    Witness,
)
from testbed.mutation.plan import Plan, Task
from testbed.mutation.proposal import setting
from testbed.mutation.witness import Sides, fares_differently, witness
from testbed.rules import AnyRuleset
from testbed.rules.ruleset import Ruleset

_BYPASSED = "{} makes a bed by itself, where no mutant of {} is loaded: it has to use the fixture make_bed"
_HOSTS = 4  # hosts of cases on which a witness is searched


@dataclass(frozen=True, slots=True)
class CaseRun:
    """The run of a case: the failure as text (empty: it passed), its observations, and the hosts of its beds."""

    failure: str
    seen: Observations
    hosts: tuple[DockerHost, ...] = ()


@dataclass(slots=True)
class Exchanges:
    """Injects a mutant into every rule set that has the rule; `pairs` map those rule sets to their mutants.

    With an `engine` only the rule sets that it wrote are changed.
    """

    mutant: Mutant
    engine: str
    pairs: dict[Ruleset, Ruleset] = field(default_factory=dict)

    def __call__(self, rules: AnyRuleset) -> AnyRuleset | None:
        own = rules.as_iptables
        if own is None or self.engine not in ("", rules.origin.engine):
            return None
        changed = self.mutant.apply(own)
        if changed is not None:
            self.pairs[own] = changed
        return changed

    def sides(self, host: DockerHost) -> list[Sides]:
        """Return the mutated rule sets, on a host."""
        return [(host, given, now) for given, now in self.pairs.items()]


class MutantJudge:
    """Runs cases against mutants; `run` runs a case, by name, in this process with an injection.

    A failed case may have seen another outcome of a packet, or only other counters. If no packet that it sent between
    endpoints had another result than without the mutant, the case runs again with the counters that it reads without
    the mutant. If it fails again, a packet was the reason.
    """

    def __init__(self, run: Callable[[str, Injection], CaseRun], plan: Plan, host: DockerHost) -> None:
        self._run = run
        self._engine = plan.engine
        self._backend = plan.backend
        self._host = host
        self._table = table.parse(plan.table, "the behaviour table") if plan.table else None
        self._without: dict[str, CaseRun] = {}
        self._memory = ProbeCache()

    def outcome(self, mutant: Mutant, rules: Ruleset, task: Task) -> MutantResult:
        """Return the result of a mutant."""
        began = time.perf_counter()
        try:
            found = self._judged(mutant, rules, task)
        except TestbedError as error:
            found = MutantResult(mutant.id, ERROR, said=error.what)
        ran = task.cases.index(found.killer) + 1 if found.killer in task.cases else len(task.cases)
        return replace(found, cases=len(task.cases), ran=ran, seconds=time.perf_counter() - began)

    def close(self) -> None:
        """Close the beds that probes used."""
        self._memory.close()

    def _judged(self, mutant: Mutant, rules: Ruleset, task: Task) -> MutantResult:
        if self._table is not None:
            return self._by_table(mutant, rules, self._table)
        met: dict[Sides, None] = {}
        for case in task.cases:
            exchanges = Exchanges(mutant, self._engine)
            injection = Injection(exchanges)
            ran = self._run(case, injection)
            if injection.bypassed:
                return MutantResult(mutant.id, ERROR, said=_BYPASSED.format(case, injection.bypassed))
            if ran.failure:
                return self._killed(exchanges, case, ran, injection.refusal)
            met |= dict.fromkeys(sides for host in ran.hosts for sides in exchanges.sides(host))
        status = SURVIVED if task.cases else NO_COVERAGE
        return MutantResult(mutant.id, status, witness=self._witness(mutant, rules, met))

    def _witness(self, mutant: Mutant, rules: Ruleset, met: Iterable[Sides]) -> Witness | None:
        """Search a witness on the campaign's host with its rules, then on the cases' smallest hosts with theirs."""
        under_test = None if self._engine else rules
        known = [(host, given, now) for host, given, now in met if setting(host, given, under_test) is not None]
        asked = sorted(known, key=lambda sides: len(sides[0].containers))[:_HOSTS]
        changed = mutant.apply(rules)
        if changed is not None:
            asked.insert(0, (self._host, rules, changed))
        return witness(mutant, asked, under_test, self._backend, self._memory)

    def _by_table(self, mutant: Mutant, rules: Ruleset, committed: Sequence[Row]) -> MutantResult:
        """Compare a mutant with a behaviour table: it is killed if a row differs."""
        changed = mutant.apply(rules)
        if changed is None:
            return MutantResult(mutant.id, NO_COVERAGE)
        sides = RulesetVariant(rules, self._backend), RulesetVariant(changed, self._backend)
        now = table.rows(self._memory.ask(self._host, *sides).sides[1])
        found = sorted(changes(committed, now), key=lambda change: KINDS.index(change.kind))
        if not found:
            return MutantResult(mutant.id, SURVIVED, witness=self._witness(mutant, rules, ()))
        how = COUNTERS if found[0].kind == MOVED else BEHAVIOUR
        return MutantResult(mutant.id, KILLED, how, killer=found[0].probe, said=str(found[0]))

    def _killed(self, exchanges: Exchanges, case: str, ran: CaseRun, refusal: str) -> MutantResult:
        mutant = exchanges.mutant.id
        if refusal:
            return MutantResult(mutant, ERROR, said=refusal)
        without = self._case_without(case)
        if without.failure:
            return MutantResult(mutant, ERROR, said=f"{case} fails without any mutant too, at times: {without.failure}")
        how = BEHAVIOUR
        if not _crossed_otherwise(ran.seen, without.seen) and not _alike(ran.seen, without.seen):
            blind = self._run(case, Injection(exchanges, Replay(without.seen)))
            if not blind.failure:
                how = SEEN_IN_COUNTERS if self._fares_differently(exchanges, ran.hosts) else COUNTERS
        return MutantResult(mutant, KILLED, how, killer=case, said=ran.failure)

    def _case_without(self, case: str) -> CaseRun:
        """Return the run of the case on the original rules."""
        if case not in self._without:
            self._without[case] = self._run(case, Injection())
        return self._without[case]

    def _fares_differently(self, exchanges: Exchanges, hosts: Iterable[DockerHost]) -> bool:
        met = dict.fromkeys(sides for host in hosts for sides in exchanges.sides(host))
        return any(fares_differently(*sides, self._backend, self._memory) for sides in met)


def _crossed_otherwise(seen: Observations, without: Observations) -> bool:
    """Return whether a packet that a case sent in both runs had another result."""
    both = zip(seen.results, without.results, strict=False)
    return any(one.sent == other.sent and one.arrived != other.arrived for one, other in both)


def _alike(seen: Observations, without: Observations) -> bool:
    """Return whether a case, which may have ended early, read the same values as without the mutant up to its end."""
    return (
        seen.readings == without.readings[: len(seen.readings)]
        and seen.journeys == without.journeys[: len(seen.journeys)]
    )
