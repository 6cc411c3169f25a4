"""Whether the cases notice a mutant, and by what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.mutation.outcome import (
    BEHAVIOUR,
    COUNTERS,
    ERROR,
    KILLED,
    NO_COVERAGE,
    SEEN_IN_COUNTERS,
    SURVIVED,
    Outcome,
)
from testbed.mutation.plan import Plan, Task
from testbed.mutation.witness import fares_differently, witness
from testbed.observe import exchange
from testbed.observe.exchange import Seen
from testbed.regress import table
from testbed.regress.campaign import Side, ask
from testbed.regress.difference import KINDS, MOVED, changes
from testbed.regress.mutants import Mutant
from testbed.regress.table import Row
from testbed.rules import AnyRuleset
from testbed.rules.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that ran: the failure in words (empty: it passed), what it was told, for which hosts it made beds."""

    failure: str
    seen: Seen
    hosts: tuple[DockerHost, ...] = ()


@dataclass(slots=True)
class Exchanges:
    """Puts a mutant into every rule set that holds the rule; `pairs` are those rule sets and what they became."""

    mutant: Mutant
    source: str
    pairs: dict[Ruleset, Ruleset] = field(default_factory=dict)

    def __call__(self, rules: AnyRuleset) -> AnyRuleset | None:
        if not isinstance(rules, Ruleset) or self.source not in rules.source:
            return None
        changed = self.mutant.apply(rules)
        if changed is not None:
            self.pairs[rules] = changed
        return changed


class Judge:
    """Runs cases against mutants; `run` runs a case, by name, in this process, on beds just built if told so.

    A case that fails may have seen a packet fare differently or only other counters. To tell, it runs once more and is
    told the counters that it reads without the mutant, on a fresh bed: when it fails even so, it was a packet.
    """

    def __init__(self, run: Callable[[str, bool], Ran], plan: Plan, host: DockerHost) -> None:
        self._run = run
        self._source = plan.source
        self._backend = plan.backend
        self._host = host
        self._table = table.parse(plan.table, "the behaviour table") if plan.table else None
        self._without: dict[str, Ran] = {}

    def outcome(self, mutant: Mutant, rules: Ruleset, task: Task) -> Outcome:
        """What becomes of a mutant."""
        began = time.perf_counter()
        try:
            found = self._judged(mutant, rules, task)
        except TestbedError as error:
            found = Outcome(mutant.id, ERROR, said=error.what)
        return replace(found, cases=len(task.cases), seconds=time.perf_counter() - began)

    def _judged(self, mutant: Mutant, rules: Ruleset, task: Task) -> Outcome:
        if self._table is not None:
            return self._by_table(mutant, rules, self._table)
        exchanges = Exchanges(mutant, self._source)
        hosts: list[DockerHost] = []
        for case in task.cases:
            with exchange.changed(exchanges):
                ran = self._run(case, False)
            hosts.extend(ran.hosts)
            if ran.failure:
                return self._killed(exchanges, case, ran)
        changed = mutant.apply(rules)
        sides = [(self._host, rules, changed)] if changed is not None else []
        sides += [(host, given, now) for host in hosts for given, now in exchanges.pairs.items()]
        status = SURVIVED if task.cases else NO_COVERAGE
        return Outcome(mutant.id, status, witness=witness(mutant, sides, rules, self._backend))

    def _by_table(self, mutant: Mutant, rules: Ruleset, committed: Sequence[Row]) -> Outcome:
        """Held against a behaviour table: whether a row of it is another with the mutant."""
        changed = mutant.apply(rules)
        if changed is None:
            return Outcome(mutant.id, NO_COVERAGE)
        sides = [Side(rules, self._backend), Side(changed, self._backend)]
        now = table.rows(ask(self._host, sides, lambda _: lambda: None).sides[1])
        found = sorted(changes(committed, now), key=lambda change: KINDS.index(change.kind))
        if not found:
            against = witness(mutant, [(self._host, rules, changed)], rules, self._backend)
            return Outcome(mutant.id, SURVIVED, witness=against)
        how = COUNTERS if found[0].kind == MOVED else BEHAVIOUR
        return Outcome(mutant.id, KILLED, how, killer=found[0].probe, said=str(found[0]))

    def _killed(self, exchanges: Exchanges, case: str, ran: Ran) -> Outcome:
        mutant = exchanges.mutant.id
        if refusal := exchange.refusal():
            return Outcome(mutant, ERROR, said=refusal)
        without = self._case_without(case)
        if without.failure:
            return Outcome(mutant, ERROR, said=f"{case} fails without any mutant too, at times: {without.failure}")
        how = BEHAVIOUR
        if not _alike(ran.seen, without.seen):
            with exchange.changed(exchanges), exchange.telling(without.seen):
                blind = self._run(case, True)
            if not blind.failure:
                how = SEEN_IN_COUNTERS if self._fares_differently(exchanges, ran.hosts) else COUNTERS
        return Outcome(mutant, KILLED, how, killer=case, said=ran.failure)

    def _case_without(self, case: str) -> Ran:
        """The case on the rules as they are."""
        if case not in self._without:
            self._without[case] = self._run(case, False)
        return self._without[case]

    def _fares_differently(self, exchanges: Exchanges, hosts: Iterable[DockerHost]) -> bool:
        return any(
            fares_differently(host, given, now, self._backend)
            for host in dict.fromkeys(hosts)
            for given, now in exchanges.pairs.items()
        )


def _alike(seen: Seen, without: Seen) -> bool:
    """Whether a case that may have ended early was told what it is told without the mutant, up to there."""
    return (
        seen.readings == without.readings[: len(seen.readings)]
        and seen.journeys == without.journeys[: len(seen.journeys)]
    )
