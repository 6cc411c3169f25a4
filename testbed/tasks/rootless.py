"""Tasks that build beds run in a user namespace where an ordinary user runs them, or where it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.errors import MissingRequirement
from testbed.tasks.settings import ROOTLESS, truth

_MODULE = "testbed.kernel.user_namespace"
_HOLDS = "up"  # beds that outlive the task
_WITHOUT_BEDS = {"doctor", "rules", "claims"}


def ask() -> None:
    """Have the tasks of this command run in a user namespace, whoever runs them."""
    os.environ[ROOTLESS] = "1"


@contextmanager
def prepared(task: str) -> Iterator[None]:
    """Run a task in the user namespace it needs; the process that holds that ends with the last bed."""
    try:
        prepare(task)
        yield
    finally:
        if _MODULE in sys.modules:
            sys.modules[_MODULE].release()


def prepare(task: str) -> None:
    """Enter a user namespace before that task builds a bed, unless root runs it.

    Raises MissingRequirement where it was asked for and the kernel forbids it. Where it was not asked for, the task's
    own look at the requirements says so.
    """
    if task in _WITHOUT_BEDS:
        return
    from testbed.kernel import user_namespace

    asked = truth(ROOTLESS, os.environ.pop(ROOTLESS, "0"))
    if asked or user_namespace.needed():
        try:
            user_namespace.enter(keep=task == _HOLDS)
        except OSError as error:
            if asked:
                raise MissingRequirement(
                    f"a user namespace cannot be made: {user_namespace.why_not() or error.strerror}.",
                    "Leave out --rootless to run it as root.",
                ) from error
    elif task == _HOLDS:
        user_namespace.hold()
