"""What connection tracking calls a packet that belongs to no connection yet (net/netfilter/nf_conntrack_proto_*.c).

Of TCP any segment but a SYN/ACK, FIN or RST begins a connection (nf_conntrack_tcp_loose is on); a checksum that is
wrong makes a packet from outside INVALID.
"""

from __future__ import annotations

from testbed.analysis.packets import FLAGS, ICMP, ICMPV6, SCTP, STATE_BITS, TCP, UDP, UDPLITE, State, SymbolicPacket
from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector

CHECKED = (TCP, UDP, UDPLITE, SCTP, ICMP, ICMPV6)  # what the checksum is looked at of
_QUESTIONS, _QUESTIONS6 = (8, 13, 15, 17), (128, 139)  # ICMP messages that begin a connection
_UNTRACKED6 = ((130, 136), (143, 143))  # neighbours and groups (noct_valid_new, nf_conntrack_proto_icmpv6.c)
ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}
ERRORS, ERRORS6 = (3, 4, 5, 11, 12), (1, 2, 3, 4)


def first_state(space: Space, packet: SymbolicPacket, damaged: PacketSet) -> Vector:
    """The state of a packet without a connection."""
    new = begins(space, packet) & ~damaged
    untracked = _icmp6(space, packet) & ~damaged
    kind = packet.first[:8]
    untracked = untracked & space.any_of(space.between(kind, *span) for span in _UNTRACKED6)
    state = space.constant(State.INVALID, STATE_BITS)
    state = space.choose(new, space.constant(State.NEW, STATE_BITS), state)
    return space.choose(untracked, space.constant(State.UNTRACKED, STATE_BITS), state)


def begins(space: Space, packet: SymbolicPacket) -> PacketSet:
    """The packets whose header may begin a connection."""
    kind = packet.first[:8]
    icmp, icmp6 = space.equal(packet.protocol, ICMP) & ~packet.six, _icmp6(space, packet)
    tcp = space.equal(packet.protocol, TCP)
    syn, ack, fin, rst = (flag(packet, name) for name in ("SYN", "ACK", "FIN", "RST"))
    begun = ~rst & ~fin & (syn & ~ack | ~syn & ack)
    asked = space.any_of(space.equal(kind, number) for number in _QUESTIONS)
    asked6 = space.any_of(space.equal(kind, number) for number in _QUESTIONS6)
    others = ~(tcp | icmp | icmp6)
    return others | tcp & begun | icmp & asked | icmp6 & asked6


def valid_flags(space: Space, packet: SymbolicPacket) -> PacketSet:
    """Of TCP the combinations of flags that are not INVALID by themselves (tcp_valid_flags), all other packets."""
    syn, ack, fin, rst, urg = (flag(packet, name) for name in ("SYN", "ACK", "FIN", "RST", "URG"))
    valid = syn & ~rst & ~fin & ~(ack & urg) | ~syn & rst & ~fin & ~urg | ~syn & ~rst & ack
    return ~space.equal(packet.protocol, TCP) | valid


def flag(packet: SymbolicPacket, name: str) -> PacketSet:
    """Where a flag of TCP is set."""
    return packet.flags[FLAGS.index(name)]


def _icmp6(space: Space, packet: SymbolicPacket) -> PacketSet:
    return space.equal(packet.protocol, ICMPV6) & packet.six
