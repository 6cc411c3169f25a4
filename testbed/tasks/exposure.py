"""invoke exposure: who reaches which service of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import BACKEND_HELP, ENGINE_HELP, RULES_HELP
from testbed.tasks.values import writable

if TYPE_CHECKING:
    from testbed.exposure.cells import ExposureMatrix
    from testbed.exposure.made import ExposureStand

_WIDEST = 100  # columns of the screen


@host_task(
    help={
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "out": "file that the screen is written to",
        "markdown": "file for the matrix in Markdown, for a comment on a pull request",
        "html": "file for a page with the matrix and the witnesses' journeys",
        "sarif": "file for what is marked, as SARIF 2.1.0",
        "json": "print the cells for programs",
        "init": "write exposure.yaml: a spec of what is open now, to be cut down to what is meant",
    }
)
def exposure(
    _: Context,
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    out: str = "",
    markdown: str = "",
    html: str = "",
    sarif: str = "",
    json: bool = False,
    init: bool = False,
) -> None:
    """Show who reaches which service: from the internet, the LAN, other containers and the host, over all packets.

    Each open cell has a packet that a real kernel delivered, each closed one a packet that it dropped, by the rule that
    is named. Exit code 3 where a cell could not be judged.
    """
    import json as jsons

    from testbed.exposure.made import ExposureStand
    from testbed.exposure.misses import misses
    from testbed.report import exposure as report
    from testbed.report import guesses
    from testbed.report.exposure_files import as_dict
    from testbed.report.exposure_files import sarif as log
    from testbed.rules import files
    from testbed.tasks.chosen import choose

    for option, path in (("--out", out), ("--markdown", markdown), ("--html", html), ("--sarif", sarif)):
        writable(option, path)
    chosen = choose(host, engine, rules)
    chosen.warn()
    on = chosen.fitted
    stand = ExposureStand.of(on.host, chosen.rules, backend)
    made = stand.confirmed()
    missed = [report.missed(one) for one in misses(stand)]
    remarks = [*missed, *guesses.sentences(on.guesses), *chosen.host.remarks, *chosen.contradictions, *stand.remarks]
    heading = f"Who reaches what: {chosen.rules.source}, {stand.program}. {_count(made)}"
    if init:
        _write_spec(made)
    if markdown:
        files.write(markdown, report.markdown(made, heading, remarks))
    if html:
        files.write(html, _page(stand, made, heading, remarks))
    if sarif:
        files.write(sarif, jsons.dumps(log(made, rules or ""), indent=2))
    if json:
        as_json({**as_dict(made), "missed": missed, "contradictions": list(chosen.contradictions), "remarks": remarks})
    elif not init:
        _print(made, heading, remarks, out)
    if made.not_judged or made.unjudged or chosen.contradictions:
        raise Exit(code=NOT_JUDGED)


def _page(stand: ExposureStand, made: ExposureMatrix, heading: str, remarks: list[str]) -> str:
    from testbed.exposure.journeys import witness_journeys
    from testbed.report.page import Page
    from testbed.report.page import html as rendered
    from testbed.report.page.exposure import ExposurePage

    journeys = witness_journeys(stand, made)
    shown = ExposurePage(made, journeys, heading, tuple(remarks))
    return rendered(Page("Who reaches what", (journeys.story,), exposure=shown))


def _write_spec(made: ExposureMatrix) -> None:
    from importlib.resources import files as resources
    from pathlib import Path

    from testbed.errors import TestbedError
    from testbed.exposure.spec.entries import NAME
    from testbed.exposure.spec.initial import initial
    from testbed.rules import files

    if Path(NAME).exists():
        raise TestbedError(f"{NAME} is there already.", "Remove it, or run this in another folder.")
    files.write(NAME, initial(made, str(resources("testbed.exposure.spec").joinpath("exposure.schema.json"))))
    console().print(f"{NAME}: what is open now; cut it down, then: invoke check {NAME}", soft_wrap=True)


def _count(made: ExposureMatrix) -> str:
    sent = sum(cell.confirmed for cell in made.cells)
    return f"{len(made.cells)} cells, {sent} confirmed by packets."


def _print(made: ExposureMatrix, heading: str, remarks: list[str], out: str) -> None:
    from testbed.report import exposure as report
    from testbed.report.terminal import Text
    from testbed.rules import files

    terminal = console()
    width = min(terminal.width, _WIDEST)
    lines = [*report.lines(made, width, heading), *(Text(remark, style="dim") for remark in remarks)]
    if out:
        files.write(out, "\n".join(line.plain for line in lines) + "\n")
        terminal.print(f"{out}: {_count(made)}", soft_wrap=True)
        return
    for line in lines:
        terminal.print(line, soft_wrap=True)
