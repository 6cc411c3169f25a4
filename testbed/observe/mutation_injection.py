"""Other rules in place of those that a bed is given: how a mistake gets into a case that knows nothing of it.

The case goes on to see the rules under the names that they had, so that it notices a mistake by what packets do and by
what rules count, never by reading the rules.
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

Change = Callable[[AnyRuleset], AnyRuleset | None]  # None: these rules are not to be changed


@dataclass(slots=True)
class Observations:
    """What a case was told, in order: the counters it read, the journeys it asked for, how its packets came out."""

    readings: list[CounterReading] = field(default_factory=list)
    journeys: list[Journey] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)


def _unchanged(_: AnyRuleset) -> None:
    return None


@dataclass(slots=True)
class _Switches:
    """Of this process: what beds load, what is noted, and what a case is told in place of what there is."""

    change: Change = _unchanged
    noted: Observations | None = None
    told: tuple[Iterator[CounterReading], Iterator[Journey]] | None = None
    refusal: str = ""


_switches = _Switches()


@contextmanager
def changed(change: Change) -> Iterator[None]:
    """While the block runs every bed loads what `change` makes of the rules that it is given."""
    _switches.change, _switches.refusal = change, ""
    try:
        yield
    finally:
        _switches.change = _unchanged


@contextmanager
def noting() -> Iterator[Observations]:
    """Note what a case is told while the block runs."""
    seen = _switches.noted = Observations()
    try:
        yield seen
    finally:
        _switches.noted = None


@contextmanager
def telling(seen: Observations) -> Iterator[None]:
    """While the block runs a case is told the counters of another run of it, whatever rules count now.

    A journey is told as it was then where the packet came out as it did then; otherwise it is told as it is.
    """
    _switches.told = iter(seen.readings), iter(seen.journeys)
    try:
        yield
    finally:
        _switches.told = None


def to_load(given: AnyRuleset) -> AnyRuleset:
    """The rules to load for those that a bed is given."""
    changed_to = _switches.change(given)
    return given if changed_to is None else changed_to


@contextmanager
def loading(given: AnyRuleset, loaded: AnyRuleset) -> Iterator[None]:
    """Notes it when rules are refused that were loaded in place of others."""
    try:
        yield
    except RulesError as error:
        if loaded is not given:
            _switches.refusal = error.what
        raise


def refusal() -> str:
    """Why changed rules were refused since the last change of what is loaded; empty when they were not."""
    return _switches.refusal


def reading_told(reading: CounterReading) -> CounterReading:
    """What a case is told for a reading."""
    if _switches.noted is not None:
        _switches.noted.readings.append(reading)
    return next(_switches.told[0], reading) if _switches.told is not None else reading


def crossed(crossing: Crossing) -> None:
    """A case is about to be told how a packet came out."""
    if _switches.noted is not None:
        _switches.noted.crossings.append(crossing)


def journey_told(journey: Journey) -> Journey:
    """What a case is told for a journey."""
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
    """What the rules that are loaded are called by somebody who knows only those that were given.

    A rule that both have keeps its name; one that only the loaded ones have goes by that of the one that they lack.
    Both rule sets are in the kernel's words.
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
        """The same counters under the names that are known; a rule that is gone has counted nothing."""
        found = dict.fromkeys(self.given, ZERO)
        policies = {line for line in self.given if line.is_policy}
        for line, counters in counted:
            name = self.called.get(line, line)
            found[name] = found.get(name, ZERO) + counters
            policies.discard(name)
        return CounterReading({line: counters for line, counters in found.items() if line not in policies})

    def journey(self, journey: Journey) -> Journey:
        """The same journey under the names that are known."""
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
        if failed is not None:  # in the words of the rule as it is known, where that has such a clause
            failed = next((clause for clause in own if clause.option == failed.option), failed)
        return replace(asked, rule=rule, into=into, failed=failed)

    def _rule(self, table: str, text: str, number: int = 0) -> Rule:
        """A rule under the name that is known."""
        name = self.called.get(CounterLine(table, text))
        _, chain, *spec = (text if name is None else name.text).split(" ", 2)
        return Rule(chain, "".join(spec), line=number)


def _lines(rules: Ruleset) -> tuple[CounterLine, ...]:
    """Every policy and rule, chain by chain."""
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
