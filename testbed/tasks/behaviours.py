"""invoke behaviours: what becomes of every kind of packet, as a table to be kept beside the rules."""

from __future__ import annotations

from collections.abc import Callable

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from testbed.regress import table
from testbed.regress.answers import Answers, ask
from testbed.regress.side import Side
from testbed.rules import files
from testbed.tasks.chosen import ENGINE_HELP, HOST_HELP, RULES_HELP, choose
from testbed.tasks.console import NOT_JUDGED, as_json, console, in_words
from testbed.tasks.values import writable


@task(
    help={
        "out": "file to write the table to (default: print it)",
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "nft or legacy",
        "json": "print the behaviours for programs",
    }
)
@in_words
def behaviours(
    _: Context,
    out: str = "",
    host: str | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    json: bool = False,
) -> None:
    """Ask the rules every question that they can answer differently, and write down what becomes of each packet.

    The questions follow from the rules' own clauses. A team keeps the table beside its rules: what a change of the
    rules does shows as a change of the table, and `invoke diff TABLE RULES` says it in words.
    """
    writable("--out", out)
    chosen = choose(host, engine, rules)
    chosen.warn()
    answers = asked(lambda step: ask(chosen.host, [Side(chosen.rules, backend)], step))
    rows = table.rows(answers.sides[0])
    written = table.text(rows, chosen.rules.source, [*chosen.contradictions, *answers.remarks])
    if json:
        as_json([{"probe": row.probe, "outcome": row.outcome, "by": list(row.by)} for row in rows])
    elif not out:
        console().print(written, end="", markup=False, soft_wrap=True)
    else:
        files.write(out, written, "Say where with --out FILE.")
        console().print(f"{out}: {len(rows)} behaviours of {chosen.rules.source}.", soft_wrap=True)
    if chosen.contradictions:
        raise Exit(code=NOT_JUDGED)


def asked(ask_all: Callable[[Callable[[int], Callable[[], None]]], Answers]) -> Answers:
    """What was answered, with a bar meanwhile where somebody looks."""
    columns = TextColumn("probes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown_to = console(stderr=True)
    with Progress(*columns, console=shown_to, transient=True, disable=not shown_to.is_terminal) as bar:

        def begin(total: int) -> Callable[[], None]:
            shown = bar.add_task("probes", total=total)
            return lambda: bar.advance(shown)

        return ask_all(begin)
