"""invoke coverage: which rules the cases reached, matched and missed."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed import pytest_coverage, pytest_plugin, sessions
from testbed.bed import Testbed
from testbed.coverage import covered
from testbed.coverage.covered import Report
from testbed.coverage.recording import rule_set_of
from testbed.coverage.records import Coverage, RuleSetRecord
from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import chosen_for
from testbed.errors import TestbedError
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.kernel.xtables import BACKENDS
from testbed.report import coverage as report
from testbed.report import coverage_files
from testbed.report.page import Page
from testbed.report.page import html as page
from testbed.report.terminal import Text
from testbed.rules import AnyRuleset, NftRuleset, files, rulefile
from testbed.tasks.chosen import ENGINE_HELP, HOST_HELP, NEWEST_MEASURED, RULES_HELP, require_values
from testbed.tasks.console import FINDING, as_json, console, in_words
from testbed.tasks.values import JOBS_HELP, existing_cases, expression, percentage, processes, processors, writable

_ALL = "all"
_LISTING = "coverage.rules"


@dataclass(frozen=True, slots=True)
class _ReportedRules:
    """The rules that are reported on; `file` is where they stand, `by_source` counts all rule sets of their engine."""

    host: DockerHost
    rules: AnyRuleset
    file: Path | None
    by_source: bool


@task(
    help={
        "rules": f"{RULES_HELP}; the cases run on it",
        "host": HOST_HELP,
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
@in_words
def coverage(
    _: Context,
    rules: str | None = None,
    host: str | None = None,
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
    trace that is not whole.
    """
    require_values(host=host, engine=engine, rules=rules)
    least = percentage("--fail-under", fail_under)
    number = processes("--jobs", jobs) if jobs else processors()
    for option, file_name in (("--html", html), ("--lcov", lcov), ("--cobertura", cobertura), ("--out", out)):
        writable(option, file_name)
    existing_cases(path)
    chosen = ["-k", expression("-k", k)] if k else []
    asked = _asked(rules, host, engine)
    empty = _empty(asked, backend)
    under_test = ["--testbed-rules", str(Path(rules).resolve())] if rules else []
    with redirect_stdout(sys.stderr) if json else nullcontext():
        found = _measured(
            [path, "--numprocesses", str(number), "--testbed-backend", backend, *under_test, *chosen], out or os.devnull
        )
    file, text = asked.file, ""
    if file is None or not all(rule.line for rule in empty.rules):
        empty, text = coverage_files.listed(empty)
        file = Path(rules_out)
    told = covered.report(empty, found, asked.by_source, proofs=not isinstance(asked.rules, NftRuleset))
    if told is None:
        raise TestbedError(f"no case loaded {asked.rules.source}.", "Choose other cases with -k or --path.")
    if text and (lcov or cobertura):
        files.write(file, text)
    if lcov:
        files.write(lcov, coverage_files.lcov(told, file))
    if cobertura:
        files.write(cobertura, coverage_files.cobertura(told, file, Path.cwd()))
    if html:
        files.write(html, page(Page(f"Rule coverage of {told.source}", (), coverage=told)))
    _show(told, json)
    _judge(told, least)


def _asked(rules: str | None, host: str | None, engine: str | None) -> _ReportedRules:
    docker_host = hostfile.read(host) if host else article.HOST
    if rules:
        return _ReportedRules(docker_host, rulefile.read(rules), Path(rules), by_source=False)
    if host or engine:
        return _ReportedRules(
            docker_host, chosen_for(docker_host, engine or NEWEST_MEASURED).rules(docker_host), None, by_source=True
        )
    with as_file(article.RULES_FILE) as file:
        return _ReportedRules(docker_host, article.ruleset(), file, by_source=False)


def _empty(asked: _ReportedRules, backend: str) -> RuleSetRecord:
    """The rules in the kernel's words, before any packet."""
    first = "nft" if backend == _ALL else backend
    for one in BACKENDS if backend == _ALL else (first,):
        require(backend_for(asked.rules, one).name)
    with quarantine(), Testbed(article.topology(asked.host), asked.rules, first) as bed:
        return rule_set_of(bed.loaded, bed.backend.book(bed.host))


class _Keeper:
    """Keeps what the run has recorded."""

    def __init__(self) -> None:
        self.coverage = Coverage()

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        recorded = config.pluginmanager.getplugin(pytest_coverage.NAME)
        if recorded is not None:
            self.coverage = recorded.coverage


def _measured(arguments: list[str], out: str) -> Coverage:
    """What the cases' packets did; TestbedError where that is not known for certain."""
    keeper = _Keeper()
    code = sessions.run([*arguments, f"{pytest_plugin.RULE_COVERAGE}={out}"], [keeper])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError("no case was chosen, so nothing was measured.", "Look at -k and --path.")
    sessions.require_start(code)
    if keeper.coverage.troubles:
        raise TestbedError(f"the trace is not whole: {keeper.coverage.troubles[0]}", "Nothing is told of half a trace.")
    if code != pytest.ExitCode.OK:
        raise TestbedError("a case fails, so nothing was measured.", "Coverage is that of cases that pass.")
    return keeper.coverage


def _show(told: Report, json: bool) -> None:
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
