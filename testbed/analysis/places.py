"""Where packets come from and where they go: values that a question about reachability is made of, and their sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.analysis.packets import LOCAL, WITH_PORTS, SymbolicPacket
from testbed.analysis.path import Outcome
from testbed.analysis.vector import PacketSet, Vector
from testbed.analysis.world import World
from testbed.topology import Port, Prefix

Spans = tuple[tuple[int, int], ...]
ALL_PORTS: Spans = ((0, 0xFFFF),)


@dataclass(frozen=True, slots=True)
class Origin:
    """A sender of first packets: from these prefixes, by this interface of the host; '' is the host itself.

    `without` are prefixes within `sources` that others own. `towards` are the destinations whose packets are given to
    the host, None: any, as a neighbour sends them that uses the host as its gateway; `beyond` are those left out.
    """

    name: str
    entered: str
    sources: tuple[Prefix, ...]
    without: tuple[Prefix, ...] = ()
    towards: tuple[Prefix, ...] | None = None
    beyond: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Location:
    """Addresses with ports of some protocols; `device` is the interface behind which they are, '' the host itself.

    `device` None: wherever they are. Protocols without ports have none to compare.
    """

    addresses: tuple[Prefix, ...]
    protocols: tuple[int, ...]
    ports: Spans = ALL_PORTS
    device: str | None = None


@dataclass(frozen=True, slots=True)
class ReachTarget:
    """What is to be reached: a packet sent to one of `ways` that ends at one of `ends`."""

    name: str
    ways: tuple[Location, ...]
    ends: tuple[Location, ...]


def within(world: World, six: PacketSet, vector: Vector, prefixes: Iterable[Prefix]) -> PacketSet:
    """Return where an address is in one of these prefixes."""
    return world.space.any_of(world.routing.within(six, vector, prefix) for prefix in prefixes)


def on_bridge(world: World, name: str, six: PacketSet, vector: Vector) -> PacketSet:
    """Return where an address is on a bridge's network and not the host's: its packets go from port to port."""
    beside = world.topology.segment(Port(world.topology.host, name))
    networks = {own.network for _, end in beside for own in (*end.addresses, *getattr(end, "scripted", ()))}
    return within(world, six, vector, networks) & ~world.routing.local(six, vector)


def coming(world: World, origin: Origin) -> PacketSet:
    """Return the packets of an origin, as they come to the host."""
    space, packet = world.space, world.packet
    entered = space.equal(packet.entered, world.interfaces.number(origin.entered))
    if origin.entered == LOCAL:
        return entered & _as_the_kernel_sends(world)
    found = entered & within(world, packet.six, packet.source, origin.sources)
    found = found & ~within(world, packet.six, packet.source, origin.without)
    if origin.towards is not None:
        found = found & within(world, packet.six, packet.destination, origin.towards)
    found = found & ~within(world, packet.six, packet.destination, origin.beyond)
    near = space.none
    if origin.entered in world.bridges:
        near = on_bridge(world, origin.entered, packet.six, packet.destination)
    return found & packet.bridged.equiv(near)


def _as_the_kernel_sends(world: World) -> PacketSet:
    """Return the host's packets with the source that its kernel chooses: the route's, or the destination itself."""
    space, packet = world.space, world.packet
    routed = world.routing.outgoing(packet)
    own = world.routing.local(packet.six, packet.destination)
    found = _to_itself(world)
    for number, name in enumerate(world.interfaces.names):
        for version in (4, 6):
            address = world.routing.primary(name, version) if name else None
            if address is not None:
                by_it = space.equal(routed.left, number) & ~own
                found = found | by_it & within(world, packet.six, packet.source, [ip_network(address)])
    return found & ~packet.bridged


def _to_itself(world: World) -> PacketSet:
    """Return the host's packets to an address of its own, from that address; to 127.0.0.0/8 from 127.0.0.1."""
    host, packet = world.topology.node(world.topology.host), world.packet
    pairs = [(ip_network(own.ip), ip_network(own.ip)) for device in host.devices for own in device.addresses]
    pairs += [(ip_network("127.0.0.1"), ip_network("127.0.0.0/8")), (ip_network("::1"), ip_network("::1"))]
    return world.space.any_of(
        within(world, packet.six, packet.source, [source]) & within(world, packet.six, packet.destination, [to])
        for source, to in pairs
    )


def sent_to(world: World, place: Location) -> PacketSet:
    """Return the packets that are first sent to a place."""
    return _at(world, world.packet, place)


def ending_at(world: World, outcome: Outcome, place: Location) -> PacketSet:
    """Return the packets that pass and end at a place, as they are then."""
    found = _at(world, outcome.packet, place)
    if place.device is None:
        return found & outcome.passed
    if place.device == LOCAL:
        return found & outcome.delivered
    left = world.space.equal(outcome.packet.left, world.interfaces.number(place.device))
    return found & outcome.forwarded & left


def _at(world: World, packet: SymbolicPacket, place: Location) -> PacketSet:
    space = world.space
    ports = space.any_of(space.between(packet.second, *span) for span in place.ports)
    of_protocol = space.none
    for number in place.protocols:
        own = space.equal(packet.protocol, number)
        of_protocol = of_protocol | (own & ports if number in WITH_PORTS else own)
    return of_protocol & within(world, packet.six, packet.destination, place.addresses)
