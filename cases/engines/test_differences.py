"""The table of docs/engines.md: what the generations do differently, as the kernel does it, not as anybody says.

`invoke docs` writes that table, engine by engine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile, zip_longest
from pathlib import Path

import pytest
from documents import Documented

from testbed import Testbed
from testbed.docker import hostfile
from testbed.docker.engines import ENGINES, NATIVE, Engine
from testbed.observe.packet_result import PacketResult
from testbed.pytest_plugin import MakeBed
from testbed.rules import AnyRuleset, CounterReading

GUIDE = Path(__file__).parents[2] / "docs" / "engines.md"
EVERY: tuple[Engine[AnyRuleset], ...] = (*ENGINES, NATIVE)
HOST = "192.168.66.100"
TWO_BRIDGES = """
networks: {back: {driver_opts: {com.docker.network.bridge.name: br-back}}}
services:
  web: {network_mode: bridge, ports: ['8080:80', '127.0.0.1:9000:90']}
  app: {networks: [back], ports: ['8082:80']}
"""
NO_PROXY = "daemon: {userland-proxy: false}\n"
IPV6 = """
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}}}
services: {web: {networks: [six], ports: ['8080:80']}}
"""
QUESTIONS: tuple[tuple[str, str, Callable[[Testbed], PacketResult]], ...] = (
    (
        "a neighbour asks for a published port",
        TWO_BRIDGES,
        lambda bed: bed.connect("client", (HOST, 8080)).syn,
    ),
    (
        "a neighbour asks the container's own address, published port",
        TWO_BRIDGES,
        lambda bed: bed.connect("client", ("172.17.0.2", 80), via=HOST).syn,
    ),
    (
        "a neighbour asks the container's own address, another port",
        TWO_BRIDGES,
        lambda bed: bed.connect("client", ("172.17.0.2", 81), via=HOST).syn,
    ),
    (
        "a neighbour asks for a port published on 127.0.0.1",
        TWO_BRIDGES,
        lambda bed: bed.connect("client", ("127.0.0.1", 9000), via=HOST).syn,
    ),
    (
        "a container asks one on another bridge, published port",
        TWO_BRIDGES,
        lambda bed: bed.connect("app", ("172.17.0.2", 80)).syn,
    ),
    (
        "a container asks for another's port at the host's address, without the userland proxy",
        NO_PROXY + TWO_BRIDGES,
        lambda bed: bed.connect("app", (HOST, 8080)).syn,
    ),
    (
        "a neighbour asks the container's own IPv6 address, another port, ip6tables as it is by default",
        IPV6,
        lambda bed: bed.connect("client", ("2001:db8:1::2", 81), via="2001:db8:66::100").syn,
    ),
)


@pytest.mark.parametrize("known", EVERY, ids=lambda known: known.name)
def test_the_table_of_the_guide_is_what_the_kernel_does(
    make_bed: MakeBed, documented: Documented, known: Engine[AnyRuleset]
) -> None:
    questions = [question for question, *_ in QUESTIONS]
    found = [outcome(make_bed, text, ask, known) for _, text, ask in QUESTIONS]
    told = {"": questions, known.name: found}
    documented(GUIDE, lambda guide: with_columns(guide, columns_of(guide) | told))
    columns = columns_of(GUIDE.read_text())
    assert dict(zip(columns[""], columns[known.name], strict=True)) == dict(zip(questions, found, strict=True))
    assert list(columns) == ["", *(one.name for one in EVERY)]


def table_of(guide: str) -> list[str]:
    """The lines of the one table whose first heading is the first engine."""
    lines = guide.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith(f"| | {ENGINES[0].name} |"))
    return list(takewhile(lambda line: line.startswith("|"), lines[start:]))


def columns_of(guide: str) -> dict[str, list[str]]:
    """Its columns by their headings; that of the questions has none."""
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table_of(guide))
    return {name: [row[number] for row in rows] for number, name in enumerate(header)}


def with_columns(guide: str, columns: dict[str, list[str]]) -> str:
    """The guide with another table; what is not known yet is marked."""
    rows = [" | ".join(row) for row in zip_longest(*columns.values(), fillvalue="?")]
    table = [f"|{' | '.join(columns)} |", "|" + " --- |" * len(columns), *(f"| {row} |" for row in rows)]
    return guide.replace("\n".join(table_of(guide)), "\n".join(table))


def outcome(make_bed: MakeBed, text: str, ask: Callable[[Testbed], PacketResult], known: Engine[AnyRuleset]) -> str:
    """`reached`, or where the one rule or policy stands that counted the packet and drops."""
    host = hostfile.parse(text)
    bed = make_bed(known.built(host), rules=known.rules(host))
    with bed.counting() as counting:
        result = ask(bed)
    bed.close()
    if result.delivered:
        return "reached"
    (dropping,) = drops(counting.result)
    return f"dropped in {dropping}"


def drops(counted: CounterReading) -> list[str]:
    """Table and chain of what dropped; a policy is marked as such."""
    dropping = [line for line, _ in counted.moved if line.text.endswith(" DROP") or " drop" in line.text]
    return [
        f"{line.table} {line.text[1:].split()[0]} (policy)"
        if line.is_policy
        else f"{line.table} {line.text.split()[1]}"
        for line in dropping
    ]
