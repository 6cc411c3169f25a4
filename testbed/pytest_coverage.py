"""The pytest option --rule-coverage: the rules that the packets of the tests reached, matched and missed.

Under pytest-xdist every worker records its own tests; the controller process merges the records.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from testbed.coverage import records
from testbed.coverage.recording import Recorder
from testbed.coverage.records import Coverage
from testbed.errors import TestbedError

NAME = "testbed-rule-coverage"  # the plugin's name, for a later lookup
_SENT = "testbed_rule_coverage"


class RuleCoverage:
    """The plugin; each process of a run has one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._recorder = Recorder()
        self._ends = ExitStack()
        self._of_workers = Coverage()
        self.coverage = Coverage()

    def pytest_sessionstart(self) -> None:
        self._ends.enter_context(self._recorder.installed())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._recorder.test = item.nodeid
        try:
            return (yield)
        finally:
            self._recorder.ends(item.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Merge the coverage of a worker that has ended, in the controller process."""
        sent = getattr(node, "workeroutput", {}).get(_SENT)
        lost = Coverage(troubles=(f"{node.gateway.id}: the worker ended before its coverage was there ({error}).",))
        self._of_workers += records.parse(sent) if sent is not None else lost

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._ends.close()
        self.coverage = self._of_workers + self._recorder.coverage
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_SENT] = records.text(self.coverage)
            return
        try:
            records.write(self.coverage, self._path)
        except TestbedError as error:
            self.coverage += Coverage(troubles=(error.what,))
        if self.coverage.troubles and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        found = self.coverage
        if found.troubles:
            first, more = found.troubles[0], len(found.troubles) - 1
            others = f" ({more} more)" if more else ""
            terminalreporter.line(f"rule coverage: the trace is not whole: {first}{others}", red=True)
            return
        loaded, tests = len(found.rule_sets), len(found.tests)
        told = f"{loaded} rule set{'s' * (loaded != 1)} loaded, {tests} test{'s' * (tests != 1)} reached a rule"
        where = f": {self._path}" if self._path != os.devnull else ""
        terminalreporter.line(f"rule coverage: {told}{where}")
