"""A capture as its sections: the text of each, the line where it begins, and how its command ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from testbed.errors import CaptureError
from testbed.rules.files import shown

FORMAT = 1
SCRIPT = files(__package__).joinpath("capture.sh")
AGAIN = "Take it again: `invoke capture --script` prints the script that does."

_EDITED = f"A line of a section has a space before it. {AGAIN}"
_FIRST = re.compile(r"docker-host-testbed capture, format (\d+)")
_LAST = "== end of capture"
_BEGIN = re.compile(r"== ([a-z0-9-]+)")
_END = re.compile(r"== end ([a-z0-9-]+): (ok|failed with status \d+|absent, [ -~]+)")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a capture: `line` is the number of its first line in `source`, `failure` the reason why it has none."""

    name: str
    source: str
    line: int
    lines: tuple[str, ...]
    failure: str = ""

    @property
    def text(self) -> str:
        """Return the text, behind as many empty lines as make the number of each line that of the source."""
        return "\n" * (self.line - 1) + "".join(f"{line}\n" for line in self.lines)

    def place(self, number: int = 0) -> str:
        """Return the source and the number of a line, counted within the section from 0."""
        return f"{self.source} line {self.line + number}"


def is_capture(text: str) -> bool:
    """Return whether a text begins as a capture does, of any format."""
    return text.startswith("docker-host-testbed capture")


def sections(text: str, source: str) -> dict[str, Section]:
    """Return the sections of a capture by name.

    Raises CaptureError for another format, a capture that is cut off, and lines that are no part of one.
    """
    lines = text.split("\n")
    first = _FIRST.fullmatch(lines[0].rstrip("\r"))
    if first is None:
        raise CaptureError(f"{source} is no capture: its first line is {shown(lines[0])!r}.", AGAIN)
    if int(first[1]) != FORMAT:
        raise CaptureError(
            f"{source} is a capture of format {first[1]}, and this version reads format {FORMAT}.",
            "Take it again with the script of this version: `invoke capture --script` prints it.",
        )
    found: dict[str, Section] = {}
    for section in _read(lines, source):
        if section.name in found:
            raise CaptureError(f"{section.place()}: the section {section.name} is there twice.", AGAIN)
        found[section.name] = section
    return found


def _read(lines: list[str], source: str) -> Iterator[Section]:
    number = 1
    while True:
        if number >= len(lines) or lines[number : number + 2] == [""]:
            raise _cut_off(source, number, "between two sections")
        if lines[number] == _LAST:
            break
        begin = _BEGIN.fullmatch(lines[number])
        if begin is None and not any(lines[number + 1 :]):
            raise _cut_off(source, number + 1, "between two sections")
        if begin is None:
            raise CaptureError(f"{source} line {number + 1}: no section begins with {shown(lines[number])!r}.", _EDITED)
        end = next((at for at in range(number + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
        closing = _END.fullmatch(lines[end]) if end < len(lines) else None
        if closing is None or closing[1] != begin[1]:
            raise _without_end(lines, end, begin[1], source)
        content = tuple(line[1:] for line in lines[number + 1 : end])
        yield Section(begin[1], source, number + 2, content, "" if closing[2] == "ok" else closing[2])
        number = end + 1
    _require_nothing_behind(lines, number, source)


def _without_end(lines: list[str], end: int, name: str, source: str) -> CaptureError:
    """Return the error for a section without its last line: the capture ends there, or has another line."""
    if not any(lines[end + 1 :]):
        return _cut_off(source, end, f"in the section {name}")
    return CaptureError(f"{source} line {end + 1}: {shown(lines[end])!r} is no line of the section {name}.", _EDITED)


def _cut_off(source: str, line: int, where: str) -> CaptureError:
    return CaptureError(f"{source} is cut off: it ends {where}, at line {line}, without {_LAST!r}.", AGAIN)


def _require_nothing_behind(lines: list[str], number: int, source: str) -> None:
    for behind, line in enumerate(lines[number + 1 :], start=number + 2):
        if line.strip():
            raise CaptureError(
                f"{source} line {behind}: there is {shown(line)!r} behind the end of the capture.", AGAIN
            )
