"""invoke test: the cases, in parallel."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.bed import Testbed
from testbed.errors import TestbedError
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.kernel.xtables import BACKENDS
from testbed.kernel.xtables import backend as backend_of
from testbed.rules import AnyRuleset, rulefile
from testbed.tasks.chosen import require_values
from testbed.tasks.console import COULD_NOT_RUN, in_words

_ALL = "all"


@task(
    help={
        "k": "run only cases whose name, file or claim (A15) matches this pytest expression",
        "jobs": "how many processes; 0 for one without pytest-xdist (default: one for each processor)",
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
    jobs: str = "auto",
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
    if not Path(path).exists():
        raise TestbedError(f"there are no cases in {path}.", "Run it where they are, or say where with --path.")
    arguments = [path, "--numprocesses", jobs, "--testbed-backend", backend]
    if rules:
        _try(rulefile.read(rules), backends)
        arguments += ["--testbed-rules", str(Path(rules).resolve())]
    if k:
        arguments += ["-k", k]
    if junit:
        arguments += ["--junitxml", junit]
    code = pytest.main([*arguments, "-W", "ignore::pytest.PytestAssertRewriteWarning"])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError("no case was chosen, so nothing was tested.", f"Look at -k {k!r}." if k else "")
    if code != pytest.ExitCode.OK:
        raise Exit(code=1 if code == pytest.ExitCode.TESTS_FAILED else COULD_NOT_RUN)


def _try(ruleset: AnyRuleset, backends: list[str]) -> None:
    """Load a rule set once with each backend: one that is refused is a mistake in the file, no red case."""
    with quarantine():
        for backend in backends:
            Testbed.article(ruleset, backend).close()
