"""The result of a mutant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

KILLED, SURVIVED, NO_COVERAGE, EQUIVALENT, ERROR = "killed", "survived", "no coverage", "equivalent", "error"
STATUSES = (KILLED, SURVIVED, NO_COVERAGE, EQUIVALENT, ERROR)

BEHAVIOUR = "behaviour"
SEEN_IN_COUNTERS = "behaviour, seen in counters"
COUNTERS = "counters"


@dataclass(frozen=True, slots=True)
class Witness:
    """A probe that distinguishes a mutant from the rules, with both outcomes; `kind` is one of difference.KINDS.

    `case` is the source of a test to show; it never runs here. Its case fails with the mutant and passes without it;
    both were tried as values (behaviour/case.py). Empty if no case was found.
    """

    probe: str
    kind: str
    before: str
    now: str
    case: str = ""


@dataclass(frozen=True, slots=True)
class MutantResult:
    """The result of a mutant; `status` is one of STATUSES.

    `how` tells how a mutant was killed. BEHAVIOUR: a packet of the case `killer` had another outcome. COUNTERS: only
    counters differed, and no probe has another outcome either. SEEN_IN_COUNTERS: the case saw only counters differ, but
    some probe has another outcome. `cases` is the number of cases that reach the mutation, `ran` the number that ran
    until one killed it. `said` is a proof, a failure or an error as text. `seconds` is the time that the mutant took.
    """

    mutant: str
    status: str
    how: str = ""
    killer: str = ""
    cases: int = 0
    ran: int = 0
    said: str = ""
    seconds: float = 0.0
    witness: Witness | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for the journal, and to send between processes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> MutantResult:
        """Return the result that `as_dict` converted; raise KeyError or TypeError for anything else."""
        witness = value["witness"]
        return cls(**{**value, "witness": Witness(**witness) if witness is not None else None})


@dataclass(frozen=True, slots=True)
class Score:
    """The number of mutants with each result."""

    made: int
    equivalent: int
    by_behaviour: int
    by_counters: int
    survived: int
    no_coverage: int
    errors: int

    @classmethod
    def of(cls, outcomes: Iterable[MutantResult]) -> Score:
        found = list(outcomes)
        number = {status: sum(one.status == status for one in found) for status in STATUSES}
        counters = sum(one.status == KILLED and one.how == COUNTERS for one in found)
        return cls(
            len(found),
            number[EQUIVALENT],
            number[KILLED] - counters,
            counters,
            number[SURVIVED],
            number[NO_COVERAGE],
            number[ERROR],
        )

    @property
    def killed(self) -> int:
        return self.by_behaviour + self.by_counters

    @property
    def percent(self) -> float:
        """Return the percentage of killed mutants among all but equivalent ones and errors; 100 if there are none."""
        judged = self.killed + self.survived + self.no_coverage
        return 100 * self.killed / judged if judged else 100.0
