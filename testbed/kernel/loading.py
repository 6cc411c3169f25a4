"""The interface of a backend, and a context manager for a loading program that runs in parallel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from testbed.errors import TestbedError
from testbed.kernel.counts import CounterReader, Counts
from testbed.kernel.namespace import Namespace
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.ruleset import Ruleset

R = TypeVar("R")  # the type of rule set that a backend loads


class Backend(Protocol[R]):
    """A way to load rules into a namespace and to read them and their counters back.

    `name` is the name in options and records. `program` is the command (or the prefix of the commands) that it runs.
    """

    @property
    def name(self) -> str: ...

    @property
    def program(self) -> str: ...

    @property
    def open_counters(self) -> Callable[[], CounterReader]:
        """Return a function to call in a namespace's thread; its result reads that namespace's counters."""

    def load(self, namespace: Namespace, ruleset: R) -> None:
        """Replace the namespace's rules; raises RulesError with file, line and complaint, and then changes nothing."""

    def replace(self, namespace: Namespace, ruleset: R) -> None:
        """Replace the namespace's rules; raises what `load` raises, and the namespace must then be closed."""

    def loading(self, namespace: Namespace, ruleset: R) -> AbstractContextManager[None]:
        """Load while the block runs; the rules are loaded when the block ends. Raises what `load` raises."""

    def saved(self, namespace: Namespace) -> R:
        """Return the namespace's rules in the kernel's own words; loaded again, their counters begin at zero."""

    def words(self, namespace: Namespace, counts: Counts) -> Ruleset:
        """Return the rules of a reading in the kernel's own words."""

    def book(self, namespace: Namespace) -> LoadedRuleset:
        """Return the namespace's rules under the names that its trace uses."""


@contextmanager
def at_work(program: subprocess.Popen[str], complaint: Callable[[str], TestbedError]) -> Iterator[None]:
    """Let a program run in parallel with the block; raise `complaint(stderr)` if the program fails.

    A program that replaces rules mostly sleeps while the kernel frees the old rules.
    """
    try:
        yield
    except BaseException:
        program.kill()
        raise
    finally:
        _, said = program.communicate()
    if program.returncode:
        raise complaint(said)
