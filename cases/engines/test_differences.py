"""The table of docs/engines.md: what the generations do differently, as the kernel does it, not as anybody says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from testbed import Testbed
from testbed.docker import hostfile
from testbed.docker.engines import ENGINES, NATIVE, Engine
from testbed.pytest_plugin import MakeBed
from testbed.rules import AnyRuleset, CounterReading
from testbed.traffic.packet import Crossing

GUIDE = Path(__file__).parents[2] / "docs" / "engines.md"
EVERY: tuple[Engine[AnyRuleset], ...] = (*ENGINES, NATIVE)
HOST = "192.168.66.100"
TWO_BRIDGES = """
networks: {back: {driver_opts: {com.docker.network.bridge.name: br-back}}}
services: {web: {ports: ['8080:80', '127.0.0.1:9000:90']}, app: {networks: [back], ports: ['8082:80']}}
"""
NO_PROXY = "daemon: {userland-proxy: false}\n"
IPV6 = """
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}}}
services: {web: {networks: [six], ports: ['8080:80']}}
"""
QUESTIONS: tuple[tuple[str, str, Callable[[Testbed], Crossing]], ...] = (
    (
        "a neighbour asks for a published port",
        TWO_BRIDGES,
        lambda bed: bed.tcp("client", "web", (HOST, 8080)).syn(),
    ),
    (
        "a neighbour asks the container's own address, published port",
        TWO_BRIDGES,
        lambda bed: bed.tcp("client", "web", ("172.17.0.2", 80), via=HOST).syn(),
    ),
    (
        "a neighbour asks the container's own address, another port",
        TWO_BRIDGES,
        lambda bed: bed.tcp("client", "web", ("172.17.0.2", 81), via=HOST).syn(),
    ),
    (
        "a neighbour asks for a port published on 127.0.0.1",
        TWO_BRIDGES,
        lambda bed: bed.tcp("client", "web", ("127.0.0.1", 9000), via=HOST).syn(),
    ),
    (
        "a container asks one on another bridge, published port",
        TWO_BRIDGES,
        lambda bed: bed.tcp("app", "web", ("172.17.0.2", 80)).syn(),
    ),
    (
        "a container asks for another's port at the host's address, without the userland proxy",
        NO_PROXY + TWO_BRIDGES,
        lambda bed: bed.tcp("app", "web", (HOST, 8080)).syn(),
    ),
    (
        "a neighbour asks the container's own IPv6 address, another port, ip6tables as it is by default",
        IPV6,
        lambda bed: bed.tcp("client", "web", ("2001:db8:1::2", 81), via="2001:db8:66::100").syn(),
    ),
)


def test_the_table_of_the_guide_is_what_the_kernel_does(make_bed: MakeBed) -> None:
    rows = [
        f"| {question} | {' | '.join(outcome(make_bed, text, ask, known) for known in EVERY)} |"
        for question, text, ask in QUESTIONS
    ]
    header = f"| | {' | '.join(known.name for known in EVERY)} |"
    table = [header, "|" + " --- |" * (len(EVERY) + 1), *rows]
    written = GUIDE.read_text().splitlines()
    print("\n".join(table))  # noqa: T201 - shown where the assertion fails, to be pasted into the guide
    assert [line for line in table if line not in written] == []


def outcome(make_bed: MakeBed, text: str, ask: Callable[[Testbed], Crossing], known: Engine[AnyRuleset]) -> str:
    """`reached`, or where the one rule or policy stands that counted the packet and drops."""
    host = hostfile.parse(text)
    if known is NATIVE and host.ipv6:
        return "not known"
    bed = make_bed(host, rules=known.rules(host))
    with bed.counting() as counting:
        crossing = ask(bed)
    bed.close()
    if crossing.delivered:
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
