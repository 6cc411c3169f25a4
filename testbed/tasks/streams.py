"""Standard streams that a task can print to, in any encoding, open or closed."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from testbed.errors import TestbedError

_FALLBACK = "testbed-ascii"
_ASCII = {
    "✓": "+",
    "✗": "x",
    "→": "->",
    "⇒": "=>",
    "⇄": "<->",
    "↩": "<-",
    "≠": "!=",
    "≤": "<=",
    "≈": "~",
    "…": "...",
    "–": "-",  # noqa: RUF001 - the dash of a coverage table
    "·": ".",
    "•": "*",
    "━": "-",
    "╸": "-",
    "╺": "-",
}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by ASCII; escape those without a replacement."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    replaced = "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return replaced, error.end


codecs.register_error(_FALLBACK, _in_ascii)


def prepare() -> None:
    """Make standard output and errors take every character; TestbedError without a standard output."""
    _fill_missing()
    if sys.stdout is None:
        raise TestbedError(
            "standard output is closed, so no result can be printed.", "Redirect it to a file or a pipe."
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_FALLBACK)


def _fill_missing() -> None:
    """Open /dev/null for each standard descriptor that is closed, or the next file opened would take its number."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, mode)  # the lowest free number, so this one
            os.set_inheritable(null, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open until the process ends
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - it stays open until the process ends


def discard() -> None:
    """Send what standard output and errors still hold nowhere, if they cannot be written to any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
