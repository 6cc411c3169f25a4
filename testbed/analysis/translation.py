"""What translations make of packets, and what a connection remembers of them (net/netfilter/nf_nat_core.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueKind
from testbed.analysis.packets import LOCAL, WITH_PORTS, SymbolicPacket, address_bits
from testbed.analysis.routing import LOOPBACK
from testbed.analysis.rules import Manip, To, Translate
from testbed.analysis.vector import PacketSet, Vector
from testbed.topology import Address

MANIP = {
    "PREROUTING": Manip.DESTINATION,
    "OUTPUT": Manip.DESTINATION,
    "INPUT": Manip.SOURCE,
    "POSTROUTING": Manip.SOURCE,
}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@dataclass(frozen=True, slots=True, eq=False)
class AddressPort:
    """An address and a port, or whatever stands in its place."""

    address: Vector
    port: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """What a connection remembers for packets of one direction: the ends that they get, and where it does so."""

    source: AddressPort
    destination: AddressPort
    of_source: PacketSet
    of_destination: PacketSet

    def end(self, manip: Manip) -> tuple[AddressPort, PacketSet]:
        if manip is Manip.SOURCE:
            return self.source, self.of_source
        return self.destination, self.of_destination


def translate(context: Context, manip: Manip, hits: Sequence[tuple[PacketSet, Translate]]) -> None:
    """Bind new connections, each set by what its rule says; the packets have their new ends then."""
    old = end_of(context.packet, manip)
    address = _given_addresses(context, old, hits)
    port = old.port
    for hit, action in hits:
        if not _is_constant(action):
            address = context.space.choose(hit, _address(context, old.address, action), address)
        if action.random:
            port = context.space.choose(hit, _port(context, old.port, action), port)
    port = _given_ports(context, port, hits)
    drawn = context.space.any_of(hit & _drawn(context, old.port, action) for hit, action in hits)
    bind(context, context.space.any_of(hit for hit, _ in hits), manip, AddressPort(address, port), drawn)


def _drawn(context: Context, port: Vector, action: Translate) -> PacketSet:
    """Return the packets whose port or address the kernel draws, which is another one then but for chance."""
    space = context.space
    if action.random or action.low != action.high:
        return space.all
    return (
        ~_kept(context, port, action) if action.ports is not None and action.ports[0] != action.ports[1] else space.none
    )


def _kept(context: Context, port: Vector, action: Translate) -> PacketSet:
    """Return the packets whose port is in the range already, so that it stays (get_unique_tuple, nf_nat_core.c)."""
    assert action.ports is not None
    return context.space.none if action.random else context.space.between(port, *action.ports)


def _is_constant(action: Translate) -> bool:
    return action.to is To.GIVEN and action.low == action.high


def _given_addresses(context: Context, old: AddressPort, hits: Sequence[tuple[PacketSet, Translate]]) -> Vector:
    """The new address where it is one that is given."""
    pieces: dict[int, list[PacketSet]] = {}
    for hit, action in hits:
        if _is_constant(action) and action.low is not None:
            pieces.setdefault(address_bits(action.low), []).append(hit)
    given = context.space.by_value(pieces, len(old.address))
    return context.space.choose(given.covered, given, old.address)


def _given_ports(context: Context, port: Vector, hits: Sequence[tuple[PacketSet, Translate]]) -> Vector:
    """The new port where it is one that is given, of protocols with ports; else one of a range."""
    ported = context.of_protocol(*WITH_PORTS)
    pieces: dict[int, list[PacketSet]] = {}
    for hit, action in hits:
        if action.ports is not None and not action.random:
            if action.ports[0] == action.ports[1]:
                pieces.setdefault(action.ports[0], []).append(hit & ported)
            else:
                port = context.space.choose(hit, _port(context, port, action), port)
    given = context.space.by_value(pieces, len(port))
    return context.space.choose(given.covered, given, port)


def bind(context: Context, hit: PacketSet, manip: Manip, new: AddressPort, drawn: PacketSet) -> None:
    """Give the packets of new connections another end; where it is another, the connection is translated."""
    space, old = context.space, end_of(context.packet, manip)
    kept = space.same(new.address, old.address, hit & ~drawn)
    another = hit & ~(space.same(new.port, old.port, kept) if kept.satisfiable() else kept)
    packet = put(context, hit, manip, new)
    if manip is Manip.SOURCE:
        context.packet = replace(packet, source_translated=packet.source_translated | another)
    else:
        context.packet = replace(packet, destination_translated=packet.destination_translated | another)


def put(context: Context, hit: PacketSet, manip: Manip, new: AddressPort) -> SymbolicPacket:
    """The packets with another end."""
    space, packet = context.space, context.packet
    old = end_of(packet, manip)
    address, port = space.choose(hit, new.address, old.address), space.choose(hit, new.port, old.port)
    if manip is Manip.SOURCE:
        return replace(packet, source=address, first=port)
    return replace(packet, destination=address, second=port)


def end_of(packet: SymbolicPacket, manip: Manip) -> AddressPort:
    if manip is Manip.SOURCE:
        return AddressPort(packet.source, packet.first)
    return AddressPort(packet.destination, packet.second)


def _address(context: Context, old: Vector, action: Translate) -> Vector:
    space = context.space
    if action.to is To.OWN:
        return _own_address(context, old, action)
    if action.network is not None:
        network = action.network
        given = space.constant(address_bits(network.network_address), len(old))
        prefix = network.prefixlen
        return space.vector((*given.bits[:prefix], *old.bits[prefix:]))
    if action.low is None or action.high is None:
        return old
    return _chosen(context, old, action.low, action.high)


def _chosen(context: Context, old: Vector, low: Address, high: Address) -> Vector:
    """Any of several addresses: the kernel chooses by a hash."""
    text = f"address of {low}-{high}"
    space, length = context.space, low.max_prefixlen
    free = context.opaque.ask(text, OpaqueKind.CHOICE, context.reference, context.reaching, width=length)
    inside = space.between(free, int(low), int(high))
    bounded = space.choose(inside, free, space.constant(int(low), length))
    return space.vector((*bounded, *space.constant(0, len(old) - length)))


def _own_address(context: Context, old: Vector, action: Translate) -> Vector:
    """Of the interface that packets leave by, or came in by; of the host's own packets the loopback's."""
    space, packet = context.space, context.packet
    of = packet.left if action.manip is Manip.SOURCE else packet.entered
    found = old
    for number, version, address in _own_addresses(context, action.manip):
        where = space.equal(of, number) & (packet.six if version == 6 else ~packet.six)
        found = space.choose(where, space.constant(address_bits(address), len(old)), found)
    return found


def without_address(context: Context, action: Translate) -> PacketSet:
    """Return the packets at whose interface no address is to translate to: the kernel takes another interface's.

    By the loopback packets keep the host's address that they have (inet_select_addr, net/ipv4/devinet.c).
    """
    space, packet = context.space, context.packet
    if action.to is not To.OWN or action.manip is not Manip.SOURCE:
        return space.none
    families = {4: ~packet.six, 6: packet.six}
    own = _own_addresses(context, action.manip)
    known = [space.equal(packet.left, number) & families[version] for number, version, _ in own]
    looped = space.equal(packet.left, context.interfaces.number(LOOPBACK))
    return ~space.any_of((*known, looped))


def _own_addresses(context: Context, manip: Manip) -> Iterator[tuple[int, int, Address]]:
    for number, name in enumerate(context.interfaces.names):
        for version in (4, 6):
            address = context.routing.primary(name, version)
            if name == LOCAL and manip is Manip.DESTINATION:
                address = ip_address(_LOOPBACK[version])
            if address is not None:
                yield number, version, address


def _port(context: Context, old: Vector, action: Translate) -> Vector:
    """The port that packets of protocols with ports get; chosen by the kernel where there are several."""
    space = context.space
    if action.ports is None:
        return _random(context, old) if action.random else old
    low, high = action.ports
    new = space.constant(low, len(old))
    if low != high or action.random:
        free = context.opaque.ask(
            f"port of {low}-{high}", OpaqueKind.CHOICE, context.reference, context.reaching, width=len(old)
        )
        inside = space.between(free, low, high)
        new = space.choose(_kept(context, old, action), old, space.choose(inside, free, new))
    return space.choose(context.of_protocol(*WITH_PORTS), new, old)


def _random(context: Context, old: Vector) -> Vector:
    free = context.opaque.ask("any port", OpaqueKind.CHOICE, context.reference, context.reaching, width=len(old))
    return context.space.choose(context.of_protocol(*WITH_PORTS), free, old)
