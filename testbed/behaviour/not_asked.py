"""What a comparison does not judge: the lines of both rule sets that the probes exercise too little."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from testbed.behaviour.behaviour import Behaviour, rule_text
from testbed.behaviour.changed import ListedLine, changed, listed
from testbed.behaviour.difference import Change
from testbed.behaviour.probing import Answers
from testbed.behaviour.scope import Scope, asks_for_state, counted, counts
from testbed.observe.hook_summary import Met
from testbed.rules.ruleset import AnyRuleset

UNMET = "no probe meets it"


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A line of one side (0: the first, 1: the second) that the probes do not judge, with the reason as text."""

    label: ClassVar[str] = "not asked"
    side: int
    line: ListedLine
    why: str

    def place(self, source: str) -> str:
        """Return `FILE:LINE`, or the name of the rule set if the line is in no file."""
        file = self.line.file or source
        return f"{file}:{self.line.line}" if self.line.line else file

    def said(self, source: str) -> str:
        """Describe the line: its place, its text, and the clauses that are not probed."""
        return f"{self.place(source)}: {f'{self.line.table} {self.line.text}'.strip()}: {self.why}"

    def as_dict(self, source: str) -> dict[str, Any]:
        """Return a dict for JSON output."""
        own = self.line
        file = own.file or source
        return {"file": file, "line": own.line, "table": own.table, "rule": own.text, "why": self.why}


def unasked(rules: AnyRuleset, scope: Scope, side: int = 0) -> list[NotAsked]:
    """Return every rule with a clause that probes do not exercise on both sides, matching and not matching."""
    return [
        NotAsked(side, line, ", ".join(found))
        for line in listed(rules)
        if line.number is not None
        for found in [scope.unasked(line)]
        if found
    ]


def undecided(rules: AnyRuleset, side: int = 0) -> list[NotAsked]:
    """Return every rule that decides by chance, time or memory."""
    return [NotAsked(side, line, f"counts: {counted(line)}") for line in listed(rules) if counts(line)]


def not_asked(rules: AnyRuleset, scope: Scope, side: int = 0) -> list[NotAsked]:
    """Return every rule that probes do not judge for certain: by its clauses, or since it decides by chance."""
    found = unasked(rules, scope, side)
    known = {own.line for own in found}
    return found + [own for own in undecided(rules, side) if own.line not in known]


def not_judged(sides: Sequence[AnyRuleset], scopes: Sequence[Scope], met: Sequence[Met]) -> list[NotAsked]:
    """Return the differing lines that the probes do not judge, and rules of both sides that count."""
    differing = changed(*sides)
    known = {
        (line.table, line.chain, line.key)
        for own, packets in zip(sides, met, strict=True)
        for line in listed(own)
        if (line.table, line.chain, line.number) in packets
    }
    beside = [
        one for side, own in enumerate(sides) for one in (*unasked(own, scopes[side], side), *_unmet(own, side, known))
    ]
    found = [
        NotAsked(side, line, why)
        for side, lines in enumerate(differing)
        for line in lines
        if (why := _why(line, scopes[side], met[side], beside))
    ]
    named = {(one.side, one.line) for one in found}
    return found + [one for one in undecided(sides[1], 1) if (1, one.line) not in named]


def _unmet(rules: AnyRuleset, side: int, known: Collection[object]) -> list[NotAsked]:
    """Return the rules that match a connection's state and that no probe's packet matched on either side."""
    found = (line for line in listed(rules) if line.number is not None and asks_for_state(line))
    return [NotAsked(side, line, UNMET) for line in found if (line.table, line.chain, line.key) not in known]


def _why(line: ListedLine, scope: Scope, met: Met, beside: Sequence[NotAsked]) -> str:
    """Return why probes do not judge a line that only one side has; empty if they do."""
    if own := scope.unasked(line):
        return ", ".join(own)
    if (line.table, line.chain, line.number) not in met:
        return UNMET
    return f"beside line {beside[0].line.line}: {beside[0].why}" if beside else ""


def certain(
    found: Iterable[Change], answers: Answers, sides: Sequence[AnyRuleset]
) -> tuple[list[Change], list[Change]]:
    """Return the changes that are not due to chance, and those that may be.

    A change may be due to chance if its packets entered a chain with a counting rule, and no rule that only one side
    has decided.
    """
    counting = {(one.line.table, one.line.chain) for rules in sides for one in undecided(rules)}
    if not counting:
        return [*found], []
    behind = {str(one.probe): (one, other) for one, other in zip(*answers.sides, strict=True)}
    by_chance = _by_chance(counting, answers.words)
    kept: list[Change] = []
    doubtful: list[Change] = []
    for change in found:
        (doubtful if by_chance(behind[change.probe]) else kept).append(change)
    return kept, doubtful


def _by_chance(
    counting: set[tuple[str, str]], words: Sequence[frozenset[str]]
) -> Callable[[tuple[Behaviour, Behaviour]], bool]:
    def is_by_chance(both: tuple[Behaviour, Behaviour]) -> bool:
        if not any(one.entered is None or one.entered & counting for one in both):
            return False
        others = words[::-1]
        deciding = [set(map(rule_text, one.by)) for one in both]
        return all(own <= other for own, other in zip(deciding, others, strict=True))

    return is_by_chance
