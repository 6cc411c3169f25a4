"""What became of a mutant."""

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
    """A probe that tells a mutant from the rules, and what becomes of it with each; `kind` is one of difference.KINDS.

    `case` is the source of a test that is shown, and never run here: its case fails with the mutant and passes without
    it, both tried as values (behaviour/case.py). Empty where none was found.
    """

    probe: str
    kind: str
    before: str
    now: str
    case: str = ""


@dataclass(frozen=True, slots=True)
class MutantResult:
    """What became of a mutant; `status` is one of STATUSES.

    `how` says what gave a killed one away: BEHAVIOUR, a packet of the case `killer` fared differently; COUNTERS, only
    rules counted differently, and no probe fares differently either; SEEN_IN_COUNTERS, the case noticed only counters,
    and yet some probe fares differently. `cases` is how many reach the mistake, `ran` how many of them ran until one
    noticed it, `said` a proof, a failure or an error in words, `seconds` the time that it took.
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
        """For a journal, and to be sent between processes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> MutantResult:
        """What `as_dict` was made of; KeyError or TypeError for anything else."""
        witness = value["witness"]
        return cls(**{**value, "witness": Witness(**witness) if witness is not None else None})


@dataclass(frozen=True, slots=True)
class Score:
    """How many mutants came out how."""

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
        """Of the mutants that can be told from the rules, how many were killed: 100 where there are none."""
        judged = self.killed + self.survived + self.no_coverage
        return 100 * self.killed / judged if judged else 100.0
