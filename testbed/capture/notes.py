"""What is said about a twin: what it has of the capture, what it has otherwise, what it lacks, what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
    """The kinds of notes, in the order in which they are reported."""

    EXACT = "exact"
    APPROXIMATED = "approximated"
    MISSING = "missing"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class TwinNote:
    """A sentence about a part of a twin; `line` is that of the capture, 0 for none.

    `matters`: an answer about packets may be another on the real host.
    """

    kind: NoteKind
    text: str
    line: int = 0
    matters: bool = True


def exact(text: str) -> TwinNote:
    return TwinNote(NoteKind.EXACT, text, matters=False)


def approximated(text: str, line: int = 0, matters: bool = True) -> TwinNote:
    return TwinNote(NoteKind.APPROXIMATED, text, line, matters)


def missing(text: str, line: int = 0, matters: bool = True) -> TwinNote:
    return TwinNote(NoteKind.MISSING, text, line, matters)


def contradiction(text: str, line: int = 0) -> TwinNote:
    return TwinNote(NoteKind.CONTRADICTION, text, line)


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: 1 route, 3 routes."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def listed(names: list[str], most: int = 6) -> str:
    """Return names with commas, and the number of those that are not listed."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:most])} and {rest} more"
