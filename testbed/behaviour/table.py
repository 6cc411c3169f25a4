"""A behaviour table as a text file: a sorted line for each probe, to keep beside the rules and read in reviews."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.behaviour.behaviour import PASSING, Behaviour
from testbed.errors import TestbedError
from testbed.rules import files
from testbed.visible import visible

_HEAD = "# Behaviours of"
_RULES = "# Fingerprint of the rules: "
_LINE = re.compile(r"(?P<probe>\S.*?) -> (?P<outcome>.*?)(?:  \[(?P<by>.*)\])?")
_BETWEEN = " ;; "


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: the probe and the outcome as text, and the rules that decided."""

    probe: str
    outcome: str
    by: tuple[str, ...]

    @property
    def reaches(self) -> bool:
        """Return whether the packet is delivered, or accepted by every rule."""
        return self.outcome.startswith(PASSING)

    def __str__(self) -> str:
        by = f"  [{_BETWEEN.join(self.by)}]" if self.by else ""
        return f"{self.probe} -> {self.outcome}{by}"


def rows(found: Iterable[Behaviour]) -> list[Row]:
    """Return a row for each behaviour, in the order of the probes."""
    return [
        Row(str(behaviour.probe), visible(behaviour.outcome), tuple(map(visible, behaviour.by))) for behaviour in found
    ]


def text(found: Sequence[Row], about: str, remarks: Iterable[str] = (), fingerprint: str = "") -> str:
    """Return the text of the file: its subject, what was left out, the rules' fingerprint, and a line for each row."""
    head = [f"{_HEAD} {about}: {len(found)} probes.", *(f"# {remark}" for remark in remarks)]
    head += [f"{_RULES}{fingerprint}"] if fingerprint else []
    return "".join(f"{line}\n" for line in (*head, *map(str, found)))


def fingerprint_in(content: str) -> str:
    """Return the fingerprint of the rules that a table was written for; empty if it has none."""
    return next((line.removeprefix(_RULES) for line in content.splitlines() if line.startswith(_RULES)), "")


def is_table(content: str) -> bool:
    """Return whether a file's text is such a table."""
    return content.startswith(_HEAD)


def read(path: Path | str) -> list[Row]:
    """Return the rows of a table; raise TestbedError with the line that cannot be parsed."""
    return parse(files.text_of(path, "Give a file that `invoke behaviours` wrote.", TestbedError), str(path))


def parse(content: str, source: str) -> list[Row]:
    """Return the rows in a text; raise as `read` does."""
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        row = _LINE.fullmatch(line)
        if row is None:
            raise TestbedError(
                f"{source}, line {number}: {line!r} is no behaviour.", "Write the file anew with `invoke behaviours`."
            )
        found.append(Row(row["probe"], row["outcome"], tuple(filter(None, (row["by"] or "").split(_BETWEEN)))))
    return found
