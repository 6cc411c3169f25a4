"""What a host's addresses and routes make of a packet: its own, to be passed on by which interface, or dropped.

As the kernel's: net/ipv4/route.c (ip_route_input_slow), net/ipv4/fib_frontend.c, net/ipv6/route.c. Reverse-path filters
are off in a bed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from testbed.analysis.packets import Interfaces, SymbolicPacket, in_prefix
from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector
from testbed.topology import Address, Bridge, Node, Prefix, Route, Topology

LOOPBACK = "lo"
_FORWARD4, _FORWARD6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
_LOOPBACK4, _LOOPBACK6 = IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")
_ZERO, _LIMITED = IPv4Network("0.0.0.0/8"), IPv4Network("255.255.255.255/32")
_MULTICAST4, _MULTICAST6 = IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8")
_ALL_HOSTS = IPv4Network("224.0.0.1/32")  # the group that every kernel is in
_ALL_NODES = IPv6Address("ff02::1")
_ALL_ROUTERS = (IPv6Address("ff02::2"), IPv6Address("ff05::2"))
_SOLICITED, _LOW = int(IPv6Address("ff02::1:ff00:0")), 0xFFFFFF  # the group of an address by its last 24 bits
_LINK_LOCAL = IPv6Network("fe80::/10")
_POINT_TO_POINT = 31  # a prefix as long has no broadcast address (RFC 3021)


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """Where packets go: to the host itself, out by an interface (`left`), or nowhere."""

    local: PacketSet
    passed_on: PacketSet
    left: Vector


class Routing:
    """The addresses and routes of the host of a topology."""

    def __init__(self, space: Space, topology: Topology, interfaces: Interfaces) -> None:
        self._space = space
        self._interfaces = interfaces
        self._host = topology.node(topology.host)
        self._forwarding = {4: _last(self._host, _FORWARD4, "1"), 6: _last(self._host, _FORWARD6, "0")}
        self._localnet = _sysctl(self._host, "route_localnet")
        self.bridges = tuple(interfaces.number(name) for name in bridges_of(topology))

    def primary(self, name: str, version: int) -> Address | None:
        """The address that packets of the host's own have when they leave by an interface."""
        for device in self._host.devices:
            if device.name == name:
                return next((own.ip for own in device.addresses if own.version == version), None)
        return None

    def within(self, six: PacketSet, vector: Vector, network: Prefix) -> PacketSet:
        """Where an address is in a network."""
        return in_prefix(self._space, six, vector, network.network_address, int(network.netmask))

    def local(self, six: PacketSet, vector: Vector, device: str | None = None) -> PacketSet:
        """Where an address is the host's own, on any device or on one."""
        own = [
            ip_network(address.ip)
            for known in self._host.devices
            if device in (None, known.name)
            for address in known.addresses
        ]
        own += [_LOOPBACK4, _LOOPBACK6] if device in (None, LOOPBACK) else []
        return self._space.any_of(self.within(six, vector, network) for network in own)

    def multicast(self, six: PacketSet, vector: Vector) -> PacketSet:
        return self.within(six, vector, _MULTICAST4) | self.within(six, vector, _MULTICAST6)

    def broadcast(self, six: PacketSet, vector: Vector) -> PacketSet:
        """Where an address is one of IPv4's broadcast addresses, as fib calls these."""
        return self._space.any_of(self.within(six, vector, network) for network in (_ZERO, *self._broadcasts()))

    def incoming(self, packet: SymbolicPacket) -> Routed:
        """Where packets go that came by an interface."""
        space, six, to = self._space, packet.six, packet.destination
        legal = self._source_accepted(packet)
        own = self.local(six, to) & ~self._foreign_loopback(packet, to)
        broadcasts = space.any_of(self.within(six, to, network) for network in self._broadcasts())
        joined = self.within(six, to, _ALL_HOSTS) | self._joined(packet)
        local = legal & (own | broadcasts | joined)
        left, routed = self._table(packet)
        special = self.multicast(six, to) | self.broadcast(six, to) | self.local(six, to)
        unspecified = self.within(six, to, IPv6Network("::/128"))
        linked = self.within(six, to, _LINK_LOCAL) | self.within(six, packet.source, _LINK_LOCAL)
        forwarding = self._space.none
        for version, family in ((4, ~six), (6, six)):
            forwarding = forwarding | (family if self._forwarding[version] == "1" else self._space.none)
        return Routed(local, legal & forwarding & routed & ~special & ~unspecified & ~linked, left)

    def outgoing(self, packet: SymbolicPacket) -> Routed:
        """Where the host's own packets go; those to itself leave by its loopback."""
        space, six, to = self._space, packet.six, packet.destination
        local = self.local(six, to)
        left, routed = self._table(packet)
        loopback = space.constant(self._interfaces.number(LOOPBACK), self._interfaces.width)
        nowhere = self.broadcast(six, to) | self.multicast(six, to)
        return Routed(local, (routed | local) & ~nowhere, space.choose(local, loopback, left))

    def returning(self, packet: SymbolicPacket) -> Vector:
        """The interface by which a packet's source is reached; 0 where there is none."""
        space = self._space
        back, routed = self._lookup(packet.six, packet.source)
        none = space.constant(0, self._interfaces.width)
        return space.choose(routed & ~self.local(packet.six, packet.source), back, none)

    def _joined(self, packet: SymbolicPacket) -> PacketSet:
        """Where an address is a group of IPv6 that the kernel is in: all nodes, all routers, those of own addresses."""
        space, six, to = self._space, packet.six, packet.destination
        groups = [_ALL_NODES, *(_ALL_ROUTERS if self._forwarding[6] == "1" else ())]
        found = [self.within(six, to, IPv6Network(group)) for group in groups]
        for device in self._host.devices:
            own = [address.ip for address in device.addresses if address.version == 6]
            low = {int(address) & _LOW for address in own} | ({0} if own else set())  # 0: the routers' own address
            solicited = (IPv6Network(_SOLICITED + number) for number in low)
            there = space.any_of(self.within(six, to, network) for network in solicited)
            if device.name in self._interfaces.names:
                found.append(there & space.equal(packet.entered, self._interfaces.number(device.name)))
        return space.any_of(found)

    def _source_accepted(self, packet: SymbolicPacket) -> PacketSet:
        """Where the kernel takes a packet with that source from outside."""
        six, source = packet.six, packet.source
        own = self.local(six, source)
        broadcast = self._space.any_of(self.within(six, source, network) for network in self._broadcasts())
        strange = self.multicast(six, source) | broadcast | self.within(six, source, _ZERO)
        loopback = space_of_loopback(self, six, source)
        by_loopback = self._space.equal(packet.entered, self._interfaces.number(LOOPBACK))
        return (~own & ~strange & ~loopback) | by_loopback

    def _foreign_loopback(self, packet: SymbolicPacket, vector: Vector) -> PacketSet:
        """Where an address is the loopback's and the interface is one that may not ask for it."""
        allowed = self._space.any_of(
            self._space.equal(packet.entered, self._interfaces.number(name)) & ~packet.six
            for name in self._localnet
            if name in self._interfaces.names
        )
        allowed = allowed | self._space.equal(packet.entered, self._interfaces.number(LOOPBACK))
        return space_of_loopback(self, packet.six, vector) & ~allowed

    def _table(self, packet: SymbolicPacket) -> tuple[Vector, PacketSet]:
        return self._lookup(packet.six, packet.destination)

    def _lookup(self, six: PacketSet, vector: Vector) -> tuple[Vector, PacketSet]:
        """The interface of the longest prefix that an address is in, and where there is one."""
        space = self._space
        left, routed = space.constant(0, self._interfaces.width), space.none
        for network, name in sorted(self._routes(), key=lambda route: route[0].prefixlen):
            inside = self.within(six, vector, network)
            if name is None:
                routed = routed & ~inside
                continue
            number = space.constant(self._interfaces.number(name), self._interfaces.width)
            left, routed = space.choose(inside, number, left), routed | inside
        return left, routed

    def _routes(self) -> Iterator[tuple[Prefix, str | None]]:
        """Every route with its device; None: a blackhole."""
        for device in self._host.devices:
            for address in device.addresses:
                yield address.network, device.name
        for route in self._host.routes:
            if route.blackhole:
                yield route.destination, None
            elif (name := self._device_of(route)) is not None:
                yield route.destination, name

    def _device_of(self, route: Route) -> str | None:
        gateway = route.via
        if route.device:
            return route.device if route.device in self._interfaces.names else None
        for device in self._host.devices:
            if any(gateway in address.network for address in device.addresses if gateway is not None):
                return device.name
        return None

    def _broadcasts(self) -> Iterator[Prefix]:
        yield _LIMITED
        for device in self._host.devices:
            for address in device.addresses:
                network = address.network
                if isinstance(network, IPv4Network) and network.prefixlen < _POINT_TO_POINT:
                    yield IPv4Network(network.broadcast_address)


