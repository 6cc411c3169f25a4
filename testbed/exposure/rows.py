"""The rows of a matrix: services of containers and of the host, and any other port of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.analysis.packets import LOCAL, SCTP, TCP, UDP
from testbed.analysis.places import ALL_PORTS, Location, ReachTarget, Spans
from testbed.docker.host import Container, DockerHost, PublishedPort
from testbed.topology import Address, Listener, Prefix, Topology

NUMBERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
_LOOPBACKS: dict[int, Prefix] = {4: IPv4Network("127.0.0.0/8"), 6: IPv6Network("::1/128")}
_OTHER = (TCP, UDP)  # what "any other port" is about


@dataclass(frozen=True, slots=True, order=True)
class ServicePort:
    """A port of a node with its protocol."""

    node: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class ExposureRow:
    """A service, or with `port` None any other port of a node.

    `target` has all addresses and ports; `own` are those of its ways that are the container's own addresses. A
    `listener` is a socket of the userland proxy on the host, which connects to the container for all that it accepts.
    """

    node: str
    port: int | None
    protocol: str
    published: tuple[PublishedPort, ...]
    target: ReachTarget
    own: tuple[Location, ...]
    listener: tuple[Location, ...] = ()
    on_host: bool = False

    @property
    def key(self) -> str:
        """Return what the row is called where it is named in one word, as a spec writes it."""
        return f"{self.node}:{self.port}/{self.protocol}" if self.port is not None else f"{self.node}:*"


def rows(
    topology: Topology, host: DockerHost, also: Iterable[ServicePort] = (), listening: Iterable[ServicePort] = ()
) -> tuple[ExposureRow, ...]:
    """Return the rows of a host: each container's services, its other ports, then the host's.

    `also` are services that rules translate to, `listening` ports of the host that are worth a row.
    """
    found: list[ExposureRow] = []
    extra = list(also)
    for container in host.containers:
        services = _services(container, extra)
        found += [_service(topology, host, container, key, ports) for key, ports in services.items()]
        found.append(_others(container, services))
    return (*found, *_of_host(topology, host, listening))


def _services(container: Container, also: list[ServicePort]) -> dict[tuple[int, str], list[PublishedPort]]:
    found: dict[tuple[int, str], list[PublishedPort]] = {}
    for port in container.published:
        found.setdefault((port.container, port.protocol), []).append(port)
    for service in also:
        if service.node == container.name:
            found.setdefault((service.port, service.protocol), [])
    return found


def _own_addresses(container: Container) -> list[tuple[Address, str]]:
    """Return a container's addresses with the bridges behind which they are."""
    return [
        (address, own.network.bridge)
        for own in container.attachments
        for address in (own.address, own.address6)
        if address is not None
    ]


def _service(
    topology: Topology, host: DockerHost, container: Container, key: tuple[int, str], ports: list[PublishedPort]
) -> ExposureRow:
    number, protocol = key
    numbers, spans = (NUMBERS[protocol],), ((number, number),)
    own = tuple(
        Location((ip_network(address),), numbers, spans, bridge) for address, bridge in _own_addresses(container)
    )
    ways = [_published(topology, port) for port in ports]
    listeners = tuple(_listeners(topology, host, container, ports)) if host.userland_proxy else ()
    target = ReachTarget(f"{container.name}:{number}/{protocol}", (*ways, *own), (*own, *listeners))
    return ExposureRow(container.name, number, protocol, tuple(ports), target, own, listeners)


def _published(topology: Topology, port: PublishedPort) -> Location:
    return Location(_host_addresses(topology, port), (NUMBERS[port.protocol],), ((port.host, port.host),))


def _host_addresses(topology: Topology, port: PublishedPort | None = None) -> tuple[Prefix, ...]:
    """Return the addresses of the host at which a port is published; without a port all of them."""
    if port is not None and port.address is not None and not port.address.is_unspecified:
        return (_LOOPBACKS[port.address.version],) if port.on_loopback else (ip_network(port.address),)
    own = [own.ip for device in topology.node(topology.host).devices for own in device.addresses]
    versions = [version for version in (4, 6) if port is None or port.in_version(version)]
    found = [ip_network(address) for address in own if address.version in versions]
    return (*dict.fromkeys(found), *(_LOOPBACKS[version] for version in versions))


def _listeners(
    topology: Topology, host: DockerHost, container: Container, ports: list[PublishedPort]
) -> Iterator[Location]:
    """Yield the sockets of the userland proxy for a service."""
    for port in ports:
        for version in host.versions_of(container, port) if port.protocol != "sctp" else ():
            addresses = tuple(own for own in _host_addresses(topology, port) if own.version == version)
            yield Location(addresses, (NUMBERS[port.protocol],), ((port.host, port.host),), LOCAL)


def _others(container: Container, services: Iterable[tuple[int, str]]) -> ExposureRow:
    own = tuple(
        Location((ip_network(address),), (number,), _without(services, number), bridge)
        for address, bridge in _own_addresses(container)
        for number in _OTHER
    )
    return ExposureRow(container.name, None, "", (), ReachTarget(f"{container.name}:*", own, own), own)


def _without(services: Iterable[tuple[int, str]], number: int) -> Spans:
    taken = sorted({port for port, protocol in services if NUMBERS[protocol] == number})
    spans, start = [], 1
    for port in taken:
        if port > start:
            spans.append((start, port - 1))
        start = port + 1
    return (*spans, (start, ALL_PORTS[-1][-1])) if start <= ALL_PORTS[-1][-1] else tuple(spans)


def _sockets(host: DockerHost) -> tuple[Listener, ...]:
    """Return the host's own listening sockets, those on unspecified addresses without one."""
    return tuple(
        replace(own, address=None) if own.address is not None and own.address.is_unspecified else own
        for own in host.surroundings.listeners
    )


def _of_host(topology: Topology, host: DockerHost, listening: Iterable[ServicePort]) -> Iterator[ExposureRow]:
    taken = {(port.host, port.protocol) for _, port in host.published()}
    own = {(listener.port, listener.protocol): str(listener.address or "") for listener in _sockets(host)}
    named = {(one.port, one.protocol): "" for one in listening}
    services = {key: address for key, address in sorted({**named, **own}.items()) if key not in taken}
    for (port, protocol), address in services.items():
        addresses: tuple[Prefix, ...] = (ip_network(address),) if address else _host_addresses(topology)
        way = Location(addresses, (NUMBERS[protocol],), ((port, port),))
        end = Location(addresses, (NUMBERS[protocol],), ((port, port),), LOCAL)
        target = ReachTarget(f"{topology.host}:{port}/{protocol}", (way,), (end,))
        yield ExposureRow(topology.host, port, protocol, (), target, (), on_host=True)
    addresses = _host_addresses(topology)
    known = [*taken, *services]
    spans = {number: _without(known, number) for number in _OTHER}
    ways = tuple(Location(addresses, (number,), spans[number]) for number in _OTHER)
    ends = tuple(Location(addresses, (number,), spans[number], LOCAL) for number in _OTHER)
    yield ExposureRow(topology.host, None, "", (), ReachTarget(f"{topology.host}:*", ways, ends), (), on_host=True)
