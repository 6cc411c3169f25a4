"""What all tasks share: where they print, and how an error ends them."""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks import rootless, streams
from testbed.tasks.called import as_called
from testbed.tasks.exit_codes import COULD_NOT_RUN, INTERRUPTED
from testbed.tasks.failures import in_a_sentence
from testbed.tasks.interruption import SENTENCE, raised

if TYPE_CHECKING:
    from testbed.report.terminal import Terminal

P = ParamSpec("P")
T = TypeVar("T")

_WIDTH_OF_A_LOG = 130  # columns, where the output is not a terminal


def console(stderr: bool = False) -> Terminal:
    """Where tasks print."""
    from testbed.report.terminal import Terminal

    stream = sys.stderr if stderr else sys.stdout
    return Terminal(stderr=stderr, width=None if stream.isatty() else _WIDTH_OF_A_LOG)


def in_words(task: Callable[P, T]) -> Callable[P, T]:
    """Makes a task end with exit code 2 and a sentence on what is wrong and what to do, instead of a traceback."""

    @functools.wraps(task)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with ending_in_words(), raised(), rootless.prepared(getattr(task, "__name__", "")):
            return task(*args, **kwargs)

    return wrapped


@contextmanager
def ending_in_words() -> Iterator[None]:
    """Turn every way to fail into a sentence and an exit code; only a fault of the code has a traceback before it."""
    try:
        streams.prepare()
        with _written_at_the_end():
            yield
    except Exit:
        raise
    except KeyboardInterrupt:
        _end(TestbedError(SENTENCE), INTERRUPTED)
    except Exception as error:
        known = in_a_sentence(error)
        if known is None:
            with suppress(OSError):
                traceback.print_exc()
            known = TestbedError("this is a fault of docker-host-testbed.", "Please report it with the lines above.")
        _end(known, COULD_NOT_RUN)


@contextmanager
def _written_at_the_end() -> Iterator[None]:
    """Write what is printed before the task ends, so that an output that takes no more is an error."""
    try:
        yield
    except Exit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _end(error: TestbedError, code: int) -> NoReturn:
    from testbed.report.terminal import Text

    with suppress(OSError):
        out = console(stderr=True)
        out.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
        if error.remedy:
            out.print(Text(as_called(error.remedy)), soft_wrap=True)
    streams.discard()
    raise Exit(code=code)


def as_json(value: Any) -> None:
    """Print a value for programs."""
    print(json.dumps(value, indent=2))  # noqa: T201
