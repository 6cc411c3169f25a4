"""Compare two rule sets, or tables of behaviours: the differences, and what the probes do not judge."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from testbed.behaviour import difference, table
from testbed.behaviour.behaviour import NOT_JUDGED
from testbed.behaviour.changed import fingerprint
from testbed.behaviour.difference import Change
from testbed.behaviour.not_asked import NotAsked, certain, not_asked, not_judged, undecided
from testbed.behaviour.probing import Answers, Progress, ask
from testbed.behaviour.table import Row
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost
from testbed.docker.fitted import fitted
from testbed.docker.guess import Guess

_OTHER_RULES = "The table was not written for these rules, and a table has no rules: compare the rule sets themselves."
_CHANCE = "{} of {} probes fared differently, in chains with rules that count: that may be chance."


@dataclass(frozen=True, slots=True)
class Given:
    """One side of a comparison: a rule set to probe, or the rows of a table with the fingerprint of its rule set."""

    side: RulesetVariant | None
    rows: tuple[Row, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences among `compared` probes, the lines that the probes do not judge, and other limits as sentences.

    `answers` is None if both sides are tables. `remarks` are sentences on the bed. `guesses` are what was added to
    the host since rules name it. `host` is the host that was probed.
    """

    host: DockerHost
    compared: int
    found: tuple[Change, ...]
    lines: tuple[NotAsked, ...]
    sentences: tuple[str, ...]
    remarks: tuple[str, ...]
    answers: Answers | None
    guesses: tuple[Guess, ...] = ()

    @property
    def open(self) -> bool:
        """Return whether something was not judged."""
        return bool(self.lines or self.sentences)


def compare(
    host: DockerHost, described: bool, sides: Sequence[Given], progress: Progress, allowed: Collection[str] = ()
) -> Comparison:
    """Probe the sides that have rules, and compare; `allowed` are the intended changes, as `str(Change)` prints them.

    `described`: the host is the user's own, so that rules add nothing to it but IPv6. Raise what a bed and tracing
    raise.
    """
    own = [one.side for one in sides if one.side is not None]
    on = fitted(host, [side.rules for side in own], described)
    answers = ask(on.host, own, progress) if own else None
    asked = iter(answers.sides if answers is not None else ())
    old, new = ([*one.rows] if one.side is None else table.rows(next(asked)) for one in sides)
    found = [change for change in difference.changes(old, new) if str(change) not in allowed]
    doubtful: list[Change] = []
    lines = _of_tables(sides, answers)
    if answers is not None and len(own) == len(sides):
        rules = [side.rules for side in own]
        found, doubtful = certain(found, answers, rules)
        lines = not_judged(rules, answers.scopes, answers.met)
    sentences = [*_unpaired(old, new), *(answers.cut if answers is not None else ())]
    sentences += [_CHANCE.format(len(doubtful), len(old))] if doubtful else []
    sentences += _not_judged([*old, *new]) if len({_fingerprint(one) for one in sides}) > 1 else []
    sentences += [_OTHER_RULES] if len({_fingerprint(one) for one in sides}) > 1 and len(own) < len(sides) else []
    remarks = answers.missing if answers is not None else ()
    told = tuple(found), tuple(lines), tuple(sentences), tuple(remarks)
    return Comparison(on.host, len(old), *told, answers, on.guesses)


def _fingerprint(one: Given) -> str:
    return one.fingerprint if one.side is None else fingerprint(one.side.rules)


def _of_tables(sides: Sequence[Given], answers: Answers | None) -> list[NotAsked]:
    """Return the rules, compared with a table, whose clauses no probe distinguishes.

    If the rules are those of the table, return only the rules that decide by chance, time or memory.
    """
    same = len({_fingerprint(one) for one in sides}) == 1
    if answers is None:
        return []
    own = [(number, one.side.rules) for number, one in enumerate(sides) if one.side is not None]
    return [
        line
        for number, rules in own
        for line in (undecided(rules, number) if same else not_asked(rules, answers.scopes[0], number))
    ]


def _not_judged(rows: Sequence[Row]) -> list[str]:
    """Return a sentence with the probes whose outcome is not judged, whatever both sides say of them."""
    probes = sorted({row.probe for row in rows if row.outcome.startswith(NOT_JUDGED)})
    return [f"{len(probes)} probes are not judged (see `invoke behaviours`): {probes[0]} ..."] if probes else []


def _unpaired(old: Sequence[Row], new: Sequence[Row]) -> list[str]:
    gone, added = difference.unpaired(old, new)
    return [
        f"{len(probes)} probes are only in {where}, so they are not compared: {probes[0]} ..."
        for probes, where in ((gone, "the first"), (added, "the second"))
        if probes
    ]
