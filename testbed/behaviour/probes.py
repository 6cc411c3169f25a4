"""The probes for a rule set: from every origin to every destination, on both sides of each border.

They follow from the clauses of the rules and from the topology. Equal inputs give equal probes in equal order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.behaviour.referenced_values import ReferencedValues
from testbed.docker.beside import peer_name
from testbed.docker.host import Container, DockerHost
from testbed.topology import Address, Prefix, Topology
from testbed.traffic.packet import place

TCP, UDP, ICMP = "tcp", "udp", "icmp"
NEW, INVALID, STRAY = "new", "invalid", "stray"
UNMENTIONED = 9  # a port that rules hardly ever name: discard (RFC 863)
_LAST_PORT = 65535
_MAX_EQUAL_CONTAINERS = 2  # of containers of a network that differ only in their address, so many send probes
MOST = 10_000  # probes; the rest is cut, and the number of cut probes is reported


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """One packet from a node to an address: `port` is 0 for an echo request, `source` empty for the node's own address.

    `direct`: it is handed to the host, regardless of the sender's routes (a container on internal networks has none).
    `state` is `new`; `invalid`: it belongs to no connection and can begin none; `stray`: it belongs to no connection
    and looks as if it did (an ACK).
    """

    origin: str
    protocol: str
    address: str
    port: int
    state: str = NEW
    source: str = ""
    direct: bool = False

    def __str__(self) -> str:
        source = f" as {self.source}" if self.source else ""
        words = (" handed to the host" if self.direct else "") + (f" {self.state}" if self.state != NEW else "")
        return f"{self.origin}{source} {self.protocol} {place(self.address, self.port)}{words}"


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes to send, and the number of probes that were cut."""

    asked: tuple[Probe, ...]
    cut: int


def probes(topology: Topology, host: DockerHost, named: ReferencedValues, most: int = MOST) -> Probes:
    """Return a probe for each address, port and state that the rules name and for their neighbours, at most `most`."""
    found = sorted(set(_all(topology, host, named)))
    return Probes(tuple(found[:most]), max(0, len(found) - most))


def _all(topology: Topology, host: DockerHost, named: ReferencedValues) -> Iterator[Probe]:
    ports = list(_ports(named))
    for origin, destinations, direct in _ways(topology, host):
        for address in destinations:
            for protocol, port in ports:
                yield Probe(origin, protocol, address, port, direct=direct)
                for state in _states(named) if protocol == TCP and origin != topology.host else ():
                    yield Probe(origin, protocol, address, port, state, direct=direct)
    for source in _sources(topology, named):
        to = str(host.around.host_address(6 if ":" in source else 4))
        for protocol, port in ports:
            yield Probe("client", protocol, to, port, source=source)


def _states(named: ReferencedValues) -> Iterator[str]:
    """Yield the states, besides new, that the rules can distinguish."""
    yield from (INVALID,) * named.invalid
    yield from (STRAY,) * named.flags


def _ways(topology: Topology, host: DockerHost) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each origin, its destinations, and whether its packets are handed to the host regardless of routes."""
    yield from _ways_of(topology, host, _Places.of(host))
    if host.ipv6:
        yield from _ways_of(topology, host, _Places.of_ipv6(host))


@dataclass(frozen=True, slots=True)
class _Places:
    """The destination addresses of one IP version.

    `also` are the host's addresses besides its LAN address. `unused` is one address of each network that no node has.
    """

    version: int
    host: str
    outside: str
    bridges: tuple[str, ...]
    containers: tuple[str, ...]
    unused: tuple[str, ...]
    loopback: str
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, host: DockerHost) -> _Places:
        own = tuple(str(own.address) for container in host.containers for own in container.attachments)
        bridges = _bridges(host, 4)
        unused = tuple(str(_unused(network.subnet, own)) for network in host.networks)
        return cls._around(host, 4, bridges, own, unused, "127.0.0.1")

    @classmethod
    def of_ipv6(cls, host: DockerHost) -> _Places:
        found = [own.address6 for container in host.containers for own in container.attachments]
        own = tuple(str(address) for address in found if address is not None)
        bridges = _bridges(host, 6)
        unused = tuple(str(_unused(network.subnet6, own)) for network in host.networks if network.subnet6 is not None)
        return cls._around(host, 6, bridges, own, unused, "::1")

    @classmethod
    def _around(
        cls,
        host: DockerHost,
        version: int,
        bridges: tuple[str, ...],
        own: tuple[str, ...],
        unused: tuple[str, ...],
        loopback: str,
    ) -> _Places:
        main, outside = host.around.host_address(version), host.around.internet_address(version)
        others = (address for address in host.own_addresses() if address.version == version and address != main)
        also = tuple(str(address) for address in others if str(address) not in bridges)
        return cls(version, str(main), str(outside), bridges, own, unused, loopback, also)


def _bridges(host: DockerHost, version: int) -> tuple[str, ...]:
    """Return the bridges' own addresses; a network in mode isolated has none."""
    found = (address for network in host.networks for address in network.bridge_addresses)
    return tuple(str(address.ip) for address in found if address.version == version)


