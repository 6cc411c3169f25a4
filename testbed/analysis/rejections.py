"""The answers of REJECT as packets: the host sends them itself, so they pass its OUTPUT and POSTROUTING chains."""

from __future__ import annotations

from dataclasses import replace

from testbed.analysis.packets import ICMP, ICMPV6, LOCAL, TCP, SymbolicPacket
from testbed.analysis.tracking import flag
from testbed.analysis.vector import PacketSet
from testbed.analysis.world import World

_UNREACHABLE, _UNREACHABLE6 = 3, 1  # types of the ICMP errors that REJECT sends


def rejection(world: World) -> tuple[SymbolicPacket, PacketSet]:
    """Return the packets of the host that may answer a rejected one: resets and ICMP errors, in reply direction."""
    space, packet = world.space, world.packet
    outside = space.constant(world.interfaces.number(LOCAL), world.interfaces.width)
    own = replace(packet, entered=outside, bridged=space.none, reply=space.all)
    kind = packet.first[:8]
    four = space.equal(packet.protocol, ICMP) & space.equal(kind, _UNREACHABLE) & ~packet.six
    six = space.equal(packet.protocol, ICMPV6) & space.equal(kind, _UNREACHABLE6) & packet.six
    reset = space.equal(packet.protocol, TCP) & flag(packet, "RST") & ~flag(packet, "SYN") & ~flag(packet, "FIN")
    return own, four | six | reset
