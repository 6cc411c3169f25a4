"""What a set of packets says for sure, where it depends on clauses that the model cannot read."""

from __future__ import annotations

from testbed.analysis.opaque import OpaqueClause, OpaqueKind
from testbed.analysis.vector import PacketSet
from testbed.analysis.world import World


def certain(world: World, packets: PacketSet) -> PacketSet:
    """Return the packets that are in a set whatever is chosen, drawn or counted, if no unread clause matches them."""
    space, found = world.space, packets
    for clause in world.opaque.known:
        variables = space.one_for_all(clause.variables.bits)
        if clause.kind is OpaqueKind.CHOICE:
            found = found.exists(variables)
        elif clause.kind is OpaqueKind.UNREAD:
            found = (found & space.equal(clause.variables, 0)).exists(variables)
        else:
            found = found.forall(variables)
    return found


def conceivable(world: World, packets: PacketSet) -> PacketSet:
    """Return the packets that may be in a set, whatever such clauses say."""
    return packets.exists(world.space.one_for_all(world.opaque.variables))


def bounding(world: World, packets: PacketSet) -> list[OpaqueClause]:
    """Return the clauses that a set depends on."""
    space = world.space
    return [
        clause for clause in world.opaque.known if packets.exists(space.one_for_all(clause.variables.bits)) != packets
    ]
