"""The questions worth asking of a rule set: from every origin to every destination, on both sides of each border.

They follow from the rules' own clauses and the topology, always the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address

from testbed.docker.host import Container, DockerHost
from testbed.docker.network import HOST_ADDRESS, INTERNET_ADDRESS
from testbed.regress.mentioned import Mentioned
from testbed.topology import Topology

TCP, UDP, ICMP = "tcp", "udp", "icmp"
NEW, INVALID, STRAY, RELATED = "new", "invalid", "stray", "related"
UNMENTIONED = 9  # a port that hardly anybody's rules name: discard (RFC 863)
_LAST_PORT = 65535
_SEVERAL = 2  # containers of a network that differ in nothing but their address: so many of them ask
MOST = 4000  # probes; what goes beyond is cut, and said to be


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """One packet from a node to an address: `port` is 0 for an echo request, `source` empty for the node's own address.

    `direct`: it is handed to the host, whatever the sender's routes say (a container on internal networks has none).
    `state` is `new`, or `invalid` for a packet that belongs to no connection and can begin none.
    """

    origin: str
    protocol: str
    address: str
    port: int
    state: str = NEW
    source: str = ""
    direct: bool = False

    def __str__(self) -> str:
        to = f"{self.address}:{self.port}" if self.port else self.address
        source = f" as {self.source}" if self.source else ""
        words = (" handed to the host" if self.direct else "") + (f" {self.state}" if self.state != NEW else "")
        return f"{self.origin}{source} {self.protocol} {to}{words}"


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked, and how many more there would have been."""

    asked: tuple[Probe, ...]
    cut: int


def probes(topology: Topology, host: DockerHost, named: Mentioned, most: int = MOST) -> Probes:
    """Every question that the rules can answer differently, at most so many."""
    found = sorted(set(_all(topology, host, named)))
    return Probes(tuple(found[:most]), max(0, len(found) - most))


def _all(topology: Topology, host: DockerHost, named: Mentioned) -> Iterator[Probe]:
    ports = list(_ports(named))
    for origin, destinations, direct in _ways(topology, host):
        for address in destinations:
            for protocol, port in ports:
                yield Probe(origin, protocol, address, port, direct=direct)
                if named.invalid and protocol == TCP and origin != topology.host:
                    yield Probe(origin, protocol, address, port, INVALID, direct=direct)
    for source in _sources(topology, named):
        for protocol, port in ports:
            yield Probe("client", protocol, str(HOST_ADDRESS.ip), port, source=source)


def _ways(topology: Topology, host: DockerHost) -> Iterator[tuple[str, list[str], bool]]:
    """Who asks, for which addresses, and whether by way of the host whatever the routes say."""
    outside, at_host = str(INTERNET_ADDRESS.ip), str(HOST_ADDRESS.ip)
    own = [str(own.address) for container in host.containers for own in container.attachments]
    bridges = [str(network.gateway.ip) for network in host.networks]
    unused = [str(_unused(network.gateway.network, own)) for network in host.networks]
    yield "client", [at_host, outside], False
    yield "client", [*bridges, *own, *unused, "127.0.0.1", outside], True
    yield "internet", [at_host], False
    yield topology.host, [at_host, *bridges, *own, *unused, outside, "127.0.0.1"], False
    for container in _askers(host):
        near = [attached.network.gateway.network for attached in container.attachments]
        mine = {str(attached.address) for attached in container.attachments}
        on_link = [a for a in (*bridges, *own) if a not in mine and any(ip_address(a) in network for network in near)]
        beyond = [a for a in (at_host, *bridges, *own, *unused, outside) if not any(ip_address(a) in n for n in near)]
        yield container.name, on_link, False
        yield container.name, beyond, container.gateway is None


def _ports(named: Mentioned) -> Iterator[tuple[str, int]]:
    """Each port that is named, its neighbours, and one that is not named; an echo request."""
    for protocol in (TCP, UDP):
        numbers = {UNMENTIONED}
        for number in (number for of, number in named.ports if of == protocol):
            numbers |= {near for near in (number - 1, number, number + 1) if 0 < near <= _LAST_PORT}
        yield from ((protocol, number) for number in sorted(numbers))
    yield ICMP, 0


def _askers(host: DockerHost) -> Iterator[Container]:
    """The containers that ask: all that publish ports, and a few of each network's others."""
    quiet: dict[tuple[str, ...], int] = {}
    for container in host.containers:
        networks = tuple(own.network.bridge for own in container.attachments)
        quiet[networks] = quiet.get(networks, 0) + (not container.published)
        if container.published or quiet[networks] <= _SEVERAL:
            yield container


def _unused(network: IPv4Network, used: Iterable[str]) -> IPv4Address:
    """The last address of a network that nobody has."""
    taken = set(used)
    return next(a for a in (network.broadcast_address - back for back in range(1, 256)) if str(a) not in taken)


def _sources(topology: Topology, named: Mentioned) -> Iterator[str]:
    """Neighbours on the LAN on both sides of each border that a prefix draws there; nobody's addresses but theirs."""
    lan = HOST_ADDRESS.network
    taken = {str(address.ip) for node in topology.nodes for address in node.addresses}
    borders: set[IPv4Address] = set()
    for prefix in named.prefixes:
        if isinstance(prefix, IPv4Network):
            first, last = prefix.network_address, prefix.broadcast_address
            borders |= {first, last, *_beside(first, -1), *_beside(last, 1)}
    for address in sorted(borders):
        if address in lan and str(address) not in taken and address not in (lan[0], lan[-1]):
            yield str(address)


def _beside(address: IPv4Address, step: int) -> set[IPv4Address]:
    near = int(address) + step
    return {IPv4Address(near)} if 0 <= near <= int(ip_address("255.255.255.255")) else set()
