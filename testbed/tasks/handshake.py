"""invoke handshake: one TCP handshake through the host, the article's table after each packet."""

from __future__ import annotations

from contextlib import ExitStack

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed import named
from testbed.bed import Testbed
from testbed.docker import article
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.replay import replay
from testbed.report import handshake as tables
from testbed.tasks.chosen import ENGINE_HELP, HOST_HELP, RULES_HELP, choose
from testbed.tasks.console import FINDING, as_json, console, in_words
from testbed.traffic.tcp import STACKS


@task(
    help={
        "name": "bed to use, if it is up",
        "close": "close the connection too: seven packets",
        "client": "whose TCP the client speaks: windows (SYN of 52 bytes, the article's) or linux (60)",
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "nft or legacy; a bed that is up with the other one is left alone",
        "json": "print packets and counters for programs",
    }
)
@in_words
def handshake(
    _: Context,
    name: str = named.DEFAULT_NAME,
    close: bool = False,
    client: str = "windows",
    host: str = "",
    engine: str = "",
    rules: str = "",
    backend: str = "",
    json: bool = False,
) -> None:
    """Send one TCP handshake through the host and print what every rule counted after each packet.

    On the bed that is up; where there is none, or a host, an engine, rules or another backend are asked for, on a bed
    of its own that is gone afterwards. Exit code 1 when a packet is lost.
    """
    if client not in STACKS:
        raise TestbedError(f"there is no client {client}.", f"There are {', '.join(STACKS)}.")
    with ExitStack() as opened:
        standing = named.find(name)
        if standing is not None and not (host or engine or rules) and backend in ("", standing.backend):
            bed = opened.enter_context(named.attached(name))
            where, docker_host = f"the bed {name}", standing.docker_host
        else:
            chosen = choose(host, engine, rules)
            loaded_by = backend_for(chosen.rules, backend or "nft").name
            require(loaded_by)
            opened.enter_context(quarantine())
            bed = opened.enter_context(Testbed(article.topology(chosen.host), chosen.rules, loaded_by))
            where, docker_host = "a bed of its own", chosen.host
        steps = list(replay(bed, docker_host, STACKS[client], close))
        kind = bed.backend.name
    lost = not steps[-1].crossing.delivered
    if json:
        as_json({"bed": where, "backend": kind, "client": client, "steps": [step.as_dict() for step in steps]})
    else:
        out = console()
        out.print(f"One connection through {where}, {ALL[kind].program}, a {client} client")
        out.print(tables.packets(steps))
        out.print(tables.counters(steps))
        if lost:
            out.print(
                f"[bold red]The {steps[-1].crossing.sent.kind} was lost.[/] The rules that counted it are in bold."
            )
    if lost:
        raise Exit(code=FINDING)
