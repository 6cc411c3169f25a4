"""What clauses are evaluated over: the packet as it is at a rule, the host around it, the packets that come there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from testbed.analysis.opaque import OpaqueClauses, OpaqueKind
from testbed.analysis.packets import WITH_PORTS, Interfaces, State, SymbolicPacket
from testbed.analysis.routing import Routing
from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet
from testbed.rules.reference import RuleReference

SetReader = Callable[["Context", str, tuple[str, ...]], "PacketSet | None"]


@dataclass(slots=True)
class Context:
    """A rule's evaluation; `reaching` are the packets that come to it, `hook` is where its base chain begins."""

    space: Space
    interfaces: Interfaces
    routing: Routing
    opaque: OpaqueClauses
    packet: SymbolicPacket
    reference: RuleReference
    reaching: PacketSet
    hook: str = ""
    sets: SetReader = lambda _context, _name, _words: None

    def state_is(self, *states: State) -> PacketSet:
        return self.space.any_of(self.space.equal(self.packet.state, state) for state in states)

    @property
    def tracked(self) -> PacketSet:
        """Packets that belong to a connection."""
        return ~self.state_is(State.INVALID, State.UNTRACKED)

    @property
    def with_ports(self) -> PacketSet:
        return self.of_protocol(*WITH_PORTS)

    def of_protocol(self, *numbers: int) -> PacketSet:
        """Packets of one of these protocols that have its header."""
        of_it = self.space.any_of(self.space.equal(self.packet.protocol, number) for number in numbers)
        return of_it & ~self.packet.fragment

    def unread(self, text: str, kind: OpaqueKind, on_header: bool = False) -> PacketSet:
        """A clause that the model cannot read; `on_header`: it depends on fields that may have been changed."""
        packet = self.packet
        read: Hashable = None
        if on_header:
            fields = (packet.source, packet.destination, packet.first, packet.second, packet.ttl, packet.tos)
            read = self.hook, tuple(vector.content for vector in fields)
        return self.opaque.ask(text, kind, self.reference, self.reaching, read)[0]
