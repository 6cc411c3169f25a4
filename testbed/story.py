"""Packets followed through a bed one after the other: each with its journey and what every rule counted for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from testbed.observe.journey import Journey
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
