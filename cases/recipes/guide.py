"""The part of docs/recipes.md that is held by the cases: a table of all recipes, and a section for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import wrap

from outcomes import BY_PROXY, COMING_IN, DROP, LOST, OPEN, QUESTIONS, Outcome
from recipes import RECIPES, Recipe

GUIDE = Path(__file__).parents[2] / "docs" / "recipes.md"
NAMES = [name for name, _ in QUESTIONS]
_BEGIN, _END = "## What they close", "## Trying one"
_LEGEND = f"| recipe | engine | {' | '.join(NAMES)} |\n|{' --- |' * (len(NAMES) + 2)}"
_WIDTH = 120
_NO_CHANGE = "changes nothing"


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe on an engine: what became of each question, the programs that refused, the rules there were before.

    `pasted`: it has commands.
    """

    outcomes: tuple[Outcome, ...]
    refusing: tuple[str, ...]
    dockers: frozenset[str]
    pasted: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """A word for each question."""
        return tuple(self._cell(number, outcome) for number, outcome in enumerate(self.outcomes))

    def _cell(self, number: int, outcome: Outcome) -> str:
        through = outcome.what in (OPEN, BY_PROXY)
        if number >= len(COMING_IN):
            return "works" if through else "**broken**"
        if outcome.what != DROP:
            return outcome.what
        return "Docker closes" if outcome.by in self.dockers else "**closed**"


@dataclass(frozen=True, slots=True)
class Part:
    """What the guide says of a recipe: its rows of the table, and the lines of its section."""

    rows: tuple[str, ...]
    section: tuple[str, ...]


def part(recipe: Recipe, tried: Mapping[str, Tried], unchanged: Mapping[str, tuple[str, ...]]) -> Part:
    """What is to be said of a recipe tried on each engine; `unchanged` are the cells of each without a recipe."""
    told = {engine: found.cells for engine, found in tried.items()}
    rows = [
        f"| {recipe.name} | {', '.join(engines)} | {' | '.join(cells)} |"
        for cells, engines in _together(
            (engine, (_NO_CHANGE,) if cells == unchanged.get(engine) else cells) for engine, cells in told.items()
        )
    ]
    lines = ("", "```", *recipe.lines, "```") if recipe.lines else ()
    told_of = (*wrap(recipe.verdict, _WIDTH), *lines, *_spaced([*_refusals(tried), *_drops(tried)]))
    return Part(tuple(rows), (f"### {recipe.name}", "", *told_of))


def without_a_recipe() -> dict[str, tuple[str, ...]]:
    """The cells of the recipe `nothing` for each engine, as they stand in the guide."""
    standing = parts(GUIDE.read_text())[RECIPES[0].name].rows
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in standing]
    return {engine: tuple(cells) for _, engines, *cells in rows for engine in engines.split(", ")}


def parts(guide: str) -> dict[str, Part]:
    """What a guide's text says of each recipe."""
    held = guide[guide.index(_BEGIN) : guide.index(_END)].splitlines()
    rows = [line for line in held if line.startswith("| ") and line not in _LEGEND]
    starts = [number for number, line in enumerate(held) if line.startswith("### ")]
    sections = [held[start:end] for start, end in pairwise([*starts, len(held)])]
    return {
        section[0].removeprefix("### "): Part(
            tuple(row for row in rows if row.split(" | ")[0] == f"| {section[0].removeprefix('### ')}"),
            tuple(section[:-1]),  # an empty line is between them
        )
        for section in sections
    }


def with_part(guide: str, recipe: Recipe, written: Part) -> str:
    """The guide's text with a recipe's part in its place, the recipes in their order and none that is not there."""
    known = parts(guide) | {recipe.name: written}
    told = [known[own.name] for own in RECIPES if own.name in known]
    table = "\n".join([_LEGEND, *(row for own in told for row in own.rows)])
    sections = "\n\n".join("\n".join(own.section) for own in told)
    return f"{guide[: guide.index(_BEGIN)]}{_BEGIN}\n\n{table}\n\n{sections}\n\n{guide[guide.index(_END) :]}"


def _spaced(lines: Sequence[str]) -> tuple[str, ...]:
    return ("", *lines) if lines else ()


def _together(found: Iterable[tuple[str, tuple[str, ...]]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Engines that follow each other and say the same, as one."""
    return [(same, [engine for engine, _ in group]) for same, group in groupby(found, key=lambda pair: pair[1])]


def _refusals(tried: Mapping[str, Tried]) -> list[str]:
    """Where a program refused a command: the chain is not there."""
    return [
        f"- Refused by {' and '.join(programs)} on {', '.join(engines)}: no chain DOCKER-USER."
        for programs, engines in _together((engine, found.refusing) for engine, found in tried.items())
        if programs
    ]


def _drops(tried: Mapping[str, Tried]) -> list[str]:
    """Each rule and policy of the recipe's that dropped, and what; what was lost by no rule, and why."""
    found: dict[str, dict[str, None]] = {}
    for one in tried.values():
        for name, outcome in zip(NAMES, one.outcomes, strict=True):
            if line := _line(outcome, one):
                found.setdefault(line, {})[f"answer to {name}" if outcome.answer else name] = None
    return [f"{line}: {'; '.join(names)}." for line, names in found.items()]


def _line(outcome: Outcome, tried: Tried) -> str:
    """What a line about an outcome begins with; empty where nothing is to be said."""
    if outcome.what == DROP and (outcome.by not in tried.dockers or not tried.pasted):
        return f"- `{outcome.by}` drops"
    return f"- By no rule, since {outcome.by}" if outcome.what == LOST else ""