def _ways_of(topology: Topology, host: DockerHost, to: _Places) -> Iterator[tuple[str, list[str], bool]]:
    inside = (*to.bridges, *to.containers)
    yield "client", [to.host, to.outside], False
    yield "client", [*to.also, *inside, *to.unused, to.loopback, to.outside], True
    yield "internet", [to.host, *to.also], False
    for origin, direct in _others(topology, host, to.version):
        yield origin, [to.host, *to.also, *(inside if direct else ())], direct
    beyond = _beyond(topology, host, to.version)
    yield topology.host, [to.host, *to.also, *inside, *to.unused, *beyond, to.outside, to.loopback], False
    for container in _askers(host):
        near = [net for own in container.attachments for net in (own.network.subnet, own.network.subnet6) if net]
        mine = {str(address) for own in container.attachments for address in (own.address, own.address6)}
        on_link = [address for address in inside if address not in mine and _within(address, near)]
        beyond = [
            address
            for address in (to.host, *to.also, *inside, *to.unused, *_beyond(topology, host, to.version), to.outside)
            if not _within(address, near)
        ]
        if to.version == 4 or any(own.address6 is not None for own in container.attachments):
            yield container.name, on_link, False
            yield container.name, beyond, container.gateway is None


def _others(topology: Topology, host: DockerHost, version: int) -> Iterator[tuple[str, bool]]:
    """Yield the other nodes outside, and whether the host is beside them: clients of further uplinks, peers, guests."""
    beside = [lan.named("client") for lan in host.around.lans[1:]]
    beside += [peer_name(tunnel) for tunnel in host.surroundings.tunnels]
    beside += [guest.name for guest in host.surroundings.guests()]
    asked = [*((name, True) for name in beside), *((one.name, False) for one in host.surroundings.machines)]
    for name, direct in asked:
        if any(own.version == version for own in topology.node(name).addresses):
            yield name, direct


def _beyond(topology: Topology, host: DockerHost, version: int) -> list[str]:
    """Return the addresses of those nodes."""
    nodes = [topology.node(name) for name, _ in _others(topology, host, version)]
    return [str(next(own.ip for own in node.addresses if own.version == version)) for node in nodes]


def _within(address: str, networks: Iterable[Prefix]) -> bool:
    return any(ip_address(address) in network for network in networks)


def _ports(named: ReferencedValues) -> Iterator[tuple[str, int]]:
    """Yield each named port, its neighbours, and one port that is not named; then an echo request."""
    for protocol in (TCP, UDP):
        numbers = {UNMENTIONED}
        for number in (number for of, number in named.ports if of == protocol):
            numbers |= {near for near in (number - 1, number, number + 1) if 0 < near <= _LAST_PORT}
        yield from ((protocol, number) for number in sorted(numbers))
    yield ICMP, 0


def _askers(host: DockerHost) -> Iterator[Container]:
    """Yield the containers that send probes: all that publish ports, and a few of the others of each network."""
    quiet: dict[tuple[str, ...], int] = {}
    for container in host.containers:
        networks = tuple(own.network.bridge for own in container.attachments)
        quiet[networks] = quiet.get(networks, 0) + (not container.published)
        if container.published or quiet[networks] <= _MAX_EQUAL_CONTAINERS:
            yield container


def _unused(network: Prefix, used: Iterable[str]) -> Address:
    """Return the last address of a network that is not in use."""
    taken = set(used)
    return next(a for a in (network.broadcast_address - back for back in range(1, 256)) if str(a) not in taken)


def _sources(topology: Topology, named: ReferencedValues) -> Iterator[str]:
    """Yield unused LAN addresses on both sides of each border that a prefix draws in the LAN."""
    taken = {str(address.ip) for node in topology.nodes for address in node.addresses}
    lans: list[Prefix] = [own.network for own in topology.node("client").addresses]
    borders = {border for prefix in named.prefixes for border in _borders(prefix)}
    for address in sorted(borders, key=lambda own: (own.version, int(own))):
        lan = next((lan for lan in lans if address in lan), None)
        if lan is not None and str(address) not in taken and address not in (lan[0], lan[-1]):
            yield str(address)


def _borders(prefix: Prefix) -> Iterator[Address]:
    """Yield the first and last address inside a prefix, and those just outside."""
    first, last = prefix.network_address, prefix.broadcast_address
    yield from (first, last)
    if int(first):
        yield first - 1
    if int(last) + 1 < 1 << prefix.max_prefixlen:
        yield last + 1
