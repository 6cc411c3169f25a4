"""The results of a benchmark: times, what they are compared with, and goals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

GOAL_FOR_300 = 30.0  # seconds to make and judge 300 mutants
_GROWTH_GOALS = {100: 3.0}  # seconds to build a host of that many containers


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one action, in seconds, in the order of the rounds."""

    what: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output, in milliseconds."""
        return {
            "what": self.what,
            "times": len(self.seconds),
            "median_ms": _ms(self.median),
            "lowest_ms": _ms(min(self.seconds)),
            "highest_ms": _ms(max(self.seconds)),
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the benchmark: our times, the other's times if any, and the goal if any.

    `at_most` is the goal of our median in seconds, `ratio_at_most` that of the ratio.
    """

    name: str
    ours: Times
    other: Times | None = None
    at_most: float | None = None
    ratio_at_most: float | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return our time divided by the other's, for each round: a disturbance of the machine affects both times."""
        if self.other is None:
            return ()
        return tuple(ours / other for ours, other in zip(self.ours.seconds, self.other.seconds, strict=True))

    @property
    def ratio(self) -> float | None:
        """Return the median of the ratios; below 1 ours is faster."""
        return median(self.ratios) if self.ratios else None

    @property
    def goal(self) -> str:
        """Return the goal as text, empty if there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most * 1000:g} ms"
        return f"ratio ≤ {self.ratio_at_most:g}" if self.ratio_at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None if there is none."""
        if self.at_most is not None:
            return self.ours.median <= self.at_most
        if self.ratio_at_most is not None and self.ratio is not None:
            return self.ratio <= self.ratio_at_most
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {
            "name": self.name,
            "ours": self.ours.as_dict(),
            "other": self.other.as_dict() if self.other is not None else None,
            "ratio": round(self.ratio, 3) if self.ratio is not None else None,
            "ratio_lowest": round(min(self.ratios), 3) if self.ratios else None,
            "ratio_highest": round(max(self.ratios), 3) if self.ratios else None,
            "goal": self.goal,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Throughput:
    """The number of cases that passed, the seconds (the start of pytest included), and the number of processors."""

    cases: int
    seconds: float
    cores: int

    @property
    def per_core(self) -> float:
        """Return cases per second and processor."""
        return self.cases / (self.seconds * self.cores)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {
            "cases": self.cases,
            "seconds": round(self.seconds, 2),
            "cores": self.cores,
            "cases_per_second_and_core": round(self.per_core, 2),
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """Campaigns: the number of mutants `made` of the article's rules, of those `judged` by cases, and the seconds.

    `baseline` are those of the `seconds` that the cases took on the original rules, `ran` the cases that ran on
    mutants.
    """

    campaigns: int
    made: int
    judged: int
    ran: int
    seconds: float
    baseline: float
    cores: int

    @property
    def cases_per_mutant(self) -> float:
        """Return the average number of cases that ran on a mutant, until one killed it or all had run."""
        return self.ran / self.judged

    @property
    def per_second(self) -> float:
        """Return mutants judged in a second, by all processors."""
        return self.judged / (self.seconds - self.baseline)

    @property
    def for_300(self) -> float:
        """Return seconds for a campaign over 300 mutants: for the cases on the original rules, and for the mutants."""
        return self.baseline / self.campaigns + (self.seconds - self.baseline) * 300 / self.made

    @property
    def met(self) -> bool:
        """Return whether 300 mutants meet the goal."""
        return self.for_300 <= GOAL_FOR_300

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {
            "made": self.made,
            "judged": self.judged,
            "cases_per_mutant": round(self.cases_per_mutant, 2),
            "seconds": round(self.seconds, 2),
            "baseline_seconds": round(self.baseline, 2),
            "cores": self.cores,
            "judged_per_second": round(self.per_second, 2),
            "seconds_for_300": round(self.for_300, 2),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Grown:
    """A host with that many containers: its rules, and times in seconds.

    `build` with rules loaded, `probe` for one published port, `read` of all counters, `remove`.
    """

    containers: int
    rules: int
    build: float
    probe: float
    read: float
    remove: float

    @property
    def goal(self) -> float | None:
        """Return the goal of building in seconds; None if there is none."""
        return _GROWTH_GOALS.get(self.containers)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output, in milliseconds."""
        times = {"build": self.build, "probe": self.probe, "read": self.read, "remove": self.remove}
        return {"containers": self.containers, "rules": self.rules, **{f"{k}_ms": _ms(v) for k, v in times.items()}}


@dataclass(frozen=True, slots=True)
class Bench:
    """All results of one run; `left_out` are sentences on what was not measured, and why."""

    rounds: int
    figures: tuple[Figure, ...]
    growth: tuple[Grown, ...]
    throughput: Throughput | None
    judged: Judged | None
    left_out: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {
            "rounds": self.rounds,
            "figures": [figure.as_dict() for figure in self.figures],
            "growth": [grown.as_dict() for grown in self.growth],
            "cases": self.throughput.as_dict() if self.throughput is not None else None,
            "mutants": self.judged.as_dict() if self.judged is not None else None,
            "left_out": list(self.left_out),
        }


def timed(action: Callable[[], object]) -> float:
    """Return the time of an action in seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
