"""Locate the cause of a difference in the files of the compared rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from testbed.behaviour.behaviour import rule_text
from testbed.behaviour.divergence import JourneyStep, steps
from testbed.behaviour.explanation import Explained
from testbed.behaviour.witness import ProbeJourneys
from testbed.rules.places import Places, places
from testbed.rules.ruleset import AnyRuleset
from testbed.visible import visible


@dataclass(frozen=True, slots=True)
class Source:
    """One side of a comparison: its name; its file, relative to its repository, and the places of its rules.

    `file` is empty for rules that are in no file (an engine's or the article's), and for a table, which has no rules.
    """

    name: str
    file: str = ""
    places: Places = field(default_factory=dict)

    @classmethod
    def of_file(cls, path: Path, rules: AnyRuleset) -> Source:
        return cls(str(path), _in_its_repository(path.resolve()), places(rules))

    def line(self, step: JourneyStep) -> int:
        """Return the line of a rule or of a policy; 0 if it has none."""
        chain = self.places.get((step.table, step.chain))
        return chain.line(step.asked.number if step.asked is not None else None) if chain is not None else 0


@dataclass(frozen=True, slots=True)
class Spot:
    """The step that made the difference, or represents it, and its place; `line` is 0 if it is in no file."""

    source: Source
    step: JourneyStep

    @property
    def line(self) -> int:
        return self.source.line(self.step)


def spots(one: Explained, old: Source, new: Source) -> list[Spot]:
    """Return the steps behind a difference, the most relevant first; none if no rule was seen.

    The new side's step comes first; if a rule is gone, the old side's. Against a table it is the deciding rule of the
    other side.
    """
    apart = one.parting
    if apart is not None:
        both = [Spot(new, apart.new), Spot(old, apart.old)]
        return both[::-1] if apart.gone else both
    sides = (new, one.new, one.cause.parted[1]), (old, one.old, one.cause.parted[0])
    return [Spot(source, step) for source, way, text in sides if way is not None for step in _called(way, text)]


def _called(way: ProbeJourneys, text: str) -> Iterator[JourneyStep]:
    """Yield the step that a behaviour's `by` names."""
    wanted = rule_text(text)
    found = (step for journey in way.gone for step in steps(journey))
    yield from [step for step in found if visible(str(step)) == wanted][:1]


def _in_its_repository(path: Path) -> str:
    """Return a file's path from its repository's root; without one from the current directory, or its name alone."""
    here = Path.cwd()
    roots = [*(folder for folder in path.parents if (folder / ".git").exists()), here, path.parent]
    return next(str(path.relative_to(root)) for root in roots if path.is_relative_to(root))
