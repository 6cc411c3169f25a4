"""invoke bench: how fast it is, beside what else does the same."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from testbed.bench.run import run
from testbed.errors import TestbedError
from testbed.kernel.requirements import require
from testbed.kernel.xtables import BACKENDS
from testbed.report import bench as tables
from testbed.tasks.console import as_json, console, in_words


@task(
    help={
        "rounds": "how often each thing is measured",
        "cases": "run the article's cases too, for cases per second and processor; --no-cases leaves them out",
        "json": "print the figures for programs",
    }
)
@in_words
def bench(_: Context, rounds: str = "7", cases: bool = True, json: bool = False) -> None:
    """Measure beds, counter reads and replays, in turn with a shell script, iptables-save and Mininet.

    Exit code 0 whether goals are met or not: times depend on the machine.
    """
    for backend in BACKENDS:
        require(backend)
    found = run(_number(rounds), cases)
    if json:
        as_json(tables.machine() | found.as_dict())
        return
    out = console()
    out.print(tables.heading(found))
    out.print(tables.figures(found))
    for line in tables.remarks(found):
        out.print(line)


def _number(rounds: str) -> int:
    try:
        return int(rounds)
    except ValueError as error:
        raise TestbedError(f"--rounds {rounds} is not a number.", "Give --rounds 1 or more.") from error
