"""invoke mutate: which mistakes in the rules no case would notice."""

from __future__ import annotations

import json as to_json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask

from testbed.docker import hostfile
from testbed.docker.engines import engine_or_native
from testbed.errors import TestbedError
from testbed.mutation.campaign import Campaign, CampaignConfig, run
from testbed.mutation.campaign import Progress as Step
from testbed.mutation.journal import Journal
from testbed.report import mutation as report
from testbed.report import mutation_files
from testbed.report.page import Page, html
from testbed.report.terminal import Text
from testbed.rules import files, save
from testbed.rules.ruleset import Ruleset
from testbed.tasks.chosen import HOST_HELP, RULES_HELP, choose
from testbed.tasks.console import FINDING, console, in_words
from testbed.tasks.values import JOBS_HELP, existing_cases, expression, percentage, processes, writable

_JOURNAL = ".docker-host-testbed/mutants.jsonl"


@task(
    iterable=["tx"],
    help={
        "rules": f"{RULES_HELP} (default: the article's)",
        "host": f"{HOST_HELP}: probes are sent to it",
        "engine": "mutate the rules that this version of Docker writes for the cases; only its cases count",
        "k": "use only cases whose name, file or claim (A15) matches this pytest expression",
        "path": "where the cases are",
        "jobs": JOBS_HELP.replace("one for each", "two for each"),
        "tx": "a process elsewhere, as pytest-xdist names it (ssh=HOST//python=PYTHON); can be given several times",
        "backend": "nft or legacy",
        "changed-since": "mutate only rules that differ from what the file of --rules was at this git revision",
        "behaviours": "table of `invoke behaviours` that is asked in place of cases",
        "strong": "more mutants: jumps, returns, hooks, flags, marks, sets, limits",
        "fresh": "build every bed anew in place of loading mutants into beds that stand (slower)",
        "fail-under": "exit code 1 when the cases notice less, in percent (default: 100)",
        "journal": f"file that remembers what was found (default: {_JOURNAL})",
        "junit": "write the mutants there as JUnit XML",
        "json": "write the mutants there in the schema of mutation testing elements",
        "markdown": "write a comment for a pull request there",
        "html": "write a page there",
    },
)
@in_words
def mutate(
    _: Context,
    rules: str | None = None,
    host: str | None = None,
    engine: str | None = None,
    k: str = "",
    path: str = "cases",
    jobs: str = "",
    tx: list[str] | None = None,
    backend: str = "nft",
    changed_since: str = "",
    behaviours: str = "",
    strong: bool = False,
    fresh: bool = False,
    fail_under: str = "100",
    journal: str = _JOURNAL,
    junit: str = "",
    json: str = "",
    markdown: str = "",
    html: str = "",
) -> None:
    """Make mistakes in the rules, one at a time, and see which of them no case notices.

    The cases run once on the rules as they are; then each mutant is loaded in place of the rules, and the cases that
    reach it run until one fails. Exit code 0 when so many are noticed as wanted, 1 when fewer, 2 when the cases fail
    without any mistake or could not run.
    """
    least = percentage("--fail-under", fail_under)
    for option, file_name in (("--junit", junit), ("--json", json), ("--markdown", markdown), ("--html", html)):
        writable(option, file_name)
    wanted = CampaignConfig(
        rules=_iptables(rules, host, engine),
        rules_file=rules or "",
        engine=engine_or_native(engine).name if engine else "",
        source=f"the rules of engine {engine_or_native(engine).name}" if engine else "",
        host=hostfile.described(host).text if host else "",
        cases=path if behaviours else existing_cases(path),
        chosen=expression("-k", k) if k else "",
        backend=backend,
        jobs=processes("--jobs", jobs) if jobs else None,
        workers=tuple(tx or ()),
        strong=strong,
        fresh=fresh,
        since=_at_revision(changed_since, rules) if changed_since else None,
        table=files.text_of(behaviours, "Write it with `invoke behaviours`.", TestbedError) if behaviours else "",
    )
    with _bar() as step:
        found = run(wanted, Journal(Path(journal)), step)
    out = console()
    for line in report.lines(found):
        out.print(line, soft_wrap=True)
    _write(found, junit, json, markdown, html)
    if found.score.percent < least or found.score.errors:
        raise Exit(code=FINDING)


def _iptables(rules: str | None, host: str | None, engine: str | None) -> Ruleset:
    chosen = choose(host, engine, rules).rules
    if not isinstance(chosen, Ruleset):
        raise TestbedError(f"{chosen.source} is in nftables' syntax.", "Mutants are made of what iptables-save prints.")
    return chosen


def _at_revision(revision: str, rules: str | None) -> Ruleset:
    """What the file of rules was at a revision of its git repository."""
    if not rules:
        raise TestbedError("--changed-since compares a file with what it was.", "Name it with --rules FILE.")
    path = Path(rules).resolve()
    shown = subprocess.run(
        ["git", "-C", str(path.parent), "show", "--end-of-options", f"{revision}:./{path.name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        raise TestbedError(f"git does not show {rules} at {revision}: {shown.stderr.strip()}", "Name another revision.")
    return save.parse(shown.stdout, f"{rules} at {revision}")


class _SpeedColumn(ProgressColumn):
    """Mutants per second; nothing while none is done, of which no speed is known."""

    def render(self, task: ProgressTask) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


@contextmanager
def _bar() -> Iterator[Step]:
    """Shows how far it is, how fast, and how long it will take, where somebody looks."""
    shown_to = console(stderr=True)
    columns = TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), _SpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=shown_to, transient=True, disable=not shown_to.is_terminal) as bar:
        shown = bar.add_task("mutants", total=None)
        yield lambda done, total: bar.update(shown, completed=done, total=total)


def _write(found: Campaign, junit: str, json: str, markdown: str, page: str) -> None:
    texts: dict[str, Callable[[], str]] = {
        junit: lambda: mutation_files.junit(found),
        json: lambda: to_json.dumps(mutation_files.elements(found), indent=2) + "\n",
        markdown: lambda: report.markdown(found),
        page: lambda: html(Page(title="Mutants of a rule set", stories=(), mutation=found)),
    }
    for name, text in texts.items():
        if name:
            files.write(name, text())
