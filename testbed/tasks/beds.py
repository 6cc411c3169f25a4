"""invoke up, status, down: a bed with a name, that stays."""

from __future__ import annotations

import shlex
from typing import Any

from invoke.context import Context
from invoke.tasks import task
from rich.table import Table

from testbed import named
from testbed.bedrecord import Record
from testbed.docker.network import HOST_ADDRESS, INTERNET_ADDRESS
from testbed.errors import NotUp
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.nftables import NFTABLES
from testbed.kernel.requirements import require
from testbed.report import map as map_of_bed
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text
from testbed.rules.rulefile import lines_of, number_of_rules
from testbed.tasks.chosen import ENGINE_HELP, HOST_HELP, RULES_HELP, choose
from testbed.tasks.console import as_json, console, in_words

_NAME_HELP = "name of the bed; its namespaces are NAME-host, NAME-client and so on"


@task(
    help={
        "name": _NAME_HELP,
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "iptables' way of loading it: nft or legacy (nftables' own rules are loaded by nft)",
        "json": "print the record of the bed for programs",
    }
)
@in_words
def up(
    _: Context,
    name: str = named.DEFAULT_NAME,
    host: str | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    json: bool = False,
) -> None:
    """Build a Docker host, the article's or another, with a LAN, a gateway and an internet; draw the map.

    Run again it changes nothing. Beds of several names can be up at once.
    """
    chosen = choose(host, engine, rules)
    chosen.warn()
    require(backend_for(chosen.rules, backend).name)
    record, made = named.up(name, chosen.rules, backend, chosen.text, chosen.engine)
    if json:
        as_json(_facts(record))
        return
    out = console()
    note = f"{number_of_rules(record.ruleset)} rules ({record.source}), {ALL[record.backend].program}"
    out.print(Text.assemble("The bed ", (name, "bold"), f" {'is up' if made else 'was up already'}."))
    out.print(map_of_bed.tree(record.topology, name, note))
    for remark in record.remarks:
        out.print(remark, soft_wrap=True)
    out.print(Text("What to try next", style="bold"))
    out.print(_what_next(record), crop=False)


@task(help={"json": "print the records for programs"})
@in_words
def status(_: Context, json: bool = False) -> None:
    """What is up: beds, their rules, their namespaces."""
    records, damaged = named.standing(), named.damaged()
    if json:
        broken = [{"name": one.name, "up": False, "damaged": one.why} for one in damaged]
        as_json([*(_facts(record) for record in records), *broken])
        return
    for one in damaged:
        console().print(Text.assemble((f"{one}. ", "bold red"), one.remedy), soft_wrap=True)
    if not records:
        console().print("No bed is up. Make one with `invoke up`." if not damaged else "No other bed is up.")
        return
    table = Table("bed", "state", "rules", "source", "backend", "namespaces", "programs")
    for record in records:
        up = record.stands
        state = Text("up", "green") if up else Text.assemble(("broken", "bold red"), ": invoke down, then up")
        programs = Text("run") if named.companions_run(record) else Text("gone", "bold red")
        names = " ".join(record.path(node).name for node in record.namespaces)
        number = str(number_of_rules(record.ruleset))
        table.add_row(record.name, state, number, record.source, record.backend, names, programs)
    console().print(FittedTable(table), crop=False)


@task(help={"name": _NAME_HELP, "all": "take all beds away"})
@in_words
def down(_: Context, name: str = named.DEFAULT_NAME, all: bool = False) -> None:  # noqa: A002 - it is the option's name
    """Take a bed away: its namespaces, its programs, its record, and nothing else."""
    names = [*(one.name for one in named.standing()), *(one.name for one in named.damaged())] if all else [name]
    if not names:
        raise NotUp("no bed is up.", "There is nothing to take down.")
    for one in names:
        left = named.down(one)
        console().print(Text.assemble("The bed ", (one, "bold"), " is gone."))
        if left:
            console().print(
                f"Its record did not say whose the namespaces {' '.join(left)} are: they stay. `ip netns del NAME` "
                "takes one away.",
                soft_wrap=True,
            )


def _facts(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "up": record.stands,
        "backend": record.backend,
        "rules": record.source,
        "listing": lines_of(record.ruleset),
        "namespaces": {node: record.path(node).name for node in record.namespaces},
        "programs": named.companions_run(record),
    }


def _what_next(record: Record) -> FittedTable:
    program = ALL[record.backend].program
    listing = "list ruleset" if record.backend == NFTABLES.name else "-vnL"
    enter = f"ip netns exec {record.name}"
    option = "" if record.name == named.DEFAULT_NAME else f" --name {record.name}"
    host = record.docker_host
    commands = [
        (f"invoke handshake{option}", "one handshake, every rule's counters after each packet"),
        (f"{enter}-host {program} {listing}", "the rules and what they have counted"),
    ]
    for container, port in host.offered()[:1]:
        url = f"http://{HOST_ADDRESS.ip}" + (f":{port.host}" if port.host != named.HTTP_PORT else "")
        commands.append((f"{enter}-client curl {url}", f"through DNAT to {container.name}"))
    outside = f"curl http://{INTERNET_ADDRESS.ip}"
    outward = [container.name for container in host.containers if container.gateway is not None][:1]
    commands += [(f"{enter}-{shlex.quote(name)} {outside}", "through MASQUERADE to the internet") for name in outward]
    commands.append((f"invoke down{option}", "take it away"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for command, purpose in commands:
        table.add_row(f"  {command}", purpose)
    return FittedTable(table)
