"""invoke coverage: which rules the cases reached, matched and missed."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task, require_values
from testbed.tasks.options import ENGINE_HELP, JOBS_HELP, RULES_HELP
from testbed.tasks.values import existing_cases, expression, percentage, processes, processors, writable

if TYPE_CHECKING:
    from testbed.coverage.covered import Report

_LISTING = "coverage.rules"


@host_task(
    help={
        "rules": f"{RULES_HELP}; the cases run on it",
        "engine": f"{ENGINE_HELP}; every rule set counts that a case loads for this engine",
        "k": "run only cases whose name, file or claim (A15) matches this pytest expression",
        "path": "where the cases are",
        "jobs": JOBS_HELP,
        "backend": "nft, legacy or all",
        "html": "write a page with every rule and the cases that reached it",
        "lcov": "write a tracefile for genhtml and lcov",
        "cobertura": "write Cobertura's XML, for GitLab or Codecov",
        "rules-out": f"where to write rules that stand in no file, for lcov and Cobertura (default: {_LISTING})",
        "out": "keep what was recorded, as `pytest --rule-coverage=FILE` writes it",
        "json": "print the coverage for programs",
        "fail-under": "exit with code 1 when fewer percent of the rules were reached, or of their branches seen",
    }
)
def coverage(
    _: Context,
    rules: str | None = None,
    host: HostOptions | None = None,
    engine: str | None = None,
    k: str = "",
    path: str = "cases",
    jobs: str = "",
    backend: str = "nft",
    html: str = "",
    lcov: str = "",
    cobertura: str = "",
    rules_out: str = _LISTING,
    out: str = "",
    json: bool = False,
    fail_under: str = "0",
) -> None:
    """Run the cases and show which rules their packets reached, matched and missed, as the kernel's trace tells it.

    Exit code 0; 1 when it is less than --fail-under; 2 when it could not be measured: no cases, a case that fails, a
    trace that is not whole; 3 when host and rules contradict each other.
    """
    from testbed.coverage import covered
    from testbed.report import coverage_files, page
    from testbed.rules import files
    from testbed.tasks.chosen import warned
    from testbed.tasks.measurement import asked_for, empty_record, measured

    require_values(engine=engine, rules=rules)
    least = percentage("--fail-under", fail_under)
    number = processes("--jobs", jobs) if jobs else processors()
    for option, file_name in (("--html", html), ("--lcov", lcov), ("--cobertura", cobertura), ("--out", out)):
        writable(option, file_name)
    existing_cases(path)
    chosen = ["-k", expression("-k", k)] if k else []
    asked = asked_for(rules, host, engine)
    apart = warned(asked.host, asked.rules) if host and rules else ()
    empty = empty_record(asked, backend)
    under_test = ["--testbed-rules", str(Path(rules).resolve())] if rules else []
    with redirect_stdout(sys.stderr) if json else nullcontext():
        found = measured(
            [path, "--numprocesses", str(number), "--testbed-backend", backend, *under_test, *chosen], out or os.devnull
        )
    file, text = asked.file, ""
    if file is None or not all(rule.line for rule in empty.rules):
        empty, text = coverage_files.listed(empty)
        file = Path(rules_out)
    told = covered.report(empty, found, proofs=asked.rules.as_iptables is not None)
    if told is None:
        raise TestbedError(f"no case loaded {asked.rules.source}.", "Choose other cases with -k or --path.")
    if text and (lcov or cobertura):
        files.write(file, text)
    if lcov:
        files.write(lcov, coverage_files.lcov(told, file))
    if cobertura:
        files.write(cobertura, coverage_files.cobertura(told, file, Path.cwd()))
    if html:
        files.write(html, page.html(page.Page(f"Rule coverage of {told.source}", (), coverage=told)))
    _show(told, json)
    _judge(told, least)
    if apart:
        raise Exit(code=NOT_JUDGED)


def _show(told: Report, json: bool) -> None:
    from testbed.report import coverage as report
    from testbed.report.terminal import Text

    if json:
        as_json(report.as_dict(told))
        return
    for line in report.lines(told):
        console().print(line, soft_wrap=isinstance(line, Text), crop=False)


def _judge(told: Report, fail_under: float) -> None:
    for name, share in (("rules", told.reached), ("branches", told.branches)):
        if share.percent < fail_under:
            console(stderr=True).print(f"{name}: {share}, and --fail-under asks for {fail_under:g} %.", soft_wrap=True)
            raise Exit(code=FINDING)
