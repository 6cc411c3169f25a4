"""Packets sent through a bed one after the other, each with its journey and the counters of every rule for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.observe.crosscheck import traced
from testbed.observe.journey import Journey
from testbed.question import Talk
from testbed.rules.reading import CounterReading
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology


@dataclass(frozen=True, slots=True)
class CountedJourney:
    """A packet's journey; `before` are the counters before this packet, `counted` those of this packet."""

    journey: Journey
    before: CounterReading
    counted: CounterReading


@dataclass(frozen=True, slots=True)
class Story:
    """Packets sent one after the other through one bed; `rules` are the host's, in the kernel's words.

    `about` names the source of the rules and the backend.
    """

    title: str
    about: str
    topology: Topology
    rules: Ruleset
    packets: tuple[CountedJourney, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the packets for JSON output: each journey, with the counters of each rule and policy for it."""
        return {
            "title": self.title,
            "about": self.about,
            "packets": [
                {
                    **followed.journey.as_dict(),
                    "counted": [
                        {"table": line.table, "line": line.text, "packets": counters.packets, "bytes": counters.bytes}
                        for line, counters in followed.counted.moved
                    ],
                }
                for followed in self.packets
            ],
        }


def follow(bed: Testbed, talk: Talk) -> tuple[CountedJourney, ...]:
    """Return every packet of a talk, traced and counted one by one; each journey is sent into the talk."""
    followed: list[CountedJourney] = []
    with bed.tracing() as tracing, suppress(StopIteration):
        before = bed.counters()
        result = next(talk)
        while True:
            journey = tracing.journey(result)
            now = bed.counters()
            followed.append(CountedJourney(journey, before, now - before))
            before = now
            result = talk.send(journey)
    return tuple(followed)


def follow_kernel(bed: Testbed, act: Callable[[], object]) -> tuple[CountedJourney, ...]:
    """Return every packet that passes a router while a node's own kernel acts; the counters are those of the trace."""
    before = bed.counters()
    with bed.tracing() as tracing:
        act()
    followed: list[CountedJourney] = []
    for journey in tracing.journeys():
        if journey.is_copy:
            continue
        counted = traced([journey, *journey.copies], before)
        followed.append(CountedJourney(journey, before, counted))
        before = before + counted
    return tuple(followed)
