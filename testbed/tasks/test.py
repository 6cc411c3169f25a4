"""invoke test: the cases, in parallel."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed import sessions
from testbed.bed import Testbed
from testbed.errors import TestbedError
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.kernel.xtables import BACKENDS
from testbed.kernel.xtables import backend as backend_of
from testbed.rules import AnyRuleset, rulefile
from testbed.tasks.chosen import require_values
from testbed.tasks.console import FINDING, console, in_words
from testbed.tasks.values import JOBS_HELP, existing_cases, expression, processes, processors, writable

_ALL = "all"


@task(
    help={
        "k": "run only cases whose name, file or claim (A15) matches this pytest expression",
        "jobs": JOBS_HELP,
        "backend": "nft, legacy or all",
        "rules": "rule set (file) in place of the article's",
        "junit": "write the results there as JUnit XML",
        "path": "where the cases are",
    }
)
@in_words
def test(
    _: Context,
    k: str = "",
    jobs: str = "",
    backend: str = _ALL,
    rules: str | None = None,
    junit: str = "",
    path: str = "cases",
) -> None:
    """Run the cases: each on a bed of its own, on both of iptables' ways of loading rules.

    Exit code 0 when all pass, 1 when one fails, 2 when they could not run.
    """
    require_values(rules=rules)
    backends = list(BACKENDS) if backend == _ALL else [backend_of(backend).name]
    for chosen in backends:
        require(chosen)
    number = processes("--jobs", jobs) if jobs else processors()
    arguments = [existing_cases(path), "--numprocesses", str(number), "--testbed-backend", backend]
    arguments += ["-o", "console_output_style=count"]
    if rules:
        _try(rulefile.read(rules), backends)
        arguments += ["--testbed-rules", str(Path(rules).resolve())]
    if k:
        arguments += ["-k", expression("-k", k)]
    if junit:
        arguments += ["--junitxml", writable("--junit", junit)]
    code = sessions.run(arguments, [_HowMany(number)])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError("no case was chosen, so nothing was tested.", f"Look at -k {k!r}." if k else "")
    sessions.require_start(code)
    if code != pytest.ExitCode.OK:
        raise Exit(code=FINDING)


class _HowMany:
    """Says how many cases will run, once they are collected."""

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


def _try(ruleset: AnyRuleset, backends: list[str]) -> None:
    """Load a rule set once with each backend: one that is refused is a mistake in the file, no red case."""
    with quarantine():
        for backend in backends:
            Testbed.article(ruleset, backend).close()
