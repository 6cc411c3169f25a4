"""A spec as it was written: entries with their lines; names are not looked up yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path

from testbed.docker.tree import Tree
from testbed.errors import TestbedError, TopologyError
from testbed.rules import files

NAME = "exposure.yaml"
REMEDY = "docs/exposure.md says what a spec has."
_KEYS = {
    "allow": ("from", "to"),
    "deny": ("from", "to"),
    "except": ("from", "to", "reason", "until"),
    "also": ("from", "to"),
}
_ABOUT = ("host", "engines", "backends")


class SpecError(TestbedError):
    """A spec that cannot be read, names what is not there, contradicts itself, or has an expired exception."""


class SpecSection(Enum):
    """What an entry says: what may be reached, must not be, may be for a while, and what containers may reach."""

    ALLOW = "allow"
    DENY = "deny"
    EXCEPT = "except"
    ALSO = "also"


@dataclass(frozen=True, slots=True)
class SpecEntry:
    """One entry: `who` may reach `what`; `reason` and `until` are those of an exception. `place` is file and line."""

    section: SpecSection
    who: tuple[str, ...]
    what: tuple[str, ...]
    line: int
    place: str
    reason: str = ""
    until: date | None = None

    def __str__(self) -> str:
        return f"{self.section.value}: {' '.join(self.who)} to {' '.join(self.what)}"


@dataclass(frozen=True, slots=True)
class ExposureSpec:
    """All entries of a file; `host`, `engines` and `backends` are those that its tests take."""

    source: str
    entries: tuple[SpecEntry, ...]
    host: str = ""
    engines: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()

    def of(self, section: SpecSection) -> tuple[SpecEntry, ...]:
        return tuple(entry for entry in self.entries if entry.section is section)


def read(path: Path | str, today: date | None = None) -> ExposureSpec:
    """Return the spec of a file; raises SpecError, with the line, for what is wrong with it."""
    text = files.text_of(path, "Write one with `invoke exposure --init`.", SpecError)
    return parse(text, str(path), today or date.today())


def parse(text: str, source: str, today: date) -> ExposureSpec:
    """Return the spec of a text; raises as `read` does. Exceptions that ended before `today` are errors."""
    try:
        tree = Tree.parse(text, source)
        tree.only(*_KEYS, *_ABOUT)
        entries = [
            entry
            for section in SpecSection
            for item in tree.child(section.value).items
            for entry in _entry(section, item, today)
        ]
        lists = {name: tuple(tree.child(name).words) for name in _ABOUT[1:] if not tree.child(name).is_absent}
        spec = ExposureSpec(source, tuple(entries), tree.text("host"), **lists)
    except TopologyError as error:
        remedy = REMEDY if error.remedy == "Correct that line." else error.remedy
        raise SpecError(error.what, remedy or REMEDY) from error
    if not entries:
        raise SpecError(f"{source} has no entry.", f"Give it `allow`, with who may reach what. {REMEDY}")
    _consistent(spec)
    return spec


def _entry(section: SpecSection, tree: Tree, today: date) -> Iterator[SpecEntry]:
    tree.only(*_KEYS[section.value])
    who, what = (_words(tree, key) for key in ("from", "to"))
    reason = tree.text("reason").strip()
    if section is SpecSection.EXCEPT and not reason:
        raise tree.error("an exception has a reason.", "Add `reason:`, and `until:` with the date it ends.")
    until = _until(tree, today) if section is SpecSection.EXCEPT else None
    yield SpecEntry(section, who, what, tree.line, tree.place, reason, until)


def _words(tree: Tree, key: str) -> tuple[str, ...]:
    child = tree.child(key)
    words = tuple(word.strip() for word in child.words) if not child.is_absent else ()
    if not words or not all(words):
        raise child.error(
            f"`{key}` is missing or empty.", "Each entry has `from` and `to`: a name, or a list of names."
        )
    return words


def _until(tree: Tree, today: date) -> date:
    child = tree.child("until")
    if child.is_absent:
        raise tree.error("an exception has a date.", "Add `until: 2030-12-31`, the last day on which it holds.")
    try:
        until = date.fromisoformat(child.word)
    except ValueError as error:
        raise child.error(f"{child.word!r} is no date.", "Write it as 2030-12-31.") from error
    if until < today:
        raise child.error(f"this exception ended on {until}.", "Close what it opened, or give it another date.")
    return until


def _consistent(spec: ExposureSpec) -> None:
    """Raise SpecError for what is allowed and denied in the same words."""
    denied = {(who, what): entry for entry in spec.of(SpecSection.DENY) for who in entry.who for what in entry.what}
    for entry in (*spec.of(SpecSection.ALLOW), *spec.of(SpecSection.EXCEPT)):
        for who in entry.who:
            for what in entry.what:
                if (who, what) in denied:
                    raise SpecError(
                        f"{entry.place}: {what} from {who} is allowed here and denied in line"
                        f" {denied[who, what].line}.",
                        "Remove one of the two.",
                    )