def space_of_loopback(routing: Routing, six: PacketSet, vector: Vector) -> PacketSet:
    """Where an address is the loopback's."""
    return routing.within(six, vector, _LOOPBACK4) | routing.within(six, vector, _LOOPBACK6)


def interfaces_of(topology: Topology) -> Interfaces:
    """The interfaces of the host that rules can see: its bridges, and what is no port of one."""
    host = topology.node(topology.host)
    ports = {interface.name for interface in host.interfaces if interface.master is not None}
    return Interfaces([LOOPBACK, *(device.name for device in host.devices if device.name not in ports)])


def bridges_of(topology: Topology) -> list[str]:
    """The bridges of the host with ports, which pass packets on between these."""
    host = topology.node(topology.host)
    masters = {interface.master for interface in host.interfaces}
    return [device.name for device in host.devices if isinstance(device, Bridge) and device.name in masters]


def _last(host: Node, key: str, default: str) -> str:
    """Return the value that a sysctl has in the end."""
    return next((value for name, value in reversed((*host.sysctls, *host.late_sysctls)) if name == key), default)


def _sysctl(host: Node, key: str) -> list[str]:
    """The interfaces for which a switch of IPv4 is on."""
    found = []
    for name, value in (*host.sysctls, *host.late_sysctls):
        words = name.split(".")
        if words[:3] == ["net", "ipv4", "conf"] and words[-1] == key and value == "1":
            found.append(".".join(words[3:-1]))
    return [device.name for device in host.devices] if "all" in found else found
