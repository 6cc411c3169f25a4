"""The packets of a connection behind its first one, which both rule sets have let pass and translated alike.

Each has the addresses and ports of the first one and variables of its own for what is new with every packet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.analysis.packets import (
    ICMP,
    ICMPV6,
    LOCAL,
    STATE_BITS,
    WITH_PORTS,
    State,
    SymbolicPacket,
    possible,
)
from testbed.analysis.path import Outcome, Tracked
from testbed.analysis.routing import LOOPBACK
from testbed.analysis.space import Space
from testbed.analysis.tracking import ANSWERS, ERRORS, ERRORS6, valid_flags
from testbed.analysis.translation import AddressPort, Binding
from testbed.analysis.vector import PacketSet, Vector
from testbed.analysis.world import PacketKind, World


@dataclass(frozen=True, slots=True, eq=False)
class FreshVariables:
    """What a later packet has of its own."""

    entered: Vector
    bridged: Vector
    assured: Vector
    flags: Vector
    second: Vector
    first: Vector
    source: Vector
    length: Vector
    ttl: Vector
    tos: Vector
    mac: Vector

    @classmethod
    def make(cls, space: Space, width: int) -> FreshVariables:
        return cls(*(space.variables(size) for size in (width, 1, 1, 8, 16, 16, 128, 16, 8, 8, 48)))

    @property
    def all(self) -> tuple[PacketSet, ...]:
        vectors = (self.entered, self.bridged, self.assured, self.flags, self.second, self.first, self.source)
        return tuple(bit for vector in (*vectors, self.length, self.ttl, self.tos, self.mac) for bit in vector)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A packet of a connection as it comes, how it is tracked, and which of these can come.

    `entered` is the interface that it is expected by, `sender` the address that an error is expected from.
    """

    kind: PacketKind
    packet: SymbolicPacket
    tracked: Tracked
    possible: PacketSet
    entered: Vector
    sender: Vector


