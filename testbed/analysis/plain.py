"""The plainest packet of a region: well-known values first, then the smallest numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from testbed.analysis.connections import Followed, FreshVariables
from testbed.analysis.packets import (
    FLAGS,
    ICMP,
    ICMPV6,
    LOCAL,
    SCTP,
    TCP,
    UDP,
    WITH_PORTS,
    SymbolicPacket,
    address_bits,
)
from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector
from testbed.analysis.world import PacketKind, World
from testbed.topology import Address, AddressWithPrefix, Port

_LETTERS = dict(zip(FLAGS, "CEUAPRSF", strict=True))
_PROTOCOLS = (TCP, UDP, ICMP, ICMPV6, SCTP, 47, 50)
_PORTS = (80, 443, 22, 53, 25, 5432, 3306, 8080)
_CLIENTS = (40000, 40001, 49152, 1024)
_MESSAGES = (0x0800, 0x8000, 0x0000, 0x0303, 0x0104)  # echo requests, an echo reply, errors
_FLAGS = {PacketKind.LATER: (0x10, 0x18), PacketKind.REPLY: (0x12, 0x10)}
_BEGIN = (0x02, 0x10)
_LENGTHS = (60, 64, 40, 28, 80)
_TTLS = (64, 63, 128, 255)


@dataclass(frozen=True, slots=True)
class PlainHeader:
    """A packet: `entered` is the interface by which it comes, '' is the host itself; `flags` has a letter for each."""

    entered: str
    source: Address
    destination: Address
    protocol: int
    first: int
    second: int
    flags: str
    length: int
    ttl: int
    tos: int
    mac: int
    fragment: bool = False
    damaged: bool = False
    bridged: bool = False

    @property
    def ports(self) -> tuple[int, int] | None:
        return (self.first, self.second) if self.protocol in WITH_PORTS and not self.fragment else None

    @property
    def message(self) -> tuple[int, int] | None:
        """Type and code of an ICMP message."""
        return (self.first >> 8, self.first & 0xFF) if self.protocol in (ICMP, ICMPV6) else None


@dataclass(frozen=True, slots=True)
class PlainPacket:
    """A packet of a region: the first of its connection, and the one that differs where that is another.

    `origin` is the end that sends the first one; None: nothing in the topology is behind that interface.
    """

    kind: PacketKind
    origin: Port | None
    first: PlainHeader
    later: PlainHeader | None = None


class Choice:
    """A set of packets that becomes smaller with every value that is chosen, and never empty."""

    def __init__(self, space: Space, packets: PacketSet) -> None:
        self._space = space
        self.packets = packets

    def prefer(self, vector: Vector, wanted: Sequence[int] = ()) -> None:
        """Choose the first of these values that is possible, else the smallest number."""
        for value in wanted:
            if self.narrow(self._space.equal(vector, value)):
                return
        for bit in vector:
            if not self.narrow(~bit):
                self.narrow(bit)

    def narrow(self, wanted: PacketSet) -> bool:
        """Keep the packets that are in another set too, if there are any; return whether there are."""
        smaller = self.packets & wanted
        if not smaller.satisfiable():
            return False
        self.packets = smaller
        return True


def plainest(
    world: World, region: PacketSet, kind: PacketKind, fresh: FreshVariables, later: Followed | None
) -> PlainPacket:
    """The plainest packet of a set that is not empty; `later` is the packet behind the first one that it is about."""
    choice, first = Choice(world.space, region), world.packet
    _choose_first(world, choice, first)
    if later is not None:
        _choose_later(world, choice, later, fresh)
    for variable in world.opaque.variables:
        choice.prefer(world.space.vector((variable,)))
    header = _header(world, choice.packets, first, world.damaged)
    following = None if later is None else _header(world, choice.packets, later.packet, world.space.none)
    return PlainPacket(kind, _origin(world, header), header, following)


def plain_first(world: World, region: PacketSet) -> tuple[PlainHeader, PacketSet]:
    """Return the plainest first packet of a set that is not empty, as a header and as a set of one packet."""
    choice = Choice(world.space, region)
    _choose_first(world, choice, world.packet)
    for variable in world.opaque.variables:
        choice.prefer(world.space.vector((variable,)))
    return _header(world, choice.packets, world.packet, world.damaged), choice.packets


def _choose_first(world: World, choice: Choice, packet: SymbolicPacket) -> None:
    space = world.space
    for bit in (packet.six, world.damaged, packet.fragment, packet.bridged):
        choice.prefer(space.vector((bit,)))
    ports = [number for number, name in enumerate(world.interfaces.names) if name not in (LOCAL, *world.bridges)]
    bridges = [world.interfaces.number(name) for name in world.bridges]
    choice.prefer(packet.entered, (*ports, *bridges))
    choice.prefer(packet.protocol, _PROTOCOLS)
    choice.prefer(packet.source, _sources(world, choice, packet))
    source = space.value(packet.source, choice.packets)
    others = (address_bits(address) for address in (*_known(world), *_neighbours(world)))
    choice.prefer(packet.destination, [address for address in others if address != source])
    choice.prefer(packet.second, _PORTS)
    choice.prefer(packet.first, (*_MESSAGES, *_CLIENTS) if _is_message(world, choice, packet) else _CLIENTS)
    choice.prefer(packet.flags, _BEGIN)
    _choose_sizes(choice, packet.length, packet.ttl, packet.tos)
    choice.prefer(packet.mac, _macs(world))


def _choose_later(world: World, choice: Choice, later: Followed, fresh: FreshVariables) -> None:
    space = world.space
    choice.prefer(fresh.bridged)
    expected = space.value(later.entered, choice.packets)
    choice.prefer(fresh.entered, (expected, *range(1, len(world.interfaces.names))))
    known = [address_bits(address) for address in _known(world)]
    choice.prefer(fresh.source, (space.value(later.sender, choice.packets), *known))
    choice.prefer(fresh.first, (0x0303, 0x0304, 0x0104))
    choice.prefer(fresh.second)
    choice.prefer(fresh.flags, _FLAGS.get(later.kind, ()))
    choice.prefer(fresh.assured)
    _choose_sizes(choice, fresh.length, fresh.ttl, fresh.tos)
    choice.prefer(fresh.mac, _macs(world))


def _choose_sizes(choice: Choice, length: Vector, ttl: Vector, tos: Vector) -> None:
    choice.prefer(length, _LENGTHS)
    choice.prefer(ttl, _TTLS)
    choice.prefer(tos)


def _is_message(world: World, choice: Choice, packet: SymbolicPacket) -> bool:
    return world.space.value(packet.protocol, choice.packets) in (ICMP, ICMPV6)


def _known(world: World) -> list[Address]:
    """The addresses of the topology: the host's own first, then those behind its bridges."""
    host = world.topology.node(world.topology.host)
    bridged = {port.node for name in world.bridges for port, _ in _behind(world, name)}
    nodes = sorted(world.topology.nodes, key=lambda node: (node is not host, node.name not in bridged))
    return [address.ip for node in nodes for address in node.addresses]


