"""A separate program: in namespaces of its own (network, mounts, processes), doing one step for each line of input.

Nothing that it makes is visible elsewhere or outlives it, names of `ip netns` included. Its /run is its own, and the
kernel ends all its processes with the first one. So it may be interrupted or killed at any moment, and two such
programs do not affect each other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from testbed.errors import KernelRefused, MissingRequirement
from testbed.kernel.namespace import DOCTOR

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_OWN_RUN = ("sh", "-e", "-c", 'mount -t tmpfs tmpfs /run; exec "$@"', "sh")


class Apart:
    """A context manager that starts the program, waits for its first line, runs it `step` by `step`, and ends it.

    The program prints a line when it is ready, and one after each step.
    """

    def __init__(self, what: str, argv: Sequence[str]) -> None:
        self._what = what
        self._argv = [*_UNSHARE, *_OWN_RUN, *argv]

    def __enter__(self) -> Apart:
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingRequirement("the program unshare is not installed.", DOCTOR) from error
        try:
            self._wait_for_line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._end()

    def step(self) -> float:
        """Return the time of the next step in seconds; raise KernelRefused with the program's output if it fails."""
        assert self._process.stdin is not None
        began = time.perf_counter()
        with suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        self._wait_for_line()
        return time.perf_counter() - began

    def _wait_for_line(self) -> None:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            _, said = self._process.communicate()
            raise KernelRefused(f"{self._what} failed: {' '.join(said.split()) or 'it said nothing'}.", DOCTOR)

    def _end(self) -> None:
        """End the program and all that it started; wait until they have closed their output."""
        self._process.kill()
        self._process.communicate()
