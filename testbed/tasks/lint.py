"""invoke lint: rules that do nothing, or that undo another rule."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import ENGINE_HELP, RULES_HELP
from testbed.tasks.values import writable


@host_task(
    help={
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "sarif": "file to write the findings to as SARIF 2.1.0, for code scanning",
        "json": "print the findings for programs",
    }
)
def lint(
    _: Context,
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    sarif: str = "",
    json: bool = False,
) -> None:
    """Show rules that are dead, shadowed or redundant, and those that open what a later rule means to close.

    Each is proved over all packets that can come to the host; nothing is loaded. Exit code 1 if there is any, 3 if
    there is none and something could not be judged.
    """
    import json as jsons

    from testbed.analysis.lint import lint as findings
    from testbed.docker import article
    from testbed.report import guesses
    from testbed.report import lint as report
    from testbed.report.located import Source
    from testbed.rules import environment, files
    from testbed.tasks.chosen import choose

    writable("--sarif", sarif)
    chosen = choose(host, engine, rules)
    chosen.warn()
    on = chosen.fitted
    topology = environment.with_missing_bridges(article.topology(on.host), [chosen.rules])
    found = findings(chosen.rules, topology)
    if sarif:
        file = Source.of_file(Path(rules), chosen.rules).file if rules and Path(rules).is_file() else ""
        files.write(sarif, jsons.dumps(report.sarif(found, file), indent=2))
    if json:
        as_json(report.as_dict(found))
    else:
        for line in (*guesses.sentences(on.guesses), *report.lines(found, chosen.rules.source)):
            console().print(line, soft_wrap=True)
    if found.findings or found.unjudged:
        raise Exit(code=FINDING if found.findings else NOT_JUDGED)
