"""The command that a person typed, `docker-host-testbed` or `invoke`, and sentences that name it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CONSOLE = "docker-host-testbed"
INVOKE = "invoke"
_COMMAND = re.compile(r"\binvoke (?=[a-z]|--|TASK)")


def program() -> str:
    """Return the name of the command that this process runs."""
    called = Path(sys.argv[0])
    module = called.name == "__main__.py" and called.parent.name == "testbed"  # python -m testbed
    return CONSOLE if called.name == CONSOLE or module else INVOKE


def as_called(text: str) -> str:
    """Return our own text with the command that was typed in place of `invoke`."""
    return text if program() == INVOKE else _COMMAND.sub(f"{program()} ", text)
