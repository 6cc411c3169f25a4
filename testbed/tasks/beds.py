"""invoke up, status, down: a bed with a name, that stays."""

from __future__ import annotations

from typing import Any

from invoke.context import Context
from invoke.tasks import task
from rich.table import Table

from testbed import named
from testbed.errors import NotUp
from testbed.kernel.requirements import require
from testbed.kernel.xtables import backend as backend_of
from testbed.report import map as map_of_bed
from testbed.rules import save
from testbed.tasks.console import as_json, chosen_rules, console, in_words

_NAME_HELP = "name of the bed; its namespaces are NAME-host, NAME-client and so on"


@task(
    help={
        "name": _NAME_HELP,
        "rules": "file with another rule set (iptables-save text)",
        "backend": "iptables' way of loading it: nft or legacy",
        "json": "print the record of the bed for programs",
    }
)
@in_words
def up(_: Context, name: str = named.DEFAULT_NAME, rules: str = "", backend: str = "nft", json: bool = False) -> None:
    """Build the article's Docker host with a LAN, a gateway and an internet; draw the map.

    Run again it changes nothing. Beds of several names can be up at once.
    """
    require(backend_of(backend).name)
    record, made = named.up(name, chosen_rules(rules or None), backend)
    if json:
        as_json(_facts(record))
        return
    out = console()
    number = sum(1 for _ in save.parse(record.rules).rules)
    note = f"{number} rules ({record.source}), {backend_of(record.backend).program}"
    out.print(f"The bed [bold]{name}[/] {'is up' if made else 'was up already'}.")
    out.print(map_of_bed.tree(named.topology(), name, note))
    out.print("[bold]What to try next[/]")
    out.print(_what_next(record))


@task(help={"json": "print the records for programs"})
@in_words
def status(_: Context, json: bool = False) -> None:
    """What is up: beds, their rules, their namespaces."""
    records = named.standing()
    if json:
        as_json([_facts(record) for record in records])
        return
    if not records:
        console().print("No bed is up. Make one with `invoke up`.")
        return
    table = Table("bed", "state", "rules", "backend", "namespaces", "HTTP server")
    for record in records:
        state = "[green]up[/]" if record.stands else "[bold red]broken[/]: invoke down, then up"
        server = "runs" if named.server_runs(record) else "[bold red]gone[/]"
        names = " ".join(record.path(node).name for node in record.namespaces)
        table.add_row(record.name, state, record.source, record.backend, names, server)
    console().print(table)


@task(help={"name": _NAME_HELP, "all": "take all beds away"})
@in_words
def down(_: Context, name: str = named.DEFAULT_NAME, all: bool = False) -> None:  # noqa: A002 - it is the option's name
    """Take a bed away: its namespaces, its HTTP server, its record, and nothing else."""
    names = [record.name for record in named.standing()] if all else [name]
    if not names:
        raise NotUp("no bed is up.", "There is nothing to take down.")
    for one in names:
        named.down(one)
        console().print(f"The bed [bold]{one}[/] is gone.")


def _facts(record: named.Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "up": record.stands,
        "backend": record.backend,
        "rules": record.source,
        "namespaces": {node: record.path(node).name for node in record.namespaces},
        "http_server": named.server_runs(record),
    }


def _what_next(record: named.Record) -> Table:
    program = backend_of(record.backend).program
    enter = f"ip netns exec {record.name}"
    option = "" if record.name == named.DEFAULT_NAME else f" --name {record.name}"
    commands = (
        (f"invoke handshake{option}", "one handshake, the article's table after each packet"),
        (f"{enter}-host {program} -vnL", "the rules and what they have counted"),
        (f"{enter}-client curl http://192.168.66.100", "through DNAT to the container"),
        (f"{enter}-web curl http://203.0.113.10", "through MASQUERADE to the internet"),
        (f"invoke down{option}", "take it away"),
    )
    table = Table.grid(padding=(0, 2))
    for command, purpose in commands:
        table.add_row("", command, f"[dim]{purpose}[/]")
    return table
