"""Mutation injection: load other rules in place of a bed's rule set, in a case that does not know of it.

The case sees the rules under their original names. So it detects a mutant by packets and counters, never by the text of
the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from testbed.errors import RulesError
from testbed.observe.journey import ChainTraversal, Journey, RuleEvaluation
from testbed.rules import AnyRuleset, clauses
from testbed.rules.counters import ZERO
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.ruleset import Rule, Ruleset
from testbed.traffic.packet import Crossing

Change = Callable[[AnyRuleset], AnyRuleset | None]  # None: leave these rules unchanged


@dataclass(slots=True)
class Observations:
    """A case's observations in order: the counters it read, the journeys it got, the outcomes of its packets."""

    readings: list[CounterReading] = field(default_factory=list)
    journeys: list[Journey] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)


def _unchanged(_: AnyRuleset) -> None:
    return None


@dataclass(slots=True)
class _Switches:
    """The state of this process: the change of loaded rules, the recorder, and the replayed observations."""

    change: Change = _unchanged
    noted: Observations | None = None
    told: tuple[Iterator[CounterReading], Iterator[Journey]] | None = None
    refusal: str = ""


_switches = _Switches()


@contextmanager
def changed(change: Change) -> Iterator[None]:
    """Let every bed load `change(rules)` in place of its rules while the block runs."""
    _switches.change, _switches.refusal = change, ""
    try:
        yield
    finally:
        _switches.change = _unchanged


@contextmanager
def noting() -> Iterator[Observations]:
    """Record a case's observations while the block runs."""
    seen = _switches.noted = Observations()
    try:
        yield seen
    finally:
        _switches.noted = None


@contextmanager
def telling(seen: Observations) -> Iterator[None]:
    """Replay the counters of another run to a case while the block runs, whatever the rules count now.

    The journey of the other run is replayed if the packet has the same outcome now; else the case gets the present
    journey.
    """
    _switches.told = iter(seen.readings), iter(seen.journeys)
    try:
        yield
    finally:
        _switches.told = None


def to_load(given: AnyRuleset) -> AnyRuleset:
    """Return the rules to load in place of a bed's rules."""
    changed_to = _switches.change(given)
    return given if changed_to is None else changed_to


@contextmanager
def loading(given: AnyRuleset, loaded: AnyRuleset) -> Iterator[None]:
    """Record the refusal of rules that were loaded in place of others."""
    try:
        yield
    except RulesError as error:
        if loaded is not given:
            _switches.refusal = error.what
        raise


def refusal() -> str:
    """Return why changed rules were refused since the last change; empty if they were not."""
    return _switches.refusal


def reading_told(reading: CounterReading) -> CounterReading:
    """Record a reading; return it, or the replayed one."""
    if _switches.noted is not None:
        _switches.noted.readings.append(reading)
    return next(_switches.told[0], reading) if _switches.told is not None else reading


def crossed(crossing: Crossing) -> None:
    """Record a packet's outcome before the case gets it."""
    if _switches.noted is not None:
        _switches.noted.crossings.append(crossing)


def journey_told(journey: Journey) -> Journey:
    """Record a journey; return it, or the replayed one."""
    if _switches.noted is not None:
        _switches.noted.journeys.append(journey)
    if _switches.told is None:
        return journey
    then = next(_switches.told[1], journey)
    return then if _outcome(then) == _outcome(journey) else journey


def _outcome(journey: Journey) -> tuple[object, ...]:
    answers = tuple(answer.kind for answer in journey.answers)
    return journey.end.kind, journey.end.where, journey.translations, answers


@dataclass(frozen=True, slots=True)
class RuleAliases:
    """Maps each loaded (mutated) rule to its name in the original rule set.

    So a test cannot detect a mutant by its text. A rule in both rule sets keeps its name. A rule that is only loaded
    gets the name of an original rule that is not loaded. Both rule sets are in the kernel's words.
    """

    given: tuple[CounterLine, ...]
    called: dict[CounterLine, CounterLine]

    @classmethod
    def of(cls, given: Ruleset, loaded: Ruleset) -> RuleAliases:
        known, there = _lines(given), _lines(loaded)
        called: dict[CounterLine, CounterLine] = {}
        for policies in (True, False):
            lacking = [line for line in known if line.is_policy == policies and line not in there]
            strange = [line for line in there if line.is_policy == policies and line not in known]
            for line in strange:
                same_table = [other for other in lacking if other.table == line.table]
                if same_table:
                    called[line] = same_table[0]
        return cls(known, called)

    def reading(self, counted: CounterReading) -> CounterReading:
        """Return the same counters under the original names; a deleted rule has counted nothing."""
        found = dict.fromkeys(self.given, ZERO)
        policies = {line for line in self.given if line.is_policy}
        for line, counters in counted:
            name = self.called.get(line, line)
            found[name] = found.get(name, ZERO) + counters
            policies.discard(name)
        return CounterReading({line: counters for line, counters in found.items() if line not in policies})

    def journey(self, journey: Journey) -> Journey:
        """Return the same journey under the original names."""
        passes = tuple(
            replace(passed, hooks=tuple(replace(hook, chains=self._chains(hook.chains)) for hook in passed.hooks))
            for passed in journey.passes
        )
        table, _, text = journey.end.by.partition(" -A ")
        by = f"{table} {self._rule(table, f'-A {text}').text}" if text else journey.end.by
        copies = tuple(map(self.journey, journey.copies))
        return replace(journey, passes=passes, end=replace(journey.end, by=by), copies=copies)

    def _chains(self, chains: tuple[ChainTraversal, ...]) -> tuple[ChainTraversal, ...]:
        return tuple(
            replace(
                chain,
                asked=tuple(self._asked(chain.table, asked) for asked in chain.asked),
                not_reached=tuple(self._rule(chain.table, rule.text, rule.line) for rule in chain.not_reached),
            )
            for chain in chains
        )

    def _asked(self, table: str, asked: RuleEvaluation) -> RuleEvaluation:
        into = self._chains((asked.into,))[0] if asked.into is not None else None
        rule = self._rule(table, asked.rule.text, asked.rule.line)
        own = clauses.clauses(rule.spec) if rule.text != asked.rule.text else ()
        failed = asked.failed
        if failed is not None:  # in the words of the original rule, if that has such a clause
            failed = next((clause for clause in own if clause.option == failed.option), failed)
        return replace(asked, rule=rule, into=into, failed=failed)

    def _rule(self, table: str, text: str, number: int = 0) -> Rule:
        """Return a rule under its original name."""
        name = self.called.get(CounterLine(table, text))
        _, chain, *spec = (text if name is None else name.text).split(" ", 2)
        return Rule(chain, "".join(spec), line=number)


def _lines(rules: Ruleset) -> tuple[CounterLine, ...]:
    """Return every policy and rule, chain by chain."""
    texts = (
        (table.name, text, ZERO)
        for table in rules.tables
        for chain in table.chains
        for text in (
            *([f":{chain.name} {chain.policy}"] if chain.policy is not None else []),
            *(rule.text for rule in table.rules_of(chain.name)),
        )
    )
    return tuple(line for line, _ in CounterReading.of(texts))
