"""A campaign: run the cases once on the original rules, then every mutant against the cases that reach it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import execnet
import pytest

from testbed import described_host, sessions
from testbed.behaviour import difference, table
from testbed.behaviour.mutants import Mutant, equivalent, mutants
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.coverage import records
from testbed.coverage.records import Coverage
from testbed.docker import article
from testbed.errors import TestbedError
from testbed.kernel.requirements import require
from testbed.mutation.journal import Journal, key
from testbed.mutation.outcome import EQUIVALENT, ERROR, MutantResult, Score
from testbed.mutation.plan import Plan, Reach, Task
from testbed.mutation.session import Session
from testbed.rules import save
from testbed.rules.ruleset import IPV6, Ruleset

Progress = Callable[[int, int], None]  # called with the number of mutants that are done, and of all
_MAX_IDLE_SESSIONS = 2  # sessions without a result, after which the remaining mutants are given up


@dataclass(frozen=True, slots=True)
class CampaignConfig:
    """A campaign's configuration. `rules` are the rules to mutate; with `engine`, its rules for the cases' hosts.

    `rules_file` is the file from which the cases read the rules. `since` is an earlier rule set: only rules that are
    not in it are mutated. `workers` are execnet's names of processes elsewhere (`ssh=HOST`). `table` is the text of a
    behaviour table that replaces the cases. `fresh`: every bed is built anew.
    """

    rules: Ruleset
    rules_file: str = ""
    engine: str = ""
    host: str = ""
    cases: str = "cases"
    chosen: str = ""
    backend: str = "nft"
    jobs: int | None = None
    workers: tuple[str, ...] = ()
    strong: bool = False
    since: Ruleset | None = None
    table: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A mutant, the rules that it is made from, and its result."""

    mutant: Mutant
    rules: Ruleset
    outcome: MutantResult

    @property
    def was(self) -> str:
        """Return the line that was mutated, without its table."""
        return self.mutant.was

    @property
    def line(self) -> int:
        """Return the line's number in the text of the rule set, as it is rendered."""
        table = ""
        for number, line in enumerate(save.render(self.rules).splitlines(), start=1):
            table = line[1:] if line.startswith("*") else table
            if table == self.mutant.table.removeprefix(IPV6) and line.partition(" [")[0] == self.was:
                return number
        return 1

    @property
    def where(self) -> str:
        """Return rule set, line and table, as text."""
        return f"{self.rules.source}, line {self.line}, table {self.mutant.table}"


@dataclass(frozen=True, slots=True)
class Campaign:
    """The results of a campaign. `cases` took `baseline` seconds on the original rules, the campaign `seconds`."""

    wanted: CampaignConfig
    found: tuple[CampaignResult, ...]
    cases: tuple[str, ...]
    baseline: float
    seconds: float
    reused: int = 0

    @property
    def about(self) -> str:
        """The name of the mutated rules; an engine's are those of every host of its cases."""
        engine = self.wanted.engine
        return f"the rules of engine {engine}" if engine else self.wanted.rules.source

    @property
    def score(self) -> Score:
        return Score.of(one.outcome for one in self.found)

    def of(self, *statuses: str) -> list[CampaignResult]:
        """Return the mutants with one of these statuses."""
        return [one for one in self.found if one.outcome.status in statuses]


def run(wanted: CampaignConfig, journal: Journal, progress: Progress) -> Campaign:
    """Run a campaign; reuse the results that the journal has.

    Raise TestbedError if the campaign can give no result: the cases fail without a mutant, no case is chosen, the trace
    is incomplete, or there is nothing to mutate.
    """
    require(wanted.backend)
    chosen = _some(list(_mutants(wanted)))
    began = time.perf_counter()
    plan = _plan(wanted)
    baseline = _table_holds(wanted) if wanted.table else _cases_pass(wanted, plan)
    ran = time.perf_counter()
    outcomes, tasks = _proved_and_left(wanted, chosen, baseline)
    keys = {name: key(plan, task, baseline.root) for name, task in tasks.items()}
    known = {name: found for name in tasks if (found := journal.known(keys[name])) is not None}
    outcomes |= known
    progress(len(outcomes), len(chosen))

    def done(outcome: MutantResult) -> None:
        if outcome.mutant not in outcomes:
            outcomes[outcome.mutant] = outcome
            if outcome.status != ERROR:
                journal.add(keys[outcome.mutant], outcome)
            progress(len(outcomes), len(chosen))

    _judge(wanted, plan, tasks, outcomes, done)
    all_found = tuple(CampaignResult(mutant, wanted.rules, outcomes[mutant.id]) for mutant in chosen)
    took = time.perf_counter()
    return Campaign(wanted, all_found, baseline.cases, ran - began, took - began, len(known))


def _plan(wanted: CampaignConfig) -> Plan:
    """Return the plan of a campaign, without tasks."""
    return Plan(
        wanted.rules,
        strong=wanted.strong,
        engine=wanted.engine,
        host=wanted.host,
        table=wanted.table,
        backend=wanted.backend,
        fresh=wanted.fresh,
    )


def _proved_and_left(
    wanted: CampaignConfig, chosen: Iterable[Mutant], baseline: _Baseline
) -> tuple[dict[str, MutantResult], dict[str, Task]]:
    """Return the results of the equivalent mutants, and the tasks for the others."""
    reach = Reach(baseline.coverage, wanted.engine)
    proved: dict[str, MutantResult] = {}
    left: dict[str, Task] = {}
    for mutant in chosen:
        if proof := equivalent(wanted.rules, mutant):
            proved[mutant.id] = MutantResult(mutant.id, EQUIVALENT, said=proof)
        else:
            left[mutant.id] = Task(mutant.id, (_TABLE,) if wanted.table else reach.cases(mutant))
    return proved, left


