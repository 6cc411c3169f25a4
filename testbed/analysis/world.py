"""What two rule sets are compared over: the packets that can come to a host, first ones and those of connections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from testbed.analysis.chains import RuleSets
from testbed.analysis.changed_rules import ChangedRules
from testbed.analysis.opaque import OpaqueClauses
from testbed.analysis.packets import LOCAL, Interfaces, SymbolicPacket, Variables, first_packet, possible
from testbed.analysis.path import HostPath, Outcome, Tracked
from testbed.analysis.routing import LOOPBACK, Routing, bridges_of, interfaces_of, space_of_loopback
from testbed.analysis.rules import Program
from testbed.analysis.space import Space
from testbed.analysis.tracking import CHECKED, first_state
from testbed.analysis.vector import PacketSet
from testbed.topology import Topology


class PacketKind(Enum):
    """Which packet of a connection it is; the first one may also be one that begins none."""

    FIRST = "first packet"
    REPEATED = "packet before any reply"
    REPLY = "reply"
    LATER = "later packet"
    ERROR = "error about a packet"
    REPLY_ERROR = "error about a reply"


def _refused(routing: Routing, packet: SymbolicPacket) -> PacketSet:
    """The packets from outside that IPv6 refuses before any rule, by their addresses (ip6_rcv_core)."""
    looped = space_of_loopback(routing, packet.six, packet.source)
    looped = looped | space_of_loopback(routing, packet.six, packet.destination)
    return packet.six & (looped | routing.multicast(packet.six, packet.source))


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A host without its rules; `possible` are the first packets that can come to it."""

    space: Space
    topology: Topology
    interfaces: Interfaces
    routing: Routing
    variables: Variables
    packet: SymbolicPacket
    possible: PacketSet
    opaque: OpaqueClauses
    bridges: tuple[str, ...]

    @classmethod
    def of(cls, topology: Topology, fragments: bool = False) -> World:
        """Around the host of a topology; `fragments`: connections are not tracked, so later fragments come as such."""
        space, interfaces = Space(), interfaces_of(topology)
        routing = Routing(space, topology, interfaces)
        variables = Variables.make(space, interfaces)
        packet, bridges = first_packet(space, variables), bridges_of(topology)
        damaged = variables.damaged[0]
        own = space.equal(packet.entered, interfaces.number(LOCAL))
        looped = space.equal(packet.entered, interfaces.number(LOOPBACK))
        checked = space.any_of(space.equal(packet.protocol, number) for number in CHECKED)
        can_be = space.all_of(
            (
                possible(space, packet, interfaces, bridges),
                ~damaged | checked & ~own,
                ~own | routing.local(packet.six, packet.source),
                ~looped,
                own | ~_refused(routing, packet),
                space.all if fragments else ~packet.fragment,
            )
        )
        return cls(
            space, topology, interfaces, routing, variables, packet, can_be, OpaqueClauses(space), tuple(bridges)
        )

    @property
    def damaged(self) -> PacketSet:
        return self.variables.damaged[0]

    def first(self, program: Program, changed: ChangedRules | None = None, sets: RuleSets | None = None) -> Outcome:
        """Return the outcomes of all first packets; `sets` gets what each rule did with them."""
        self.opaque.start(PacketKind.FIRST.value)
        tracked = Tracked(first_state(self.space, self.packet, self.damaged))
        return self.follow(program, self.packet, tracked, self.space.all, changed, sets)

    def follow(
        self,
        program: Program,
        packet: SymbolicPacket,
        tracked: Tracked,
        packets: PacketSet,
        changed: ChangedRules | None = None,
        sets: RuleSets | None = None,
    ) -> Outcome:
        """Return the outcomes of packets, and which of them match changed rules."""
        path = self._path(program, packet, tracked)
        path.walk.sets = sets
        path.walk.watched = changed.rules if changed is not None else frozenset()
        return path.follow(packets)

    def leading(self, program: Program, packet: SymbolicPacket, tracked: Tracked, changed: ChangedRules) -> Outcome:
        """Return which packets match changed rules, and which come to each hook: these, or more.

        Only the rules are followed that lead to changed ones; where packets end is not known then.
        """
        path = self._path(program, packet, tracked)
        path.walk.watched, path.leading = changed.rules, changed
        return path.follow(self.space.all)

    def _path(self, program: Program, packet: SymbolicPacket, tracked: Tracked) -> HostPath:
        return HostPath.start(self.space, self.interfaces, self.routing, self.opaque, program, packet, tracked)
