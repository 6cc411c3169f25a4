"""invoke twin: what a bed has of a captured host, and what it has not."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED


@task(
    positional=["capture"],
    help={
        "capture": "file of `invoke capture` (- is standard input), folder of a sos report, or files with commas"
        " between them, of what `ip -j addr`, `iptables-save` and the like print",
        "json": "print the notes for programs",
    },
)
@in_words
def twin(_: Context, capture: str, json: bool = False) -> None:
    """Say what the twin of a captured host has exactly, what it approximates, what it lacks, and contradictions.

    Exit code 0 when all that decides about packets is as on the host, 1 with contradictions, 3 when something is
    approximated or missing that may make an answer another one.
    """
    from testbed.capture import source
    from testbed.capture.notes import NoteKind
    from testbed.capture.twin import twin as twin_of
    from testbed.report import twin as report

    found, _text = source.read(capture)
    made = twin_of(found)
    if json:
        as_json(report.as_dict(made))
    else:
        for line in report.lines(made):
            console().print(line, soft_wrap=True)
        console().print(f"Ask it with --host {capture}: invoke trace, behaviours, diff, up.", soft_wrap=True)
    if made.of_kind(NoteKind.CONTRADICTION):
        raise Exit(code=FINDING)
    if made.open:
        raise Exit(code=NOT_JUDGED)
