"""A pytest session whose items are mutants: each runs the cases that can notice it, until one does.

So pytest-xdist spreads mutants over processes and machines, and starts a process anew that a mutant has taken along.
What is to be done is told to every process by the one that was started (`--testbed-mutants FILE`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import Engine
from testbed.mutation.judging import Judge, Ran
from testbed.mutation.plan import Plan, Task
from testbed.observe import exchange
from testbed.pytest_plugin import HOSTS
from testbed.regress.mutants import Mutant, mutants
from testbed.rules.ruleset import Ruleset

OUTCOME = "testbed-mutant"
_PLAN = "testbed_plan"
_LONGEST = 300  # characters of a failure that are kept


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("testbed", "docker-host-testbed")
    group.addoption("--testbed-mutants", metavar="FILE", help="run mutants in place of cases: what FILE plans")
    group.addoption("--testbed-engine", metavar="NAME", help="leave out cases of other engines")
    group.addoption("--testbed-host", metavar="FILE", help="Docker host that probes are sent to")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--testbed-mutants"):
        config.pluginmanager.register(_Campaign(config), "testbed-campaign")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (name := config.getoption("--testbed-engine")) is not None:
        items[:] = [item for item in items if name in (_engine_of(item), None) or _engine_of(item) is None]


def _engine_of(item: pytest.Item) -> str | None:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return next((value.name for value in parameters.values() if isinstance(value, Engine)), None)


class MutantItem(pytest.Item):
    """A mutant as an item of a session."""

    def __init__(self, *, mutant: Mutant, rules: Ruleset, task: Task, **of_item: Any) -> None:
        super().__init__(**of_item)
        self.mutant, self.rules, self.task = mutant, rules, task

    def runtest(self) -> None:
        raise AssertionError("a mutant is judged by the session's campaign")

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.mutant.sentence


class _Campaign:
    """What a process of the session does."""

    def __init__(self, config: pytest.Config) -> None:
        given: dict[str, str] = getattr(config, "workerinput", {})
        self._text = given.get(_PLAN) or Path(config.getoption("--testbed-mutants")).read_text()
        self._cases: dict[str, pytest.Item] = {}
        self._judge: Judge | None = None
        self._plan: Plan | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_PLAN] = self._text

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        """A mutant whose process ended is run again, by another."""
        sched.mark_test_pending(crashitem)
        report.outcome = "skipped"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        plan = Plan.parse(self._text)
        self._cases = {item.nodeid: item for item in items}
        host = session.config.getoption("--testbed-host")
        backend = session.config.getoption("--testbed-backend") or "nft"
        docker_host = hostfile.parse(hostfile.text_of_host(host), host) if host else article.HOST
        self._judge = Judge(self._run, plan.source, docker_host, backend)
        known = [{mutant.id: mutant for mutant in mutants(rules, plan.strong)} for rules in plan.rule_sets]
        items[:] = [
            MutantItem.from_parent(
                session,
                name=task.mutant,
                nodeid=f"mutants::{task.mutant}",
                mutant=known[task.rules][task.mutant],
                rules=plan.rule_sets[task.rules],
                task=task,
            )
            for task in plan.tasks
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if not isinstance(item, MutantItem) or self._judge is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        outcome = self._judge.outcome(item.mutant, item.rules, item.task)
        said = [(OUTCOME, json.dumps(outcome.as_dict()))]
        report = pytest.TestReport(
            item.nodeid, item.location, {}, "passed", None, "call", duration=outcome.seconds, user_properties=said
        )
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, case: str) -> Ran:
        """Run a case as pytest runs it, with its fixtures; nothing is reported."""
        item = self._cases[case]
        hosts: list[DockerHost] = []
        item.stash[HOSTS] = hosts
        item._report_sections.clear()
        with exchange.noting() as seen:
            reports = runtestprotocol(item, log=False, nextitem=None)
        failure = next(_failures(reports), "")
        return Ran(failure, seen, tuple(item.stash[HOSTS]))


def _failures(reports: list[pytest.TestReport]) -> Iterator[str]:
    for report in reports:
        if report.failed:
            lines = ["it failed", *report.longreprtext.strip().splitlines()]
            yield next((line for line in lines if line.startswith("E ")), lines[-1])[:_LONGEST]