class Connections:
    """The connections whose first packets had this outcome."""

    def __init__(self, world: World, first: Outcome, fresh: FreshVariables) -> None:
        self._world = world
        self._first = first
        self._fresh = fresh
        self._space = world.space

    def packet(self, kind: PacketKind) -> Followed:
        """All packets of a kind."""
        if kind is PacketKind.REPLY:
            packet = self._reply()
        elif kind in (PacketKind.LATER, PacketKind.REPEATED):
            packet = self._later(answered=kind is PacketKind.LATER)
        else:
            packet = self._error(backward=kind is PacketKind.ERROR)
        related = kind in (PacketKind.ERROR, PacketKind.REPLY_ERROR)
        state = State.RELATED if related else State.NEW if kind is PacketKind.REPEATED else State.ESTABLISHED
        backward = kind in (PacketKind.REPLY, PacketKind.ERROR)
        tracked = Tracked(self._space.constant(state, STATE_BITS), self._bound(backward))
        first, last = self._world.packet, self._first.packet
        entered, sender = (last.left, last.destination) if backward else (first.entered, first.source)
        return Followed(kind, packet, tracked, self._can_be(packet, related), entered, sender)

    def _can_be(self, packet: SymbolicPacket, related: bool) -> PacketSet:
        world, space = self._world, self._space
        own = space.equal(packet.entered, world.interfaces.number(LOCAL))
        looped = space.equal(packet.entered, world.interfaces.number(LOOPBACK))
        return space.all_of(
            (
                possible(space, packet, world.interfaces, world.bridges),
                valid_flags(space, packet),
                ~looped,
                ~own | self._is_own(packet),
                self._is_error(packet) if related else space.all,
            )
        )

    def _is_own(self, packet: SymbolicPacket) -> PacketSet:
        """A packet of the host itself has an address of it."""
        return self._world.routing.local(packet.six, packet.source) & ~packet.bridged

    def _is_error(self, packet: SymbolicPacket) -> PacketSet:
        space, kind = self._space, packet.first[:8]
        four = space.any_of(space.equal(kind, number) for number in ERRORS)
        six = space.any_of(space.equal(kind, number) for number in ERRORS6)
        return ~packet.six & four | packet.six & six

    def _bound(self, backward: bool) -> Binding:
        first, last = self._world.packet, self._first.packet
        of_source, of_destination = last.source_translated, last.destination_translated
        if backward:
            source, destination = AddressPort(first.destination, first.second), AddressPort(first.source, first.first)
            return Binding(source, destination, of_destination, of_source)
        source, destination = AddressPort(last.source, last.first), AddressPort(last.destination, last.second)
        return Binding(source, destination, of_source, of_destination)

    def _common(self, reply: PacketSet) -> SymbolicPacket:
        fresh, last = self._fresh, self._first.packet
        return replace(
            self._world.packet,
            entered=self._entered(reply),
            bridged=fresh.bridged[0],
            flags=fresh.flags,
            length=fresh.length,
            ttl=fresh.ttl,
            tos=fresh.tos,
            mac=fresh.mac,
            fragment=self._space.none,
            connection_mark=last.connection_mark,
            reply=reply,
            source_translated=last.source_translated,
            destination_translated=last.destination_translated,
            seen_reply=self._space.all,
            assured=fresh.assured[0],
            confirmed=self._space.all,
        )

    def _entered(self, reply: PacketSet) -> Vector:
        """By any interface, or from the host itself where the connection has its end there."""
        space, interfaces = self._space, self._world.interfaces
        outside = space.constant(interfaces.number(LOCAL), interfaces.width)
        begun = space.equal(self._world.packet.entered, interfaces.number(LOCAL))
        own = reply & self._first.delivered | ~reply & begun
        return space.choose(own, outside, self._fresh.entered)

    def _later(self, answered: bool) -> SymbolicPacket:
        first, packet = self._world.packet, self._common(self._space.none)
        if not answered:
            packet = replace(packet, seen_reply=self._space.none, assured=self._space.none)
        return self._with_words(packet, first.first, first.second)

    def _reply(self) -> SymbolicPacket:
        last = self._first.packet
        packet = replace(self._common(self._space.all), source=last.destination, destination=last.source)
        return self._with_words(packet, self._answered(last.second), last.first)

    def _answered(self, port: Vector) -> Vector:
        """The port that was asked; of ICMP the message that answers."""
        space, asked = self._space, self._world.packet
        found = port
        for question, answer in ANSWERS.items():
            protocol = ICMP if question < 128 else ICMPV6
            where = space.equal(asked.protocol, protocol) & space.equal(asked.first[:8], question)
            found = space.choose(where, space.constant(answer << 8, len(port)), found)
        return found

    def _with_words(self, packet: SymbolicPacket, first: Vector, second: Vector) -> SymbolicPacket:
        """Of a protocol with ports the ports; of ICMP type and code; else whatever stands there."""
        space, fresh = self._space, self._fresh
        ported = space.any_of(space.equal(packet.protocol, number) for number in WITH_PORTS)
        message = space.any_of(space.equal(packet.protocol, number) for number in (ICMP, ICMPV6))
        return replace(
            packet,
            first=space.choose(ported | message, first, fresh.first),
            second=space.choose(ported, second, fresh.second),
        )

    def _error(self, backward: bool) -> SymbolicPacket:
        """Return an ICMP error from any source to the sender of the packet that it quotes."""
        space, fresh = self._space, self._fresh
        first, last = self._world.packet, self._first.packet
        packet = self._common(space.all if backward else space.none)
        four = space.constant(ICMP, len(packet.protocol))
        return replace(
            packet,
            protocol=space.choose(packet.six, space.constant(ICMPV6, len(packet.protocol)), four),
            first=fresh.first,
            second=fresh.second,
            source=fresh.source,
            destination=last.source if backward else first.destination,
        )
