"""Differences in behaviour as annotations that GitHub shows beside the lines of a pull request.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from testbed.behaviour.explanation import Explained
from testbed.behaviour.not_asked import NotAsked
from testbed.report.located import Source, spots
from testbed.report.sarif import NOTE, level, sentence
from testbed.visible import visible

MOST = 10  # of each level, in a step of a job: GitHub ignores the rest
_NAMES = {NOTE: "notice"}


def annotated(
    found: Sequence[Explained], old: Source, new: Source, not_asked: Sequence[NotAsked] = ()
) -> Iterator[str]:
    """Yield a line for each cause and each line not judged; then the number of those that GitHub would not show."""
    seen: Counter[str] = Counter()
    for one in found:
        name = _NAMES.get(level(one.cause.kind), level(one.cause.kind))
        seen[name] += 1
        if seen[name] <= MOST:
            yield f"::{name} {_properties(one, old, new)}::{_escaped(sentence(one))}"
    for own in not_asked:
        name, source = _NAMES[NOTE], (old, new)[own.side]
        seen[name] += 1
        if seen[name] <= MOST:
            yield f"::{name} {_place(own, source)}::{_escaped(own.said(source.name))}"
    for name, number in seen.items():
        if number > MOST:
            yield f"{number - MOST} more of level {name} are not annotated: GitHub shows {MOST} of each."


def _properties(one: Explained, old: Source, new: Source) -> str:
    """Return file and line, if any, and the kind of change."""
    named = {}
    for spot in spots(one, old, new)[:1]:
        if spot.source.file:
            named["file"] = spot.source.file
        if spot.line:
            named["line"] = str(spot.line)
    named["title"] = f"{one.cause.kind}: {one.cause.witness.probe}"
    return ",".join(f"{name}={_escaped(value, in_property=True)}" for name, value in named.items())


def _place(own: NotAsked, source: Source) -> str:
    line = [f"line={own.line.line}"] if own.line.line else []
    file = [f"file={_escaped(source.file, in_property=True)}", *line] if source.file else []
    return ",".join((*file, f"title={own.label}"))


def _escaped(text: str, in_property: bool = False) -> str:
    """Escape text as the runner reads it back (toCommandValue, toCommandProperty in packages/core/src/command.ts)."""
    text = visible(text)
    for sign in "%\r\n" + (":," if in_property else ""):
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
