"""invoke bench: how fast it is, beside what else does the same."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.values import whole_number

_MOST_ROUNDS, _MOST_CONTAINERS = 1000, 1000


@task(
    help={
        "rounds": "how often each thing is measured",
        "containers": "how many containers the hosts have that show how cost grows, or nothing",
        "cases": "run the article's cases too, for cases per second and processor; --no-cases leaves them out",
        "json": "print the figures for programs",
    }
)
@in_words
def bench(
    _: Context, rounds: str = "7", containers: str = "1,10,100,500", cases: bool = True, json: bool = False
) -> None:
    """Measure beds, counter reads and replays, in turn with a shell script, iptables-save and Mininet.

    Exit code 0 whether goals are met or not: times depend on the machine.
    """
    from testbed.bench.run import run
    from testbed.kernel.requirements import require
    from testbed.kernel.xtables import BACKENDS
    from testbed.report import bench as tables

    for backend in BACKENDS:
        require(backend)
    sizes = [whole_number("--containers", size, 1, _MOST_CONTAINERS) for size in containers.split(",") if size.strip()]
    found = run(whole_number("--rounds", rounds, 1, _MOST_ROUNDS), sizes, cases)
    if json:
        as_json(tables.machine() | found.as_dict())
        return
    out = console()
    out.print(tables.heading(found))
    out.print(tables.figures(found), crop=False)
    if found.growth:
        out.print(tables.growth(found), crop=False)
    for line in tables.remarks(found):
        out.print(line)
