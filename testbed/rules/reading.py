"""One reading of every counter of a rule set, and the expectations about it.

A rule is identified by its table, its chain, its text and its occurrence among equal rules of a chain. So readings can
be subtracted although handles and positions change when rules are loaded again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testbed.errors import ExpectationError, TestbedError
from testbed.rules import save
from testbed.rules.counters import ZERO, Counters
from testbed.visible import visible

_OWN_CHAIN = re.compile(r":\S+ - \[0:0\]")  # a user-defined chain has no policy that could count


@dataclass(frozen=True, slots=True)
class CounterLine:
    """A rule or a chain's policy; `text` is `-A CHAIN ...` or `:CHAIN POLICY`, `occurrence` numbers equal texts."""

    table: str
    text: str
    occurrence: int = 0

    @property
    def is_policy(self) -> bool:
        return self.text.startswith(":")

    @property
    def drops_or_is_a_rule(self) -> bool:
        """Whether an expectation must name its counters: it is a rule, or a policy that drops."""
        return not self.is_policy or self.text.endswith(" DROP")

    def __str__(self) -> str:
        return f"{self.table} {self.text}"


def lines(texts: Iterable[tuple[str, str]]) -> Iterator[CounterLine]:
    """Yield a line for each (table, text), in the order of the rule set."""
    times: Counter[tuple[str, str]] = Counter()
    for table, text in texts:
        yield CounterLine(table, text, times[table, text])
        times[table, text] += 1


@dataclass(frozen=True, slots=True)
class CounterDifference:
    """A line with its expected and actual counters; None if that side lacks the line."""

    line: CounterLine
    expected: Counters | None
    actual: Counters | None

    @property
    def equal(self) -> bool:
        return self.expected == self.actual


class CounterReading:
    """All counters at one moment, or, after a subtraction, the counters between two moments.

    A comparison with a string (`reading == '''*nat ...'''`) parses the string as `iptables-save -c` lines. Rules that
    it does not name are expected to have counted nothing, and so are policies DROP. Other policies that it does not
    name are not compared.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, counted: dict[CounterLine, Counters]) -> None:
        self._counted = counted

    @classmethod
    def of(cls, counted: Iterable[tuple[str, str, Counters]]) -> CounterReading:
        """Return a reading of (table, text, counters), in the order of the rule set."""
        found = list(counted)
        names = lines((table, text) for table, text, _ in found)
        return cls({line: counters for line, (*_, counters) in zip(names, found, strict=True)})

    def __iter__(self) -> Iterator[tuple[CounterLine, Counters]]:
        return iter(self._counted.items())

    def __len__(self) -> int:
        return len(self._counted)

    def __add__(self, more: CounterReading) -> CounterReading:
        return CounterReading({line: now + more._counted.get(line, ZERO) for line, now in self})

    def __sub__(self, before: CounterReading) -> CounterReading:
        return CounterReading({line: now - before._counted.get(line, ZERO) for line, now in self})

    def __eq__(self, expected: object) -> bool:
        if isinstance(expected, CounterReading):
            return self._counted == expected._counted
        if not isinstance(expected, str):
            return NotImplemented
        return all(difference.equal for difference in self.compare(expected))

    def __repr__(self) -> str:
        moved = [f"{counters} {line}" for line, counters in self if counters != ZERO]
        return visible("\n".join(moved)) or "nothing was counted"

    def __str__(self) -> str:
        return self.text(self)

    def rule(self, table: str, text: str) -> Counters:
        """Return the counters of a rule (`-A CHAIN ...`) or policy (`:CHAIN POLICY`); raises TestbedError when it is
        missing.
        """
        if (line := CounterLine(table, text)) not in self._counted:
            raise TestbedError(f"the rule set has no line {text} in table {table}.")
        return self._counted[line]

    @property
    def tables(self) -> set[str]:
        """The tables that have a line."""
        return {line.table for line, _ in self}

    @property
    def rules(self) -> CounterReading:
        """The rules alone, without the policies."""
        return CounterReading({line: counters for line, counters in self if not line.is_policy})

    @property
    def moved(self) -> CounterReading:
        """The rules and policies with nonzero counters."""
        return CounterReading({line: counters for line, counters in self if counters != ZERO})

    @staticmethod
    def text(lines: Iterable[tuple[CounterLine, Counters]]) -> str:
        """Return the lines as `iptables-save -c` prints them: a header for each table, counters before each rule."""
        printed: list[str] = []
        table = ""
        for line, counters in lines:
            if line.table != table:
                table = line.table
                printed.append(f"*{table}")
            printed.append(f"{line.text} {counters}" if line.is_policy else f"{counters} {line.text}")
        return "\n".join(printed)

    def compare(self, expectation: str) -> list[CounterDifference]:
        """Return every line of this reading or of the expectation, with both values, in the order of the rule set."""
        if not len(self):
            raise ExpectationError("there is nothing to compare: the reading has no rules.")
        expected = dict(parse_expectation(expectation))
        differences = [
            CounterDifference(line, expected.get(line, ZERO if line.drops_or_is_a_rule else counters), counters)
            for line, counters in self
        ]
        strangers = [
            CounterDifference(line, value, None) for line, value in expected.items() if line not in self._counted
        ]
        return differences + strangers


def parse_expectation(text: str) -> Iterator[tuple[CounterLine, Counters]]:
    """Yield the lines of an expectation; raises ExpectationError for the first line that `iptables-save -c` cannot
    print.
    """
    table, family = "", ""
    times: Counter[tuple[str, str]] = Counter()
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("#") or line == "COMMIT" or _OWN_CHAIN.fullmatch(line):
            family = save.family_of(line, family)
            continue
        if line.startswith("*"):
            table = family + line[1:].removeprefix(family)
            continue
        first, _, rest = line.partition(" ")
        if first.startswith(":"):
            rest, _, last = line.rpartition(" ")
            first = last
        counters = Counters.parse(first)
        if counters is None or not rest.startswith(("-A ", ":")):
            raise ExpectationError(
                f"{line!r} is not a line of iptables-save -c.",
                "Write [packets:bytes] -A CHAIN ... or :CHAIN POLICY [packets:bytes].",
            )
        if not table:
            raise ExpectationError(f"{line!r} stands before any table.", "Write the table's name above it: *filter.")
        yield CounterLine(table, rest, times[table, rest]), counters
        times[table, rest] += 1
