"""Two captures of a host, compared by packets: what behaves differently, and what of the host is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.behaviour.comparison import Given, compare
from testbed.behaviour.variant import RulesetVariant
from testbed.capture.changes import ComparedCaptures, compared
from testbed.capture.notes import NoteKind
from testbed.capture.twin import twin
from testbed.capture.values import HostCapture
from testbed.report.located import Source
from testbed.report.terminal import Text
from testbed.tasks.compared import ComparedSide, ComparisonReport, causes_of
from testbed.tasks.progress import asked
from testbed.visible import one_line


@dataclass(frozen=True, slots=True)
class Drift:
    """The comparison of a host's rules, before and now, with the changes of the host itself."""

    report: ComparisonReport
    captures: ComparedCaptures
    missing: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return bool(self.report.made.found)

    @property
    def open(self) -> bool:
        """Return whether something was not judged."""
        return self.report.made.open or bool(self.captures.open or self.missing)

    def lines(self, ways: bool = False) -> Iterator[Text]:
        """Yield the report for a person."""
        for change in self.captures.changes:
            yield Text(
                one_line(change.text if change.judged else f"{change.text} No packet of this comparison judges it.")
            )
        yield from self.report.lines(ways, annotations=False)
        yield from (Text(one_line(f"Not in the bed: {text}")) for text in self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        changes = [{"text": change.text, "judged": change.judged} for change in self.captures.changes]
        return {**self.report.as_dict(), "host": changes, "missing": list(self.missing)}


def drift(before: HostCapture, old_name: str, now: HostCapture, new_name: str) -> Drift:
    """Return what changed between two captures of a host; raises what `twin`, `compared` and `compare` raise."""
    twins = twin(before), twin(now)
    captures = compared(*twins)
    sides = tuple(
        Given(RulesetVariant(rules, made.backend))
        for rules, made in zip((captures.old, captures.new), twins, strict=True)
    )
    made = asked(lambda step: compare(captures.host, True, sides, step))
    named = (ComparedSide(Source(name), given) for name, given in zip((old_name, new_name), sides, strict=True))
    first, second = named
    report = ComparisonReport(made, (first, second), tuple(causes_of(sides, made)))
    lacking = [note.text for one in twins for note in one.open if note.kind is NoteKind.MISSING]
    return Drift(report, captures, tuple(dict.fromkeys(lacking)))
