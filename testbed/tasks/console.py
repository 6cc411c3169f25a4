"""What all tasks share: where they print, and how an error ends them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from invoke.exceptions import Exit
from rich.console import Console
from rich.text import Text

from testbed.errors import TestbedError

P = ParamSpec("P")
T = TypeVar("T")

FINDING = 1
COULD_NOT_RUN = 2
NOT_JUDGED = 3  # it ran and found nothing, and something could not be judged; the output names it
INTERRUPTED = 130
_WIDTH_OF_A_LOG = 130  # columns, where the output is not a terminal


def console(stderr: bool = False) -> Console:
    """Where tasks print."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _WIDTH_OF_A_LOG, highlight=False)


def in_words(task: Callable[P, T]) -> Callable[P, T]:
    """Makes a task end with exit code 2 and a sentence on what is wrong and what to do, instead of a traceback."""

    @functools.wraps(task)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return task(*args, **kwargs)
        except TestbedError as error:
            out = console(stderr=True)
            out.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
            if error.remedy:
                out.print(Text(error.remedy), soft_wrap=True)
            raise Exit(code=COULD_NOT_RUN) from error

    return wrapped


def as_json(value: Any) -> None:
    """Print a value for programs."""
    print(json.dumps(value, indent=2))  # noqa: T201
