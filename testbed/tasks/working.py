"""A sign on standard error, at a terminal, that something goes on whose end cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from testbed.tasks.console import console


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show what goes on and for how long, with a moving bar, while the block runs."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    shown_to = console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=shown_to, transient=True, disable=not shown_to.is_terminal) as bar:
        bar.add_task(what, total=None)
        yield
