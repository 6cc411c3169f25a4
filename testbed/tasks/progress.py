"""Progress bars on standard error, shown only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask

from testbed.mutation.campaign import Progress as Step
from testbed.report.terminal import Text
from testbed.tasks.console import console

T = TypeVar("T")


def asked(ask_all: Callable[[Callable[[int], Callable[[], None]]], T]) -> T:
    """What was answered, with a bar meanwhile at a terminal."""
    columns = TextColumn("probes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown_to = console(stderr=True)
    with Progress(*columns, console=shown_to, transient=True, disable=not shown_to.is_terminal) as bar:

        def begin(total: int) -> Callable[[], None]:
            shown = bar.add_task("probes", total=total)
            return lambda: bar.advance(shown)

        return ask_all(begin)


class _SpeedColumn(ProgressColumn):
    """Mutants per second; nothing while none is done, of which no speed is known."""

    def render(self, task: ProgressTask) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


@contextmanager
def mutants() -> Iterator[Step]:
    """Shows how far it is, how fast, and how long it will take, at a terminal."""
    shown_to = console(stderr=True)
    columns = TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), _SpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=shown_to, transient=True, disable=not shown_to.is_terminal) as bar:
        shown = bar.add_task("mutants", total=None)
        yield lambda done, total: bar.update(shown, completed=done, total=total)
