"""The counters of a rule or a policy before and after a packet, by its place in its chain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from testbed.rules.counters import ZERO, Counters
from testbed.rules.reading import CounterLine
from testbed.rules.ruleset import Rule
from testbed.traced_connection import CountedJourney


@dataclass(frozen=True, slots=True)
class Count:
    """Counters before a packet, and the packet's increment."""

    before: Counters
    added: Counters

    @property
    def after(self) -> Counters:
        return self.before + self.added

    @property
    def moved(self) -> bool:
        return self.added != ZERO

    @property
    def words(self) -> str:
        """Describe the increment: `+1 packet, +52 B`."""
        packets = self.added.packets
        return f"+{packets} packet{'' if packets == 1 else 's'}, +{self.added.bytes} B"


class PacketCounts:
    """The counters of a rule set before and after one packet."""

    def __init__(self, followed: CountedJourney) -> None:
        self._before = dict(followed.before)
        self._added = dict(followed.counted)

    def policy(self, table: str, chain: str, policy: str) -> Count | None:
        return self._line(CounterLine(table, f":{chain} {policy}"))

    def chain(self, table: str, rules: tuple[Rule, ...]) -> list[Count | None]:
        """Return the counters of each rule of a chain, given all its rules in order; None: it has no counter."""
        times: Counter[str] = Counter()
        found = []
        for rule in rules:
            found.append(self._line(CounterLine(table, rule.text, times[rule.text])))
            times[rule.text] += 1
        return found

    def _line(self, line: CounterLine) -> Count | None:
        before = self._before.get(line)
        return Count(before, self._added.get(line, ZERO)) if before is not None else None
