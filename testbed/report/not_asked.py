"""What a comparison does not judge, in sentences, and the number of probes that differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.behaviour.comparison import Comparison
from testbed.behaviour.regions.comparison import ExactComparison
from testbed.report.located import Source

AnyComparison = Comparison | ExactComparison
_NONE = "no packet behaves differently"


def title(made: AnyComparison) -> str:
    """Return the heading of what is not judged."""
    return "Not judged:" if isinstance(made, ExactComparison) else "Not asked:"


def heading(made: AnyComparison, old: Source, new: Source) -> str:
    """Return both sides and the number of differing behaviours; claim equality only if everything was judged."""
    names = f"{old.name} => {new.name}"
    if isinstance(made, ExactComparison):
        number = len(made.found)
        if not number:
            return f"{names}: {_NONE} ({'proved, but for what is not judged:' if made.open else 'proved'})"
        return f"{names}: {number} region{'s' * (number > 1)} of packets behave{'s' * (number == 1)} differently"
    if made.open and not made.found:
        return f"{names}: no difference among {made.compared} probes; not asked:"
    return f"{names}: {len(made.found)} of {made.compared} behaviours differ"


def sentences(made: AnyComparison, old: Source, new: Source) -> list[str]:
    """Return each line that is not judged, with its place; and the other limits."""
    sides = old, new
    return [*(own.said(sides[own.side].name) for own in made.lines), *made.sentences]


def paragraphs(made: AnyComparison, old: Source, new: Source) -> Iterator[str]:
    """Yield the same as text below the causes, with a title of its own if the heading does not announce it."""
    told = sentences(made, old, new)
    if told and made.found:
        yield title(made)
    yield from (f"  {one}" for one in told)


def as_dicts(made: AnyComparison, old: Source, new: Source) -> list[dict[str, Any]]:
    """Return dicts for JSON output: the lines with their places; sentences have no line."""
    sides = old, new
    lines = [own.as_dict(sides[own.side].name) for own in made.lines]
    return [*lines, *({"file": "", "line": 0, "table": "", "rule": "", "why": one} for one in made.sentences)]
