"""The columns of a matrix: where packets come from, read from the topology around the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.analysis.packets import LOCAL
from testbed.analysis.places import Origin
from testbed.docker.host import DockerHost, Network
from testbed.topology import Address, Bridge, Interface, Node, Port, Prefix, Topology

_EVERYWHERE = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_NOT_UNICAST: tuple[Prefix, ...] = (
    *(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")),
    *(IPv6Network(text) for text in ("::/127", "fe80::/10", "ff00::/8")),
)


class ColumnKind(Enum):
    """What kind of place packets come from."""

    INTERNET = "internet"
    LAN = "lan"
    DIRECT = "direct"
    NETWORK = "network"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Sender:
    """A node of the bed that sends from an address; its frames come to the host from `mac`.

    `first` is whether the address is on the node's first interface.
    """

    node: str
    address: Address
    mac: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class ExposureColumn:
    """A place that packets come from; `name` is of a LAN's uplink or of a network, `versions` of IP it has.

    `senders` are nodes of the bed that can send for it.
    """

    kind: ColumnKind
    name: str
    origin: Origin
    senders: tuple[Sender, ...]
    versions: tuple[int, ...]

    @property
    def key(self) -> str:
        """Return what the column is called where it is named in one word."""
        if self.kind is ColumnKind.NETWORK:
            return self.name
        return f"{self.kind.value} {self.name}" if self.name else self.kind.value

    @property
    def own_first(self) -> bool:
        """Return whether a container's own address is the address that one asks from here."""
        return self.kind in (ColumnKind.DIRECT, ColumnKind.NETWORK)

    @property
    def outside(self) -> bool:
        return self.kind in (ColumnKind.INTERNET, ColumnKind.LAN, ColumnKind.DIRECT)


def columns(topology: Topology, host: DockerHost) -> tuple[ExposureColumn, ...]:
    """Return the columns of a host, those that are farthest first."""
    uplinks = list(_uplinks(topology, host))
    several = len(uplinks) > 1
    found: list[ExposureColumn] = []
    for uplink in uplinks:
        name = uplink.name if several else ""
        if _leads_out(topology, uplink):
            found.append(_internet(topology, uplink, name))
        found += [own for direct in (False, True) if (own := _lan(topology, uplink, name, direct)).senders]
    found.sort(key=lambda column: list(ColumnKind).index(column.kind))
    found += [_network(host, network) for network in host.networks if _members(host, network)]
    others = {network.bridge for network in host.networks} | {uplink.name for uplink in uplinks}
    bridges = [bridge for bridge in topology.node(topology.host).bridges if bridge.name not in others]
    found += [made for bridge in bridges if (made := _bridge(topology, bridge)).senders]
    return (*found, _host(topology))


def _uplinks(topology: Topology, host: DockerHost) -> Iterator[Interface | Bridge]:
    """Yield the host's devices that lead to others: uplinks and tunnels, with addresses."""
    around = host.surroundings
    names = [*(own.name for own in around.uplinks), *(own.name for own in around.tunnels)]
    devices = {device.name: device for device in topology.node(topology.host).devices}
    yield from (devices[name] for name in names if name in devices and devices[name].addresses)


def _leads_out(topology: Topology, uplink: Interface | Bridge) -> bool:
    networks = [own.network for own in uplink.addresses]
    routes = [route for route in topology.node(topology.host).routes if route.destination.prefixlen == 0]
    return any(
        route.device == uplink.name or any(route.via in network for network in networks if route.via is not None)
        for route in routes
    )


def _versions(addresses: Iterator[Address] | list[Address]) -> tuple[int, ...]:
    return tuple(sorted({address.version for address in addresses}))


def _own(topology: Topology) -> list[Prefix]:
    """Return each address of the host as a prefix."""
    return [ip_network(own.ip) for device in topology.node(topology.host).devices for own in device.addresses]


def _handed(topology: Topology, uplink: Interface | Bridge) -> tuple[Prefix, ...]:
    """Return the destinations that others on a LAN give to the host: its addresses, and what routers send to it."""
    own = {own.ip for own in uplink.addresses}
    routed = [
        route.destination
        for node, _ in topology.segment(Port(topology.host, uplink.name))
        for route in node.routes
        if route.via in own
    ]
    return (*(ip_network(address) for address in sorted(own, key=lambda ip: (ip.version, int(ip)))), *routed)


