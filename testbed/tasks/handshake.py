"""invoke handshake: one TCP handshake through the host, the article's table after each packet."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed import named
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL
from testbed.replay import replay
from testbed.report import handshake as tables
from testbed.tasks.chosen import BACKEND_HELP, ENGINE_HELP, HOST_HELP, RULES_HELP
from testbed.tasks.console import FINDING, as_json, console, in_words
from testbed.tasks.opened import opened_bed
from testbed.traffic.tcp import STACKS


@task(
    help={
        "name": "bed to use, if it is up",
        "close": "close the connection too: seven packets",
        "client": "whose TCP the client speaks: windows (SYN of 52 bytes, the article's) or linux (60)",
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "json": "print packets and counters for programs",
    }
)
@in_words
def handshake(
    _: Context,
    name: str = named.DEFAULT_NAME,
    close: bool = False,
    client: str = "windows",
    host: str | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    json: bool = False,
) -> None:
    """Send one TCP handshake through the host and print what every rule counted after each packet.

    On the bed that is up; where there is none, or a host, an engine, rules or another backend are asked for, on a bed
    of its own that is gone afterwards. Exit code 1 when a packet is lost.
    """
    if client not in STACKS:
        raise TestbedError(f"there is no client {client}.", f"There are {', '.join(STACKS)}.")
    with opened_bed(name, host, engine, rules, backend) as opened:
        steps = list(replay(opened.bed, opened.host, STACKS[client], close))
        kind = opened.bed.backend.name
    lost = not steps[-1].crossing.delivered
    if json:
        as_json({"bed": opened.name, "backend": kind, "client": client, "steps": [step.as_dict() for step in steps]})
    else:
        out = console()
        out.print(f"One connection through {opened.name}, {ALL[kind].program}, a {client} client")
        out.print(tables.packets(steps))
        out.print(tables.counters(steps))
        if lost:
            out.print(
                f"[bold red]The {steps[-1].crossing.sent.kind} was lost.[/] The rules that counted it are in bold."
            )
    if lost:
        raise Exit(code=FINDING)
