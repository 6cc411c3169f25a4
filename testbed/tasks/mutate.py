"""invoke mutate: which mistakes in the rules no case would notice."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import MissingRequirement, TestbedError
from testbed.tasks.console import console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import HOST_HELP, JOBS_HELP, RULES_HELP
from testbed.tasks.values import existing_cases, expression, percentage, processes, required, writable

_JOURNAL = ".docker-host-testbed/mutants.jsonl"


@host_task(
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
def mutate(
    _: Context,
    rules: str | None = None,
    host: HostOptions | None = None,
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
    without any mistake or could not run, 3 when host and rules contradict each other.
    """
    from testbed.docker.engines import engine_or_native
    from testbed.kernel import user_namespace
    from testbed.mutation.campaign import CampaignConfig, run
    from testbed.mutation.journal import Journal
    from testbed.report import mutation as report
    from testbed.rules import files
    from testbed.tasks import campaign, progress
    from testbed.tasks.chosen import choose

    if tx and user_namespace.entered():
        raise MissingRequirement("--tx needs root: a user namespace has no way to other machines.", "Leave it out.")
    least = percentage("--fail-under", fail_under)
    if journal != _JOURNAL:
        required("--journal", journal)
    for option, file_name in (("--junit", junit), ("--json", json), ("--markdown", markdown), ("--html", html)):
        writable(option, file_name)
    chosen = choose(host, engine, rules)
    chosen.warn()
    wanted = CampaignConfig(
        rules=campaign.iptables_rules(chosen),
        rules_file=rules or "",
        engine=engine_or_native(engine).name if engine else "",
        host=host.described.text if host else "",
        cases=path if behaviours else existing_cases(path),
        chosen=expression("-k", k) if k else "",
        backend=backend,
        jobs=processes("--jobs", jobs) if jobs else None,
        workers=tuple(tx or ()),
        strong=strong,
        fresh=fresh,
        since=campaign.rules_at(changed_since, rules) if changed_since else None,
        table=files.text_of(behaviours, "Write it with `invoke behaviours`.", TestbedError) if behaviours else "",
    )
    with progress.mutants() as step:
        found = run(wanted, Journal(Path(journal)), step)
    out = console()
    for line in report.lines(found):
        out.print(line, soft_wrap=True)
    campaign.write(found, junit, json, markdown, html)
    if found.score.percent < least or found.score.errors:
        raise Exit(code=FINDING)
    if chosen.contradictions:
        raise Exit(code=NOT_JUDGED)
