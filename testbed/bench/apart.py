"""A program apart: in namespaces of its own (network, mounts, processes), doing one step for each line it is sent.

Nothing that it makes can be seen elsewhere or outlives it, names of `ip netns` included: its /run is its own, and with
its first process the kernel ends all others. So it may be interrupted or killed at any moment, and two of them cannot
meet.
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
    """A context manager: starts the program and waits for its first line, `step` by `step`; ends it, however far it is.

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
        """How long the next step took, in seconds; KernelRefused with what the program said when it failed."""
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
        """End the program and all that it started; their last hold on the output is awaited."""
        self._process.kill()
        self._process.communicate()