_TABLE = "behaviours"


def _judge(
    wanted: CampaignConfig,
    plan: Plan,
    tasks: dict[str, Task],
    outcomes: dict[str, MutantResult],
    done: Callable[[MutantResult], None],
) -> None:
    """Run the remaining mutants; restart a session that ended early, without workers that cannot be reached."""
    left, said, in_vain = dict(tasks), "", 0
    while in_vain < _MAX_IDLE_SESSIONS:
        before, left = len(left), {name: task for name, task in left.items() if name not in outcomes}
        if not left:
            return
        if said:
            in_vain += before == len(left)
            wanted = replace(wanted, workers=tuple(filter(_answers, wanted.workers)))
        likely_to_share = sorted(left.values(), key=lambda task: task.cases[:1])  # sharing results without a mutant
        said = _session(wanted, replace(plan, tasks=tuple(likely_to_share)), done, []) or "nothing"
    for name in left:
        done(MutantResult(name, ERROR, said=f"the session ended before: {said.strip()[-300:]}"))


def _answers(worker: str) -> bool:
    """Return whether a process elsewhere can be reached."""
    group = execnet.Group()
    try:
        group.makegateway(worker)
    except (OSError, execnet.HostNotFound, EOFError):
        return False
    finally:
        group.terminate(timeout=1.0)
    return True


@dataclass(slots=True)
class _Baseline:
    """The results of the cases on the original rules."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    root: Path = Path()
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(self.passed)

    def pytest_configure(self, config: pytest.Config) -> None:
        self.root = config.rootpath

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext
        elif report.when == "call" and report.passed:
            self.passed.append(report.nodeid)


def _cases_pass(wanted: CampaignConfig, plan: Plan) -> _Baseline:
    """Run the cases on the original rules, traced; raise TestbedError unless all pass and the trace is complete."""
    baseline = _Baseline()
    if not Path(wanted.cases).exists():
        raise TestbedError(f"there are no cases in {wanted.cases}.", "Run it where they are, or say where with --path.")
    with TemporaryDirectory() as directory:
        written = Path(directory) / "coverage.json"
        said = _session(wanted, plan, lambda _: None, ["--rule-coverage", str(written)], baseline)
        if baseline.failed:
            case, how = next(iter(baseline.failed.items()))
            raise TestbedError(
                f"{len(baseline.failed)} cases fail on the rules as they are, so no mutant was run: {case}\n{how}",
                "Run `invoke test` until all pass.",
            )
        if not baseline.passed:
            raise TestbedError(f"no case was chosen, so nothing can be said.\n{said[-600:]}", "Look at -k and --path.")
        baseline.coverage = records.read(written)
    if baseline.coverage.troubles:
        raise TestbedError(f"the trace of the cases is not whole: {baseline.coverage.troubles[0]}", "Run it again.")
    return baseline


def _table_holds(wanted: CampaignConfig) -> _Baseline:
    """Use a behaviour table as the only case; raise TestbedError if the original rules behave differently."""
    host = described_host.parse(wanted.host) if wanted.host else article.HOST
    answers = ask(host, [RulesetVariant(wanted.rules, wanted.backend)], lambda _: lambda: None)
    committed = table.parse(wanted.table, "the behaviour table")
    differing = difference.changes(committed, table.rows(answers.sides[0]))
    if differing:
        raise TestbedError(
            f"the rules as they are do not behave as the table says, so no mutant was run: {differing[0]}",
            "Write the table anew with `invoke behaviours --out FILE`, or correct the rules.",
        )
    return _Baseline(passed=[_TABLE])


def _session(
    wanted: CampaignConfig, plan: Plan, done: Callable[[MutantResult], None], more: list[str], *plugins: object
) -> str:
    """Run a pytest session with a plan, here or in other processes; return the text that pytest printed."""
    nothing = str(Path(__file__).parent)  # a directory without cases
    arguments = [nothing if wanted.table else str(Path(wanted.cases).resolve()), "-p", "testbed.mutation.session"]
    briefly = "--tb=line" if plan.tasks else "--tb=short"  # this traceback style reads no source for each failure
    arguments += ["--testbed-backend", wanted.backend, "-q", briefly, "-p", "no:cacheprovider", *more]
    arguments += _spread(wanted)
    if wanted.rules_file:
        arguments += ["--testbed-rules", str(Path(wanted.rules_file).resolve())]
    if wanted.chosen:
        arguments += ["-k", wanted.chosen]
    with redirect_stdout(StringIO()) as printed:
        sessions.run(arguments, [Session(plan.text(), done), *plugins])
    return printed.getvalue()


def _spread(wanted: CampaignConfig) -> list[str]:
    """Return the options of xdist. A bed sleeps half of its time, so that two processes share a processor well."""
    if wanted.workers:
        there = [word for worker in wanted.workers for word in ("--tx", worker)]
        return [*there, "--dist", "worksteal", "--rsyncdir", str(Path.cwd())]
    jobs = wanted.jobs if wanted.jobs is not None else 2 * len(os.sched_getaffinity(0))
    return ["--numprocesses", str(jobs), "--dist", "worksteal"] if jobs else ["--numprocesses", "0"]


def _some(chosen: list[Mutant]) -> list[Mutant]:
    if not chosen:
        raise TestbedError("there is nothing to mutate.", "Is there a rule? With --changed-since, has one changed?")
    return chosen


def _mutants(wanted: CampaignConfig) -> Iterator[Mutant]:
    """Yield every mutant of the rules, or of the changed rules only."""
    before = set(wanted.since.listing) if wanted.since is not None else set()
    for mutant in mutants(wanted.rules, wanted.strong):
        if f"{mutant.table} {mutant.was}" not in before:
            yield mutant
