"""Packets followed through a bed one after the other: each with its journey and what every rule counted for it."""

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
class Followed:
    """A packet's journey; `before` is what all rules had counted, `counted` what they counted for this packet."""

    journey: Journey
    before: CounterReading
    counted: CounterReading


@dataclass(frozen=True, slots=True)
class Story:
    """Packets sent one after the other through one bed; `rules` are the host's, in the kernel's words.

    `about` says whose rules they are and who loaded them.
    """

    title: str
    about: str
    topology: Topology
    rules: Ruleset
    packets: tuple[Followed, ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs: each packet's journey, with what each rule and policy counted for it."""
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


def follow(bed: Testbed, talk: Talk) -> tuple[Followed, ...]:
    """Every packet of a talk, traced and counted one by one; the talk is told each journey before it goes on."""
    followed: list[Followed] = []
    with bed.tracing() as tracing, suppress(StopIteration):
        before = bed.counters()
        crossing = next(talk)
        while True:
            journey = tracing.journey(crossing)
            now = bed.counters()
            followed.append(Followed(journey, before, now - before))
            before = now
            crossing = talk.send(journey)
    return tuple(followed)


def follow_kernel(bed: Testbed, act: Callable[[], object]) -> tuple[Followed, ...]:
    """Every packet that passes a router while a node's own kernel does something; each counted as it was traced."""
    before = bed.counters()
    with bed.tracing() as tracing:
        act()
    followed: list[Followed] = []
    for journey in tracing.journeys():
        if journey.is_copy:
            continue
        counted = traced([journey, *journey.copies], before)
        followed.append(Followed(journey, before, counted))
        before = before + counted
    return tuple(followed)
