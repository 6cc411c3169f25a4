"""The run of a case with a mutant: the change of the rules, the case's observations, and those that are replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from testbed.bed_events import BedObserver
from testbed.observe.journey import Journey
from testbed.observe.packet_result import PacketResult
from testbed.rules import AnyRuleset
from testbed.rules.reading import CounterReading

Change = Callable[[AnyRuleset], AnyRuleset | None]  # None: leave these rules unchanged


@dataclass(slots=True)
class Observations(BedObserver):
    """A case's observations in order: the counters it read, the journeys it got, the outcomes of its packets."""

    readings: list[CounterReading] = field(default_factory=list)
    journeys: list[Journey] = field(default_factory=list)
    results: list[PacketResult] = field(default_factory=list)

    def read(self, reading: CounterReading) -> None:
        self.readings.append(reading)

    def traced(self, journey: Journey) -> None:
        self.journeys.append(journey)

    def sent(self, result: PacketResult) -> None:
        self.results.append(result)


class Replay:
    """Replays the observations of another run.

    Counters are replayed whatever the rules count now. A journey is replayed if the packet has the same outcome now;
    else the case gets the present journey.
    """

    def __init__(self, seen: Observations) -> None:
        self._readings: Iterator[CounterReading] = iter(seen.readings)
        self._journeys: Iterator[Journey] = iter(seen.journeys)

    def reading(self, present: CounterReading) -> CounterReading:
        return next(self._readings, present)

    def journey(self, present: Journey) -> Journey:
        then = next(self._journeys, present)
        return then if _outcome(then) == _outcome(present) else present


def _unchanged(_: AnyRuleset) -> None:
    return None


@dataclass(slots=True)
class Injection:
    """One run of a case: every bed loads `change(rules)` in place of its rules.

    `refusal` says why changed rules were refused, `bypassed` names rules that a bed loaded unchanged because the case
    made that bed by itself; both are empty if that did not happen.
    """

    change: Change = _unchanged
    replay: Replay = field(default_factory=lambda: Replay(Observations()))
    seen: Observations = field(default_factory=Observations)
    refusal: str = ""
    bypassed: str = ""

    def to_load(self, rules: AnyRuleset) -> AnyRuleset:
        """Return the rules to load in place of a bed's rules."""
        changed = self.change(rules)
        return rules if changed is None else changed


def _outcome(journey: Journey) -> tuple[object, ...]:
    answers = tuple(answer.kind for answer in journey.answers)
    return journey.end.kind, journey.end.where, journey.translations, answers
