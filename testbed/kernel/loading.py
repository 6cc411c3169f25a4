"""What a bed asks of those who load its rules, and how they let their programs work meanwhile."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from testbed.errors import TestbedError
from testbed.kernel.counts import Counts
from testbed.kernel.namespace import Namespace
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.ruleset import Ruleset

R = TypeVar("R")  # the kind of rule sets that a backend understands


class Backend(Protocol[R]):
    """A way of putting rules into a namespace and reading them and their counters back.

    `name` is what options and records call it, `program` the command (or the prefix of the commands) that it runs.
    """

    @property
    def name(self) -> str: ...

    @property
    def program(self) -> str: ...

    @property
    def open_counters(self) -> Callable[[], Callable[[], Counts]]:
        """To be called in a namespace's thread; what it returns reads that namespace's counters from anywhere."""

    def load(self, namespace: Namespace, ruleset: R) -> None:
        """Replace the namespace's rules; RulesError with file, line and the program's complaint, nothing changed."""

    def replace(self, namespace: Namespace, ruleset: R) -> None:
        """Replace the namespace's rules; where `load` raises this does too, and the namespace can only be closed."""

    def loading(self, namespace: Namespace, ruleset: R) -> AbstractContextManager[None]:
        """Load while the block runs; the rules are there when it is left. Raises what `load` raises."""

    def saved(self, namespace: Namespace) -> R:
        """The namespace's rules in the kernel's own words; loaded again, they begin at zero."""

    def words(self, namespace: Namespace, counts: Counts) -> Ruleset:
        """What the rules of a reading are called, in the kernel's own words."""

    def book(self, namespace: Namespace) -> LoadedRuleset:
        """The namespace's rules as its trace speaks of them."""


@contextmanager
def at_work(program: subprocess.Popen[str], complaint: Callable[[str], TestbedError]) -> Iterator[None]:
    """Let a program work while the block runs; raises what `complaint` makes of its words when it fails.

    A program that replaces rules spends most of its time asleep, waiting for the kernel to free the old ones.
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
