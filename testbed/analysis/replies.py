"""Connections that begin: the plain first packets that begin one, and whether the plain answer comes back.

An answer is as a kernel sends it: a SYN/ACK of 60 bytes, or a datagram, on the way back of the first packet. It has no
variables of its own, so that the sets stay small.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from testbed.analysis.connections import Connections, FreshVariables
from testbed.analysis.fates import Fate, fates
from testbed.analysis.packets import LOCAL, TCP, State, SymbolicPacket
from testbed.analysis.path import Outcome
from testbed.analysis.places import on_bridge, within
from testbed.analysis.rules import Program
from testbed.analysis.vector import PacketSet, Vector
from testbed.analysis.world import PacketKind, World
from testbed.topology import RouteKind

_SYN, _SYN_ACK = 0x02, 0x12
_LENGTH, _TTL = 60, 64
_SHORTEST_TTL = 2  # a packet that is to be forwarded must have one more than the router takes


def beginnings(world: World) -> PacketSet:
    """The plain packets that begin connections: a SYN without other flags, or the first datagram; no fragment."""
    space, packet = world.space, world.packet
    tcp = space.equal(packet.protocol, TCP)
    whole = ~packet.fragment & ~world.damaged & ~space.at_most(packet.ttl, _SHORTEST_TTL - 1)
    return world.possible & whole & (~tcp | space.equal(packet.flags, _SYN))


class Replies:
    """The plain answers to the first packets of one rule set that passed; only those of `answered` are followed."""

    def __init__(self, world: World, program: Program, first: Outcome, answered: PacketSet) -> None:
        self._world = world
        self._first = first
        self._space = world.space
        self.fresh = FreshVariables.make(world.space, world.interfaces.width)
        followed = Connections(world, first, self.fresh).packet(PacketKind.REPLY)
        self._packet = self._plain(followed.packet)
        asked = beginnings(world) & first.passed & self._tracked() & answered
        world.opaque.start(PacketKind.REPLY.value)
        self.outcome = world.follow(program, self._packet, followed.tracked, asked)
        self.fates: tuple[Fate, ...] = fates(world.space, self.outcome)
        self.returned = self.outcome.passed & self._back()

    def cut(self, packets: PacketSet) -> tuple[Fate, ...]:
        """Return what ends the answers to these first packets, by rule or policy."""
        lost = packets & ~self.returned
        found = (replace(fate, packets=fate.packets & lost) for fate in self.fates)
        return tuple(fate for fate in found if fate.packets.satisfiable())

    def _tracked(self) -> PacketSet:
        state = self._first.packet.state
        return self._space.equal(state, State.NEW) | self._space.equal(state, State.UNTRACKED)

    def _back(self) -> PacketSet:
        """Where an answer leaves as the first packet came: to the asking end, from the address that it asked."""
        world, space = self._world, self._space
        asked, answer = world.packet, self.outcome.packet
        own = space.equal(asked.entered, world.interfaces.number(LOCAL))
        sent_back = space.same(answer.left, asked.entered)
        back = own & self.outcome.delivered | ~own & self.outcome.forwarded & sent_back
        return back & ~self._mute()

    def _mute(self) -> PacketSet:
        """Where the end that answers has no route to the sender, as a container on internal networks alone."""
        world, last = self._world, self._first.packet
        found = self._space.none
        for node in world.topology.nodes:
            if node.name == world.topology.host or not node.addresses:
                continue
            own = within(world, last.six, last.destination, [ip_network(address.ip) for address in node.addresses])
            routes = [route.destination for route in node.routes if route.kind is RouteKind.UNICAST]
            networks = [address.network for address in node.addresses]
            found = found | own & ~within(world, last.six, last.source, [*networks, *routes])
        return found & self._first.forwarded

    def _plain(self, reply: SymbolicPacket) -> SymbolicPacket:
        space, first = self._space, self._first
        tcp = space.equal(reply.protocol, TCP)
        none = space.constant(0, len(reply.flags))
        flags = space.choose(tcp, space.constant(_SYN_ACK, len(reply.flags)), none)
        local = space.constant(self._world.interfaces.number(LOCAL), self._world.interfaces.width)
        return replace(
            reply,
            entered=space.choose(first.delivered, local, first.packet.left),
            bridged=self._on_link(),
            flags=flags,
            length=space.constant(_LENGTH, len(reply.length)),
            ttl=space.constant(_TTL, len(reply.ttl)),
            tos=space.constant(0, len(reply.tos)),
            mac=self._mac(),
            assured=space.none,
        )

    def _on_link(self) -> PacketSet:
        """Where the answer goes from port to port of a bridge: its receiver is on the answering end's own network."""
        world, space, last = self._world, self._space, self._first.packet
        found = space.none
        for name in world.bridges:
            left = space.equal(last.left, world.interfaces.number(name))
            found = found | left & on_bridge(world, name, last.six, last.source)
        return found & self._first.forwarded

    def _mac(self) -> Vector:
        """The hardware address of the end that answers, by its address."""
        world, space = self._world, self._space
        pieces: dict[int, list[PacketSet]] = {}
        for node in world.topology.nodes:
            for interface in node.interfaces if node.name != world.topology.host else ():
                for own in (*interface.scripted, *interface.addresses):
                    mac = int(interface.endpoint_mac.replace(":", ""), 16)
                    last = self._first.packet
                    at = world.routing.within(last.six, last.destination, ip_network(own.ip))
                    pieces.setdefault(mac, []).append(at)
        return space.by_value(pieces, 48)
