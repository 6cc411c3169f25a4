"""A pytest session whose items are mutants: each item runs the cases that can kill it, until one does.

So pytest-xdist distributes mutants over processes and machines, and restarts a process that a mutant crashed. The
controller (`-p testbed.mutation.session`, with a Session) sends the plan to every worker.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from testbed import described_host
from testbed.behaviour.mutants import Mutant, mutants
from testbed.docker import DockerHost, article
from testbed.docker.engines import Engine
from testbed.mutation.injection import Injection
from testbed.mutation.judge import CaseRun, MutantJudge
from testbed.mutation.outcome import ERROR, MutantResult
from testbed.mutation.plan import Plan, Task
from testbed.mutation.reusable_bed import BedPool
from testbed.pytest_stash import BED_FACTORY, HOSTS, no_hosts

PREFIX = "mutants::"
_OUTCOME = "testbed-mutant"
_PLAN = "testbed_plan"
_LONGEST = 300  # characters of a failure that are kept
_MAX_CRASHES = 3  # crashes of its process after which a mutant is given up


class Session:
    """The controller: it sends the plan to the workers, and calls `done` for each result. `plan` is Plan.text."""

    def __init__(self, plan: str, done: Callable[[MutantResult], None]) -> None:
        self._plan = plan
        self._done = done
        self._crashes: Counter[str] = Counter()

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(MutationWorker(self._plan), "testbed-workshop")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_PLAN] = self._plan

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        """Run a mutant whose process ended again, in another process."""
        self._crashes[crashitem] += 1
        report.outcome = "skipped"
        if self._crashes[crashitem] < _MAX_CRASHES:
            sched.mark_test_pending(crashitem)
        else:
            said = f"{_MAX_CRASHES} processes ended while they ran it"
            self._done(MutantResult(crashitem.removeprefix(PREFIX), ERROR, said=said))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _OUTCOME:
                self._done(MutantResult.from_dict(json.loads(str(value))))


def pytest_configure(config: pytest.Config) -> None:
    """Register the worker in a process that xdist started."""
    given: dict[str, str] = getattr(config, "workerinput", {})
    if _PLAN in given:
        config.pluginmanager.register(MutationWorker(given[_PLAN]), "testbed-workshop")


class MutantItem(pytest.Item):
    """A mutant as an item of a session."""

    def __init__(self, *, mutant: Mutant, task: Task, **of_item: Any) -> None:
        super().__init__(**of_item)
        self.mutant, self.task = mutant, task

    def runtest(self) -> None:
        raise AssertionError("a mutant is judged by the session's workshop")

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.mutant.title


class MutationWorker:
    """The part of each process: it collects the cases, and runs them against its mutants.

    Without mutants it runs the campaign's cases on the original rules.
    """

    def __init__(self, plan: str) -> None:
        self._plan = Plan.parse(plan)
        self._cases: dict[str, pytest.Item] = {}
        self._beds = BedPool(reuse=not self._plan.fresh)
        host = described_host.parse(self._plan.host) if self._plan.host else article.HOST
        self._judge = MutantJudge(self._run, self._plan, host)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        plan = self._plan
        session.config.stash[BED_FACTORY] = self._beds.bed
        if plan.engine:
            items[:] = [item for item in items if _engine_of(item) in ("", plan.engine)]
        if not plan.tasks:
            return
        self._cases = {item.nodeid: item for item in items}
        known = {mutant.id: mutant for mutant in mutants(plan.rules, plan.strong)}
        items[:] = [
            MutantItem.from_parent(
                session,
                name=task.mutant,
                nodeid=f"{PREFIX}{task.mutant}",
                mutant=known[task.mutant],
                task=task,
            )
            for task in plan.tasks
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if not isinstance(item, MutantItem):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        outcome = self._judge.outcome(item.mutant, self._plan.rules, item.task)
        said: list[tuple[str, object]] = [(_OUTCOME, json.dumps(outcome.as_dict()))]
        report = pytest.TestReport(
            item.nodeid, item.location, {}, "passed", None, "call", duration=outcome.seconds, user_properties=said
        )
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        self._beds.close()
        self._judge.close()

    def _run(self, case: str, injection: Injection) -> CaseRun:
        """Run a case with an injection as pytest runs it, with its fixtures, without a report."""
        item = self._cases[case]
        item.stash[HOSTS] = no_hosts()
        item._report_sections.clear()
        with self._beds.injecting(injection):
            reports = runtestprotocol(item, log=False, nextitem=None)
        made: list[DockerHost] = item.stash[HOSTS]
        return CaseRun(next(_failures(reports), ""), injection.seen, tuple(made))


def _engine_of(item: pytest.Item) -> str:
    """Return the engine of a case; empty if the case is not parametrized by engines."""
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return next((value.name for value in parameters.values() if isinstance(value, Engine)), "")


def _failures(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    for report in reports:
        if report.failed:
            lines = ["it failed", *report.longreprtext.strip().splitlines()]
            yield next((line for line in lines if line.startswith("E ")), lines[-1])[:_LONGEST]
