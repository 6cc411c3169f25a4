"""invoke ask: whether any packet from a place reaches a port."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import BACKEND_HELP, ENGINE_HELP, RULES_HELP


@host_task(
    help={
        "from_": "where packets come from: internet, lan, direct, host, a network's or a container's name",
        "to": "NODE:PORT or NODE:PORT/PROTOCOL that is to be reached",
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "json": "print the regions for programs",
    }
)
def ask(
    _: Context,
    from_: str = "internet",
    to: str = "",
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    json: bool = False,
) -> None:
    """Answer whether any packet from a place reaches a port: all packets that pass, or the proof that none does.

    A packet of each region is sent on a bed. Exit code 3 where something could not be judged.
    """
    from testbed.exposure.asked import answered
    from testbed.exposure.made import ExposureStand
    from testbed.report import guesses, reach
    from testbed.tasks.chosen import choose

    if not to:
        raise TestbedError("invoke ask needs a service.", "Give one: --to web:5432.")
    chosen = choose(host, engine, rules)
    chosen.warn()
    on = chosen.fitted
    stand = ExposureStand.of(on.host, chosen.rules, backend)
    answer = answered(stand, from_, to)
    if json:
        as_json(reach.as_dict(answer, stand.topology))
    else:
        for line in (*guesses.sentences(on.guesses), *reach.lines(answer, stand.topology), *stand.remarks):
            console().print(line, soft_wrap=True)
    if answer.unjudged or chosen.contradictions:
        raise Exit(code=NOT_JUDGED)
