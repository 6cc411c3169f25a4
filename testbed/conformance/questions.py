"""Probes with real packets, to compare the results and counters of two beds of one host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from testbed.bed import FIRST_PORT, Testbed
from testbed.docker.host import Container, DockerHost, PublishedPort
from testbed.observe.packet_result import PacketResult
from testbed.traffic.layers import IP, UDP, IPv6

_UNPUBLISHED = 22


@dataclass(frozen=True, slots=True)
class ConformanceProbe:
    """A TCP handshake (`tcp`) or a datagram (`udp`) of `origin` for `to`, expected at `at`; `via` names a router."""

    origin: str
    at: str
    to: tuple[str, int]
    protocol: str = "tcp"
    via: str | None = None

    def __str__(self) -> str:
        way = f" by way of {self.via}" if self.via else ""
        return f"{self.origin} asks {self.to[0]}:{self.to[1]}/{self.protocol} ({self.at}){way}"


def questions(host: DockerHost) -> Iterator[ConformanceProbe]:
    """Yield the probes of a host: each port and each container from the LAN, each container from each other."""
    around = host.around
    own = {version: str(around.host_address(version)) for version in host.versions}
    for container, port in host.published():
        yield from _of_a_port(own, container, port)
    for container in host.containers:
        yield ConformanceProbe("client", container.name, (str(container.address), _UNPUBLISHED), via=own[4])
        if container.address6 is not None:
            yield ConformanceProbe("client", container.name, (str(container.address6), _UNPUBLISHED), via=own[6])
        for router in container.network.bridge_addresses:
            internet = str(around.internet_address(router.version))
            yield ConformanceProbe(container.name, "internet", (internet, 443), via=str(router.ip))
    for one, other in permutations(host.containers, 2):
        neighbours, routed = one.network == other.network, one.network.gateway in one.network.bridge_addresses
        if neighbours or routed:
            via = None if neighbours else str(one.network.gateway.ip)
            yield ConformanceProbe(one.name, other.name, (str(other.address), _UNPUBLISHED), via=via)
        if not host.userland_proxy and routed:
            yield from _by_the_hosts_address(own[4], one, other)


def _of_a_port(host: dict[int, str], container: Container, port: PublishedPort) -> Iterator[ConformanceProbe]:
    """Yield probes of a port at the host's address and at the container's own, in each IP version that publishes it."""
    gateway = container.gateway
    if port.protocol == "sctp" or gateway is None:
        return
    gateway6 = container.gateway6
    for version, own in ((4, gateway.address), (6, gateway6.address6 if gateway6 is not None else None)):
        if port.in_version(version) and own is not None:
            via = host[version]
            asked = via if port.address is None or port.everywhere else str(port.address)
            yield ConformanceProbe("client", container.name, (asked, port.host), port.protocol, via)
            yield ConformanceProbe("client", container.name, (str(own), port.container), port.protocol, via)


def _by_the_hosts_address(host: str, one: Container, other: Container) -> Iterator[ConformanceProbe]:
    """Yield probes of a container to the host's address.

    With the userland proxy the host itself handles such a connection, and its packets leave nowhere else.
    """
    for port in other.published:
        if port.everywhere and port.protocol == "tcp" and port.in_version(4) and other.gateway is not None:
            yield ConformanceProbe(one.name, other.name, (host, port.host), via=str(one.network.gateway.ip))


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a probe: each packet as sent and as delivered, and what the rules counted, table by table.

    Of policies only those that drop are compared. A policy that an engine has not set counts nothing with iptables-nft,
    and a real host's kernel sends packets of its own, for multicast groups for instance.
    """

    results: tuple[str, ...]
    counted: tuple[str, ...]

    def lines(self, question: ConformanceProbe) -> list[str]:
        return [f"{question}: {line}" for line in (*self.results, *self.counted)]


def ask(bed: Testbed, asked: list[ConformanceProbe]) -> list[str]:
    """Return every probe with its result, as lines, in order."""
    bed.settle_everywhere()
    answers = ((question, _answer(bed, question, FIRST_PORT + number)) for number, question in enumerate(asked))
    return [line for question, answer in answers for line in answer.lines(question)]


def _answer(bed: Testbed, question: ConformanceProbe, port: int) -> Answer:
    before = bed.counters()
    results = tuple(_line(result, question) for result in _sent(bed, question, port))
    moved = sorted((bed.counters() - before).moved, key=lambda one: one[0].table)
    passed = [line for line, _ in moved if line.is_policy and line.text.endswith(" ACCEPT")]
    return Answer(results, tuple(f"{counters} {line}" for line, counters in moved if line not in passed))


def _sent(bed: Testbed, question: ConformanceProbe, port: int) -> list[PacketResult]:
    """Return the packet results of a probe, up to the first packet that is not delivered."""
    if question.protocol == "udp":
        asking = bed.endpoint(question.origin).address_towards(question.to[0])
        header = (IPv6 if ":" in asking else IP)(src=asking, dst=question.to[0])
        datagram = header / UDP(sport=port, dport=question.to[1])
        return [bed.send(datagram, question.origin, via=question.via)]
    connection = bed.connect(question.origin, question.to, port=port, via=question.via)
    if connection.syn.delivered:
        for step in connection.handshake_steps:
            if not step().delivered:
                break
    return connection.results


def _line(result: PacketResult, question: ConformanceProbe) -> str:
    """Return a result as text: what NAT changed, and the node where it came out if that is unexpected."""
    if not result.delivered:
        return f"{result.sent}: did not arrive"
    elsewhere = "" if result.delivered_to in (question.at, question.origin) else f" at {result.delivered_to}"
    return f"{result.sent}: {', '.join(result.translated) or 'arrived as it was'}{elsewhere}"
