"""The plainest packet of a region: well-known values first, then the smallest numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from testbed.analysis.connections import Followed, FreshVariables
from testbed.analysis.fates import End, Fate
from testbed.analysis.opaque import OpaqueKind
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
from testbed.analysis.path import Outcome
from testbed.analysis.routing import LOOPBACK
from testbed.analysis.space import Space
from testbed.analysis.tracking import ERRORS, ERRORS6, begins
from testbed.analysis.vector import PacketSet, Vector
from testbed.analysis.world import PacketKind, World
from testbed.rules.reference import RuleReference
from testbed.topology import Address, AddressWithPrefix, Interface, Port

_LETTERS = dict(zip(FLAGS, "CEUAPRSF", strict=True))
_PROTOCOLS = (TCP, UDP, ICMP, ICMPV6, SCTP, 47, 50)
_PORTS = (80, 443, 22, 53, 25, 5432, 3306, 8080)
_CLIENTS = (40000, 40001, 49152, 1024)
_MESSAGES = (0x0800, 0x8000, 0x0000, 0x0303, 0x0104)  # echo requests, an echo reply, errors
_FLAGS = {PacketKind.REPEATED: (0x02, 0x10), PacketKind.LATER: (0x10, 0x18), PacketKind.REPLY: (0x12, 0x10)}
_BEGIN = (0x02, 0x10)
_LENGTHS = (60, 64, 40, 28, 80)
_QUOTING = 100  # bytes of an ICMP error, so that it has room for headers of IPv6
_TTLS = (64, 63, 128, 255)
_CARRIED = 1500  # bytes that the links of a bed carry


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


@dataclass(frozen=True, slots=True)
class ExpectedEnd:
    """What a rule set does to a witness: by which rule it ends, or how it leaves.

    `rule` is None if no rule decided. `header` is that of a packet that passed, None for another one; `left` is its
    interface, '' for local input. `drawn`: the kernel chooses an address or a port of it.
    """

    end: End
    answer: str
    rule: RuleReference | None
    left: str = ""
    header: PlainHeader | None = None
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class RegionWitness:
    """The plainest packet of a region, what both rule sets do to it, and whether connection tracking knows it."""

    packet: PlainPacket
    expected: tuple[ExpectedEnd, ExpectedEnd]


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


def witness(
    world: World,
    region: PacketSet,
    kind: PacketKind,
    fresh: FreshVariables,
    later: Followed | None,
    sides: Sequence[tuple[Outcome, Sequence[Fate]]],
) -> RegionWitness:
    """Return the plainest packet of a region, with what both sides do to it."""
    choice = Choice(world.space, region)
    _choose(world, choice, fresh, later)
    _choose_senders(world, choice, later, [outcome for outcome, _ in sides])
    packet, chosen = _named(world, choice, kind, later), choice.packets
    old, new = (expected(world, outcome, found, chosen) for outcome, found in sides)
    return RegionWitness(packet, (old, new))


def expected(world: World, outcome: Outcome, found: Sequence[Fate], packet: PacketSet) -> ExpectedEnd:
    """Return what a rule set does to one packet, given as a set that decides every bit of it."""
    fate = next(fate for fate in found if (fate.packets & packet).satisfiable())
    if fate.end is not End.PASSED:
        return ExpectedEnd(fate.end, fate.answer, fate.reference)
    delivered = (outcome.delivered & packet).satisfiable()
    left = "" if delivered else world.interfaces.names[world.space.value(outcome.packet.left, packet)]
    header = _header(world, packet, outcome.packet, world.space.none)
    drawn = any(
        clause.kind is OpaqueKind.CHOICE for clause, asked in outcome.evaluations if (asked & packet).satisfiable()
    )
    return ExpectedEnd(fate.end, "", fate.reference, left, header, drawn)


def plainest(
    world: World, region: PacketSet, kind: PacketKind, fresh: FreshVariables, later: Followed | None
) -> PlainPacket:
    """Return the plainest packet of a set that is not empty; `later` follows the first packet."""
    choice = Choice(world.space, region)
    _choose(world, choice, fresh, later)
    _choose_senders(world, choice, later, [])
    return _named(world, choice, kind, later)


def _choose(world: World, choice: Choice, fresh: FreshVariables, later: Followed | None) -> None:
    """Choose all values of a packet but hardware addresses; `later` follows the first packet of its connection."""
    _choose_first(world, choice, world.packet)
    if later is not None:
        _choose_later(world, choice, later, fresh)
    for variable in world.opaque.variables:
        choice.prefer(world.space.vector((variable,)))


def _choose_senders(world: World, choice: Choice, later: Followed | None, outcomes: Sequence[Outcome]) -> None:
    """Choose hardware addresses: of a node that does not receive the packet itself, as a bridge sends none back."""
    space = world.space
    receiving = {space.value(outcome.packet.destination, choice.packets) for outcome in outcomes}
    packet = world.packet if later is None else later.packet
    for one, ends in ((world.packet, receiving), (packet, receiving)):
        entered, source = space.value(one.entered, choice.packets), space.value(one.source, choice.packets)
        choice.prefer(one.mac, _macs(world, entered, source, ends))


def _named(world: World, choice: Choice, kind: PacketKind, later: Followed | None) -> PlainPacket:
    """Return the packet whose values are all chosen."""
    header = _header(world, choice.packets, world.packet, world.damaged)
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
    for wanted in (begins(space, packet), space.equal(packet.ttl, _TTLS[0]), space.at_most(packet.length, _CARRIED)):
        choice.narrow(wanted)
    ports = [number for number, name in enumerate(world.interfaces.names) if name not in (LOCAL, *world.bridges)]
    bridges = [world.interfaces.number(name) for name in world.bridges]
    choice.prefer(packet.entered, (*ports, *bridges))
    choice.prefer(packet.protocol, _PROTOCOLS)
    choice.prefer(packet.source, _sources(world, choice, packet))
    source, version = space.value(packet.source, choice.packets), _version(choice, packet)
    others = [address for address in (*_known(world), *_neighbours(world)) if address.version == version]
    choice.prefer(packet.destination, [bits for bits in map(address_bits, others) if bits != source])
    choice.prefer(packet.second, _PORTS)
    choice.prefer(packet.first, (*_MESSAGES, *_CLIENTS) if _is_message(world, choice, packet) else _CLIENTS)
    choice.prefer(packet.flags, _BEGIN)
    if _is_message(world, choice, packet) and space.value(packet.first[:8], choice.packets) in (*ERRORS, *ERRORS6):
        choice.prefer(packet.length, (_QUOTING,))
    _choose_sizes(choice, packet.length, packet.ttl, packet.tos)


def _version(choice: Choice, packet: SymbolicPacket) -> int:
    return 6 if (choice.packets & packet.six).satisfiable() else 4


def _choose_later(world: World, choice: Choice, later: Followed, fresh: FreshVariables) -> None:
    space = world.space
    choice.prefer(fresh.bridged)
    expected = space.value(later.entered, choice.packets)
    choice.prefer(fresh.entered, (expected, *range(1, len(world.interfaces.names))))
    version = _version(choice, world.packet)
    known = [address_bits(address) for address in _known(world) if address.version == version]
    choice.prefer(fresh.source, (space.value(later.sender, choice.packets), *known))
    choice.prefer(fresh.first, (0x0303, 0x0304, 0x0104))
    choice.prefer(fresh.second)
    choice.prefer(fresh.flags, _FLAGS.get(later.kind, ()))
    choice.prefer(fresh.assured, (int(_is_assured(world, choice, later.kind, fresh)),))
    if later.kind in (PacketKind.ERROR, PacketKind.REPLY_ERROR):
        choice.prefer(fresh.length, (_QUOTING,))
    _choose_sizes(choice, fresh.length, fresh.ttl, fresh.tos)


def _is_assured(world: World, choice: Choice, kind: PacketKind, fresh: FreshVariables) -> bool:
    """Whether a packet is sent over a connection whose handshake is complete (confirmation.py sends it so)."""
    is_tcp = world.space.value(world.packet.protocol, choice.packets) == TCP
    answers = world.space.value(fresh.flags, choice.packets) == _FLAGS[PacketKind.REPLY][0]
    return is_tcp and (kind is PacketKind.LATER or (kind is PacketKind.REPLY and not answers))


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
    version = _version(choice, packet)
    return [address_bits(address) for address in (*near, *reversed(_known(world))) if address.version == version]


def _behind(world: World, name: str) -> list[tuple[Port, AddressWithPrefix]]:
    """The scripted ends of a segment, with their addresses."""
    host = world.topology.host
    if name in (LOCAL, LOOPBACK):
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


def _macs(world: World, entered: int, source: int, receiving: Collection[int]) -> list[int]:
    """Return the hardware addresses of all ends.

    Those behind an interface come first, of these the sender's before others', and receivers' last.
    """
    host, name = world.topology.host, world.interfaces.names[entered]
    near = {port for port, _ in _behind(world, name)}
    ends = [
        ((Port(node.name, own.name) not in near, bool(_bits(own) & {*receiving}), source not in _bits(own)), own)
        for node in world.topology.nodes
        for own in node.interfaces
        if node.name != host and own.master is None
    ]
    return [int(own.endpoint_mac.replace(":", ""), 16) for _, own in sorted(ends, key=lambda end: end[0])]


def _bits(interface: Interface) -> set[int]:
    return {address_bits(own.ip) for own in (*interface.scripted, *interface.addresses)}


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