def _lan(topology: Topology, uplink: Interface | Bridge, name: str, direct: bool) -> ExposureColumn:
    networks = [own.network for own in uplink.addresses]
    ends: list[Prefix] = []
    for network in networks:
        if isinstance(network, IPv4Network) and network.prefixlen < 31:
            ends += [ip_network(network.network_address), ip_network(network.broadcast_address)]
    beside = list(topology.segment(Port(topology.host, uplink.name)))
    senders = tuple(
        Sender(node.name, address.ip, device.endpoint_mac)
        for node, device in beside
        if not node.passes_on and node.name != topology.host and isinstance(device, Interface)
        for address in (*device.scripted, *device.addresses)
        if any(address.ip in network for network in networks)
    )
    handed = _handed(topology, uplink)
    kind = ColumnKind.DIRECT if direct else ColumnKind.LAN
    without = (*_own(topology), *ends)
    origin = Origin(kind.value, uplink.name, tuple(networks), without, None if direct else handed)
    if direct:
        origin = Origin(kind.value, uplink.name, tuple(networks), without, None, handed)
    return ExposureColumn(kind, name, origin, senders, _versions([own.ip for own in uplink.addresses]))


def _internet(topology: Topology, uplink: Interface | Bridge, name: str) -> ExposureColumn:
    host = topology.node(topology.host)
    near: list[Prefix] = [own.network for device in host.devices for own in device.addresses]
    near += [own.network for node in _containers(topology) for own in node.addresses]
    others: list[Prefix] = [*near, *_own(topology), *_NOT_UNICAST]
    senders = tuple(
        Sender(node.name, own.ip, _router(topology, uplink))
        for node in topology.nodes
        if node.name != topology.host and not node.passes_on
        for own in node.addresses
        if not any(own.ip in network for network in near)
    )
    origin = Origin("internet", uplink.name, _EVERYWHERE, tuple(others), _handed(topology, uplink))
    versions = _versions([own.ip for own in uplink.addresses])
    return ExposureColumn(ColumnKind.INTERNET, name, origin, senders, versions)


def _router(topology: Topology, uplink: Interface | Bridge) -> str:
    """Return the hardware address of the router on the host's default route."""
    vias = {route.via for route in topology.node(topology.host).routes if route.destination.prefixlen == 0}
    beside = topology.segment(Port(topology.host, uplink.name))
    return next((device.mac for _, device in beside for own in device.addresses if own.ip in vias), uplink.mac)


def _containers(topology: Topology) -> Iterator[Node]:
    """Yield the nodes behind the host's bridges."""
    for bridge in topology.node(topology.host).bridges:
        for node, _ in topology.segment(Port(topology.host, bridge.name)):
            if node.name != topology.host:
                yield node


def _members(host: DockerHost, network: Network) -> list[Sender]:
    """Return the containers of a network with their addresses there, those first whose first network it is."""
    found = [
        Sender(container.name, address, own.mac, first=number == 0)
        for container in host.containers
        for number, own in enumerate(container.attachments)
        if own.network.bridge == network.bridge
        for address in (own.address, own.address6)
        if address is not None
    ]
    return sorted(found, key=lambda sender: not sender.first)


def _network(host: DockerHost, network: Network) -> ExposureColumn:
    senders = tuple(_members(host, network))
    sources = tuple(ip_network(sender.address) for sender in senders)
    origin = Origin(network.name or network.bridge, network.bridge, sources)
    versions = _versions([sender.address for sender in senders])
    return ExposureColumn(ColumnKind.NETWORK, network.name or network.bridge, origin, senders, versions)


def _bridge(topology: Topology, bridge: Bridge) -> ExposureColumn:
    """Return the column of a bridge that is no network of Docker's: of the machines behind it."""
    senders = tuple(
        Sender(node.name, own.ip, device.endpoint_mac)
        for node, device in topology.segment(Port(topology.host, bridge.name))
        if node.name != topology.host and isinstance(device, Interface)
        for own in (*device.scripted, *device.addresses)
    )
    sources = tuple(ip_network(sender.address) for sender in senders)
    versions = _versions([sender.address for sender in senders])
    return ExposureColumn(ColumnKind.NETWORK, bridge.name, Origin(bridge.name, bridge.name, sources), senders, versions)


def _host(topology: Topology) -> ExposureColumn:
    host = topology.node(topology.host)
    own = [own.ip for device in host.devices for own in device.addresses]
    senders = tuple(Sender(topology.host, address, "") for address in own)
    return ExposureColumn(ColumnKind.HOST, "", Origin("host", LOCAL, ()), senders, _versions(own))
