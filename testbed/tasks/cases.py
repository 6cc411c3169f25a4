"""Around a run of the cases: the rule set is tried first, and the number of cases is printed."""

from __future__ import annotations

import pytest

from testbed.bed import Testbed
from testbed.kernel.namespace import quarantine
from testbed.rules import AnyRuleset
from testbed.tasks.console import console


class CaseCount:
    """Prints the number of cases once they are collected."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._said = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self._say(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._say(len(ids))

    def _say(self, cases: int) -> None:
        if not self._said and cases:
            self._said = True
            spread = f"{self._processes} processes" if self._processes > 1 else "1 process"
            console().print(f"{cases} cases, {spread}.")


def load_once(ruleset: AnyRuleset, backends: list[str]) -> None:
    """Load a rule set once with each backend: one that is refused is a mistake in the file, no red case."""
    with quarantine():
        for backend in backends:
            Testbed.article(ruleset, backend).close()
