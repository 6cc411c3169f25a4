"""Real connections on hosts of real engines, asked again on the model's bed: same outcome, same counters.

`probes.txt` of a capture lists them: who asked for what, what came of it, and what every rule had counted after the
handshake (a Linux client's: 60, 60, 52 bytes) or, without one, after the exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from select import select
from socket import socket

import pytest

from testbed import LINUX, CounterReading, DockerHost, Ruleset, Testbed
from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.pytest_plugin import MakeBed

DATA = Path(__file__).parent.parent / "data"
HEADING = re.compile(r"### (?P<name>\S+): (?P<origin>\w+) -> (?P<to>.*?)  => (?P<outcome>.*)")
COUNTED = re.compile(r" +(?P<packets>\d+) +(?P<bytes>\d+)  (?P<table>\w+): (?P<text>.*)")
OUTCOMES = {"open": "open", "ConnectionRefusedError": "refused", "TimeoutError": "no answer"}
SECOND = {"d2", "d5"}  # asked by the second container of the host; all others called `container` by the first
HOST = "192.168.66.100"
INTERNET = ("203.0.113.1", "203.0.113.10")  # there, here
HTTP_GET = "p02"  # a page of another server: not the same bytes


Count = tuple[str, str, str]


@dataclass(frozen=True)
class Probe:
    """One question and what came of it."""

    engine: str
    host: str
    name: str
    origin: str
    address: str
    port: int | None
    outcome: str
    counted: tuple[Count, ...]
    closed: tuple[Count, ...]

    @property
    def key(self) -> str:
        return self.name.split("-")[0]

    @property
    def is_udp(self) -> bool:
        return "udp" in self.name


def probes() -> Iterator[Probe]:
    for path in sorted((DATA / "captures").glob("*/*/probes.txt")):
        engine_name, host, _ = path.parts[-3:]
        for part in re.split(r"^(?=### )", path.read_text(), flags=re.MULTILINE)[1:]:
            heading, *lines = part.splitlines()
            found = HEADING.fullmatch(heading)
            assert found, heading
            address, port = target(found["to"])
            lists = [tuple(counts(text)) for text in re.split(r"\n  \[\w+\]", "\n".join(["", *lines]))[1:]]
            counted, closed = [*lists, (), ()][:2]
            known = (engine_name, host, found["name"], found["origin"])
            yield Probe(*known, address, port, found["outcome"], counted, closed)


def target(text: str) -> tuple[str, int | None]:
    """`['192.168.66.100', 80]` or `203.0.113.1`."""
    listed = re.fullmatch(r"\['(.*)', (\d+)\]", text)
    address, port = (listed[1], int(listed[2])) if listed else (text, None)
    return (INTERNET[1] if address == INTERNET[0] else address), port


def counts(text: str) -> Iterator[Count]:
    """Table, line and counters of every line of a list."""
    for line in text.splitlines():
        if found := COUNTED.fullmatch(line):
            rule = re.sub(r"^policy (\S+) (\S+)$", r":\1 \2", found["text"])
            yield found["table"], rule, f"[{found['packets']}:{found['bytes']}]"


PROBES = [probe for probe in probes() if probe.key != HTTP_GET]
SCRIPTED = {"p01", "p03", "p11", "p17", "d4", "d5", "f3b"}  # between two ends that a script can hold
CLOSED = [probe for probe in PROBES if probe.closed and probe.key in SCRIPTED]
SERVERS = {"d4": 1, "f3b": 1}  # which container answers, where it is not the first
LISTED = {(table, text) for probe in PROBES for table, text, _ in probe.counted if text.startswith(":")}


def described(probe: Probe) -> DockerHost:
    """The host, its bridge called as in that run."""
    text = (DATA / "hosts" / f"{probe.host}.yaml").read_text()
    saved = (DATA / "captures" / probe.engine / probe.host / "iptables-save.txt").read_text()
    for bridge in sorted(set(re.findall(r"br-[0-9a-f]{12}", saved))):
        text = text.replace("  back:\n", f"  back:\n    driver_opts: {{com.docker.network.bridge.name: {bridge}}}\n")
    return hostfile.parse(text)


def rules_of(probe: Probe, host: DockerHost) -> Ruleset:
    """The engine's rules, with the one that the user had added."""
    rules = engine(probe.engine).rules(host)
    if probe.key == "p16":
        return rules.insert("filter", "DOCKER-USER", "-i ens33 -p tcp -m conntrack --ctorigdstport 80 -j DROP")
    if probe.key == "p17":
        return rules.insert("filter", "INPUT", "-p tcp -m tcp --dport 80 -j DROP")
    return rules


