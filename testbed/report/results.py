"""The results of a run of the cases, read from the JUnit XML that `invoke test --junit FILE` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from testbed.errors import TestbedError
from testbed.rules import files

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
_OUTCOMES = {"failure": FAILED, "error": FAILED, "skipped": SKIPPED}
_WORST_FIRST = (FAILED, SKIPPED, PASSED)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a case; `suite` is its file (`cases.article.test_3_syn`), `message` describes the failure."""

    suite: str
    name: str
    outcome: str
    seconds: float
    message: str = ""

    def is_of(self, case: str) -> bool:
        """Return whether this is a run of a case that is written `file.py::function`, with any parameters."""
        file, _, function = case.partition("::")
        return self.suite.split(".")[-1] == file.removesuffix(".py") and self.name.partition("[")[0] == function


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of results with each outcome."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float

    @classmethod
    def of(cls, name: str, results: Iterable[Result]) -> Tally:
        counted = list(results)
        passed, failed, skipped = (
            sum(result.outcome == outcome for result in counted) for outcome in (PASSED, FAILED, SKIPPED)
        )
        return cls(name, passed, failed, skipped, sum(result.seconds for result in counted))

    @property
    def ran(self) -> int:
        return self.passed + self.failed


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run: its start (as the file has it) and every result, failures first."""

    when: str
    all: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.all if result.outcome == FAILED)

    @property
    def total(self) -> Tally:
        return Tally.of("all cases", self.all)

    @property
    def by_suite(self) -> tuple[Tally, ...]:
        """Return a tally for each file; files with failures first."""
        suites = sorted({result.suite for result in self.all})
        tallies = [Tally.of(suite, (result for result in self.all if result.suite == suite)) for suite in suites]
        return tuple(sorted(tallies, key=lambda tally: not tally.failed))

    def of_cases(self, cases: Sequence[str]) -> Tally:
        """Return the tally of cases that are written `file.py::function`."""
        return Tally.of("", (result for result in self.all if any(result.is_of(case) for case in cases)))


def read(path: Path) -> Results:
    """Return the results in a file; raise TestbedError if it cannot be read or has none."""
    try:
        suites = list(ElementTree.fromstring(path.read_bytes()).iter("testsuite"))
    except (OSError, ElementTree.ParseError) as error:
        raise TestbedError(
            f"the results {path} cannot be read: {files.reason(error)}.",
            "Give the file that `invoke test --junit FILE` wrote.",
        ) from error
    found = [_result(case) for suite in suites for case in suite.iter("testcase")]
    if not found:
        raise TestbedError(f"there are no results in {path}.", "Give the file that `invoke test --junit FILE` wrote.")
    when = suites[0].get("timestamp", "").partition(".")[0].replace("T", " ")
    return Results(when, tuple(sorted(found, key=lambda result: _WORST_FIRST.index(result.outcome))))


def _result(case: ElementTree.Element) -> Result:
    trouble = [part for part in case if part.tag in _OUTCOMES]
    outcome = min((_OUTCOMES[part.tag] for part in trouble), key=_WORST_FIRST.index, default=PASSED)
    message = "\n".join(part.get("message") or part.text or "" for part in trouble)
    return Result(case.get("classname", ""), case.get("name", ""), outcome, float(case.get("time", "0")), message)
