"""invoke test: the cases, in parallel."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.errors import TestbedError
from testbed.tasks.console import in_words
from testbed.tasks.exit_codes import FINDING
from testbed.tasks.options import JOBS_HELP
from testbed.tasks.values import existing_cases, expression, processes, processors, writable, writable_folder

_ALL = "all"


@task(
    help={
        "k": "run only cases whose name, file or claim (A15) matches this pytest expression",
        "jobs": JOBS_HELP,
        "backend": "nft, legacy or all",
        "rules": "rule set (file) in place of the article's",
        "junit": "write the results there as JUnit XML",
        "artifacts": "folder for what a person needs of each red case: rules, counters, journeys, pcapng, repro.sh",
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
    artifacts: str = "",
    path: str = "cases",
) -> None:
    """Run the cases: each on a bed of its own, on both of iptables' ways of loading rules.

    Exit code 0 when all pass, 1 when one fails, 2 when they could not run.
    """
    import pytest

    from testbed import sessions
    from testbed.kernel.requirements import require
    from testbed.kernel.xtables import BACKENDS
    from testbed.kernel.xtables import backend as backend_of
    from testbed.rules import rulefile
    from testbed.tasks.cases import CaseCount, load_once
    from testbed.tasks.host_options import require_values

    require_values(rules=rules)
    backends = list(BACKENDS) if backend == _ALL else [backend_of(backend).name]
    for chosen in backends:
        require(chosen)
    number = processes("--jobs", jobs) if jobs else processors()
    arguments = [existing_cases(path), "--numprocesses", str(number), "--testbed-backend", backend]
    arguments += ["-o", "console_output_style=count"]
    if rules:
        load_once(rulefile.read(rules), backends)
        arguments += ["--testbed-rules", str(Path(rules).resolve())]
    if k:
        arguments += ["-k", expression("-k", k)]
    if junit:
        arguments += ["--junitxml", writable("--junit", junit)]
    if artifacts:
        arguments += ["--testbed-artifacts", writable_folder("--artifacts", artifacts)]
    code = sessions.run(arguments, [CaseCount(number)])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError("no case was chosen, so nothing was tested.", f"Look at -k {k!r}." if k else "")
    sessions.require_start(code)
    if code != pytest.ExitCode.OK:
        raise Exit(code=FINDING)