def expected(listed: tuple[Count, ...], reading: CounterReading) -> str:
    """As `iptables-save -c` lines.

    The lists have every rule and policy that is not 0, except for some policies that they never have.
    """
    counted = {(table, text): counters for table, text, counters in listed}
    silent = {(line.table, line.text): "[0:0]" for line, _ in reading if (line.table, line.text) in LISTED}
    return "\n".join(
        f"*{table}\n{text} {counters}" if text.startswith(":") else f"*{table}\n{counters} {text}"
        for (table, text), counters in (silent | counted).items()
    )


def test_there_are_probes_of_three_engines() -> None:
    assert len(PROBES) == 3 * (16 + 7 + 6)
    assert {probe.engine for probe in PROBES} == {"20.10", "26.1", "28.5"}
    assert all(probe.counted for probe in PROBES if probe.key != "p14")
    assert {probe.key for probe in CLOSED} == SCRIPTED


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: f"{probe.engine}-{probe.name}")
def test_a_real_connection_has_the_same_outcome_and_counters(make_bed: MakeBed, probe: Probe) -> None:
    host = described(probe)
    bed = make_bed(article.topology_with_kernels(host), rules=rules_of(probe, host))
    with ExitStack() as opened:
        opened.enter_context(bed.userland_proxy(host))
        listening = [opened.enter_context(bed.kernel(node).listen(port)) for node, port in served(host)]
        add_ways(bed)
        with bed.counting() as counting:
            assert ask(bed, host, probe, listening, opened) == outcome(probe)
            counted = counting.so_far()
        assert counted == expected(probe.counted, counted)


@pytest.mark.parametrize("probe", CLOSED, ids=lambda probe: f"{probe.engine}-{probe.name}")
def test_closed_by_the_client_it_has_counted_the_same(make_bed: MakeBed, probe: Probe) -> None:
    """Scripted, since a kernel may acknowledge the client's FIN by its own, six packets in all, or before, seven."""
    host = described(probe)
    bed = make_bed(host, rules=rules_of(probe, host))
    server = "internet" if probe.address == INTERNET[1] else host.containers[SERVERS.get(probe.key, 0)].name
    origin = host.containers[probe.key in SECOND].name if probe.origin == "container" else probe.origin
    via = HOST if probe.origin == "client" else None
    assert probe.port is not None
    with bed.counting() as counting:
        talk = bed.connect(origin, (probe.address, probe.port), via=via, stack=LINUX)
        talk.handshake()
        assert talk.server == server
        talk.fin()
        if any(counters == "[7:380]" for _, _, counters in probe.closed):
            talk.ack("server")
        talk.fin("server")
        assert talk.ack().delivered
    assert counting.result == expected(probe.closed, counting.result)


def served(host: DockerHost) -> list[tuple[str, int]]:
    """Who listens in these hosts: every container on 80, the internet on 7777, the host on 6000."""
    return [*((container.name, 80) for container in host.containers), ("internet", 7777), ("host", 6000)]


def add_ways(bed: Testbed) -> None:
    """The client of these captures had the host as its router for the bridges, and for the internet where asked for."""
    for subnet in ("172.17.0.0/16", "172.18.0.0/16"):
        bed.node("client").command(["ip", "route", "add", subnet, "via", HOST])


def outcome(probe: Probe) -> str:
    if probe.port is None:
        return probe.outcome
    if probe.is_udp:
        return "answered"
    return OUTCOMES[probe.outcome.split(":")[0].split("  ")[0]]


def ask(bed: Testbed, host: DockerHost, probe: Probe, listening: list[socket], opened: ExitStack) -> str:
    """What comes of it; a connection stays open until `opened` is closed."""
    containers = [container.name for container in host.containers]
    origin = containers[probe.key in SECOND] if probe.origin == "container" else probe.origin
    if probe.key == "p13":
        bed.node(origin).command(["ip", "route", "add", "203.0.113.0/24", "via", HOST])
    if probe.port is None:
        return "reply" if bed.ping(origin, probe.address) else "no reply"
    if probe.is_udp:
        return ask_udp(bed, origin, (probe.address, probe.port), "internet" if probe.key == "p04" else "udp")
    attempt = opened.enter_context(bed.connect_from_kernel(origin, (probe.address, probe.port)))
    if attempt.outcome == "open":  # where the userland proxy took it, another one to the container follows
        ready, _, _ = select(listening, [], [], 10.0)
        opened.enter_context(ready[0].accept()[0])
        bed.settle()
    return attempt.outcome


def ask_udp(bed: Testbed, origin: str, to: tuple[str, int], server: str) -> str:
    """`ping` and `pong`, five bytes each."""
    with bed.kernel(server).udp() as answering, bed.kernel(origin).udp() as asking:
        answering.bind(("0.0.0.0", 7778 if server == "internet" else 53))
        asking.sendto(b"ping\n", to)
        _, asker = answering.recvfrom(100)
        answering.sendto(b"pong\n", asker)
        return "answered" if asking.recv(100) == b"pong\n" else "something else"
