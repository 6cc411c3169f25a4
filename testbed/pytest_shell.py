"""The pytest option --testbed-shell: a shell in a failed test's bed, or a pause to enter it from another terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from testbed.bed import Testbed
from testbed.kernel import user_namespace
from testbed.kernel.namespace import Namespace
from testbed.pytest_plugin import BEDS

NAME = "testbed-shell"
SHELL, PAUSE = "shell", "pause"


class FailedBedShell:
    """The plugin: stops at each failed test that has a bed."""

    def __init__(self, config: pytest.Config, kind: str) -> None:
        self._config = config
        with self._at_the_terminal():
            if not sys.stdin.isatty():
                raise pytest.UsageError("--testbed-shell needs a terminal.")
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--testbed-shell needs one process: leave out -n of pytest-xdist.")
        self._kind = kind

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.when == "call":
            for bed in item.stash.get(BEDS, []):
                with self._at_the_terminal():
                    self._stop(item.nodeid, report.longreprtext.rstrip().splitlines()[-1:], bed)
        return report

    def _stop(self, test: str, last: list[str], bed: Testbed) -> None:
        _say(f"\n{test} failed.", *last, "Its bed stands. From another terminal:")
        for name, inside in bed.namespaces.items():
            _say(f"  {name}: {entering(inside)}")
        if self._kind == PAUSE:
            _say("Press Enter to go on.")
            sys.stdin.readline()
            return
        _say(f"A shell in {bed.topology.host}; exit goes on.")
        shell = os.environ.get("SHELL", "/bin/sh")
        bed.host.run(subprocess.Popen, [shell]).wait()

    @contextmanager
    def _at_the_terminal(self) -> Iterator[None]:
        """Let the terminal through while the block runs."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        capture.suspend_global_capture(in_=True)
        try:
            yield
        finally:
            capture.resume_global_capture()


def entering(inside: Namespace) -> str:
    """Return the command that enters the network of a node from another terminal."""
    own = f"/proc/{os.getpid()}"
    user = f"--user={own}/ns/user --preserve-credentials " if user_namespace.entered() else ""
    return f"nsenter {user}--net={own}/fd/{inside.fd} sh"


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201
