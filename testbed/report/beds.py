"""Beds that are up: records for programs, a table, and the commands to try on a bed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from testbed import named
from testbed.bedrecord import Record
from testbed.kernel import user_namespace
from testbed.kernel.backends import ALL
from testbed.kernel.nftables import NFTABLES
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text


def as_dict(record: Record) -> dict[str, Any]:
    """Return the record of a bed for programs."""
    return {
        "name": record.name,
        "up": record.stands,
        "backend": record.backend,
        "rules": record.source,
        "listing": record.ruleset.listing,
        "namespaces": {node: record.path(node).name for node in record.namespaces},
        "programs": named.companions_run(record),
    }


def table(records: Sequence[Record]) -> FittedTable:
    """Return a row for each bed: its rules, its namespaces, and whether all of it is still there."""
    rows = Table("bed", "state", "rules", "source", "backend", "namespaces", "programs")
    for record in records:
        up = record.stands
        state = Text("up", "green") if up else Text.assemble(("broken", "bold red"), ": invoke down, then up")
        programs = Text("run") if named.companions_run(record) else Text("gone", "bold red")
        names = " ".join(record.path(node).name for node in record.namespaces)
        number = str(record.ruleset.number_of_rules)
        rows.add_row(record.name, state, number, record.source, record.backend, names, programs)
    return FittedTable(rows)


def commands(record: Record, option: str, called: str) -> FittedTable:
    """Return commands that work on a bed; `option` is what ours, `called` so, needs to find it."""
    program = ALL[record.backend].program
    listing = "list ruleset" if record.backend == NFTABLES.name else "-vnL"
    own = f"{called} exec{option} "
    enter, behind = (own, " --") if user_namespace.entered() else (f"ip netns exec {record.name}-", "")
    host = record.docker_host
    found = [
        (f"{called} handshake{option}", "one handshake, every rule's counters after each packet"),
        (f"{enter}host{behind} {program} {listing}", "the rules and what they have counted"),
    ]
    for container, port in host.offered()[:1]:
        url = f"http://{host.around.host_address(4)}" + (f":{port.host}" if port.host != named.HTTP_PORT else "")
        found.append((f"{enter}client{behind} curl {url}", f"through DNAT to {container.name}"))
    outside = f"curl http://{host.around.internet_address(4)}"
    outward = [container.name for container in host.containers if container.gateway is not None][:1]
    found += [
        (f"{enter}{shlex.quote(name)}{behind} {outside}", "through MASQUERADE to the internet") for name in outward
    ]
    found.append((f"{called} down{option}", "take it away"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(style="dim")
    for command, purpose in found:
        rows.add_row(f"  {command}", purpose)
    return FittedTable(rows)