def _neighbours(world: World) -> Iterator[Address]:
    """An address of each network of the host that no end has."""
    known = set(_known(world))
    for device in world.topology.node(world.topology.host).devices:
        for own in device.addresses:
            near = (own.network.network_address + place for place in range(1, 64))
            yield from (address for address in near if address in own.network and address not in known)


def _sources(world: World, choice: Choice, packet: SymbolicPacket) -> list[int]:
    """The addresses of the ends behind the interface that is chosen, then those of others."""
    name = world.interfaces.names[world.space.value(packet.entered, choice.packets)]
    near = [address.ip for _, address in _behind(world, name)]
    return [address_bits(address) for address in (*near, *reversed(_known(world)))]


def _behind(world: World, name: str) -> list[tuple[Port, AddressWithPrefix]]:
    """The scripted ends of a segment, with their addresses."""
    host = world.topology.host
    if name == LOCAL:
        return []
    return [
        (Port(node.name, device.name), address)
        for node, device in world.topology.segment(Port(host, name))
        for address in (*getattr(device, "scripted", ()), *device.addresses)
        if node.name != host
    ]


def _origin(world: World, header: PlainHeader) -> Port | None:
    """Who sends a packet: the end that has its address, else the first behind the interface that it comes by."""
    if header.entered == LOCAL:
        return Port(world.topology.host, LOCAL)
    owners = [
        Port(node.name, interface.name)
        for node in world.topology.nodes
        for interface in node.interfaces
        if node.name != world.topology.host
        and any(own.ip == header.source for own in (*interface.scripted, *interface.addresses))
    ]
    return next(iter([*owners, *(port for port, _ in _behind(world, header.entered))]), None)


def _macs(world: World) -> list[int]:
    host = world.topology.host
    ends = [interface for node in world.topology.nodes if node.name != host for interface in node.interfaces]
    return [int(interface.endpoint_mac.replace(":", ""), 16) for interface in ends]


def _header(world: World, packet: PacketSet, fields: SymbolicPacket, damaged: PacketSet) -> PlainHeader:
    space = world.space
    values = {
        name: space.value(getattr(fields, name), packet)
        for name in ("source", "destination", "protocol", "first", "second", "flags", "length", "ttl", "tos", "mac")
    }
    six = (packet & fields.six).satisfiable()
    letters = "".join(_LETTERS[name] for place, name in enumerate(FLAGS) if values["flags"] >> (7 - place) & 1)
    source, destination = (_as_address(values[name], six) for name in ("source", "destination"))
    return PlainHeader(
        world.interfaces.names[space.value(fields.entered, packet)],
        source,
        destination,
        values["protocol"],
        values["first"],
        values["second"],
        letters,
        values["length"],
        values["ttl"],
        values["tos"],
        values["mac"],
        (packet & fields.fragment).satisfiable(),
        (packet & damaged).satisfiable(),
        (packet & fields.bridged).satisfiable(),
    )


def _as_address(bits: int, six: bool) -> Address:
    return IPv6Address(bits) if six else IPv4Address(bits >> 96)
