"""A twin's notes for a person and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.capture.notes import NoteKind, TwinNote
from testbed.capture.twin import Twin
from testbed.report.terminal import Text
from testbed.visible import one_line

_HEADINGS = {
    NoteKind.EXACT: "As on the host",
    NoteKind.APPROXIMATED: "Approximated",
    NoteKind.MISSING: "Missing",
    NoteKind.CONTRADICTION: "Contradictions",
}
_UNMARKED, _MARKED = "  ", "! "


def lines(made: Twin) -> Iterator[Text]:
    """Yield the report; a mark stands before a note that may make an answer another one than the real host's."""
    capture = made.capture
    about = [part for part in (capture.host, capture.kernel, f"Docker {made.engine}" if made.engine else "") if part]
    when = f", taken {capture.taken}" if capture.taken else ""
    yield Text(one_line(f"Twin of {', '.join(about) or capture.source}{when}"), style="bold")
    for kind, heading in _HEADINGS.items():
        found = made.of_kind(kind)
        if found:
            yield Text(f"{heading}:", style="bold")
            yield from (Text(_line(note)) for note in found)


def _line(note: TwinNote) -> str:
    place = f" (line {note.line})" if note.line else ""
    return f"{_MARKED if note.matters else _UNMARKED}{one_line(note.text)}{place}"


def as_dict(made: Twin) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "source": made.capture.source,
        "host": made.capture.host,
        "taken": made.capture.taken,
        "engine": made.engine,
        "notes": [
            {"kind": note.kind.value, "text": note.text, "line": note.line or None, "matters": note.matters}
            for note in made.notes
        ],
    }
