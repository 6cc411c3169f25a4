"""Files that people name: rules or hosts that are read, whatever their syntax, and reports that are written."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import RulesError, TestbedError


def text_of(path: Path | str, remedy: str, refusal: type[TestbedError] = RulesError) -> str:
    """What a file says; an error of that kind, with that remedy, when it cannot be read or is not text."""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise refusal(f"{path} cannot be read: {reason}.", remedy) from error


def write(path: Path | str, text: str, remedy: str = "Give another file.") -> None:
    """Write a file; TestbedError with that remedy when it cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise TestbedError(f"{path} cannot be written: {error.strerror}.", remedy) from error
