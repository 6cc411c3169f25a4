"""Packets of which every field is free, and single ones of them: facts as sets of one packet."""

from __future__ import annotations

from ipaddress import ip_address

from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueClauses
from testbed.analysis.packets import FLAGS, STATE_BITS, OriginalTuple, State, SymbolicPacket, address_bits
from testbed.analysis.routing import Routing, interfaces_of
from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet
from testbed.docker import article
from testbed.rules.packet_context import PacketContext
from testbed.rules.reference import RuleReference
from testbed.rules.values import protocol_number
from testbed.topology import Topology

LETTERS = {"FIN": "F", "SYN": "S", "RST": "R", "PSH": "P", "ACK": "A", "URG": "U", "ECE": "E", "CWR": "C"}
HERE = RuleReference("filter", "FORWARD", 1, "")


def free_packet(space: Space, width: int) -> SymbolicPacket:
    """A packet of which each field is its own variables."""
    bit = [space.variables(1)[0] for _ in range(9)]
    original = OriginalTuple(*(space.variables(size) for size in (8, 128, 128, 16, 16)))
    return SymbolicPacket(
        bit[0],
        *(space.variables(size) for size in (width, width, 8, 16, 16, 8, 128, 128, 16, 8, 8, 48)),
        *bit[1:3],
        *(space.variables(size) for size in (32, 32, STATE_BITS)),
        *bit[3:9],
        original,
    )


def free_context(topology: Topology | None = None) -> Context:
    space = Space()
    topology = article.topology() if topology is None else topology
    interfaces = interfaces_of(topology)
    packet = free_packet(space, interfaces.width)
    return Context(
        space,
        interfaces,
        Routing(space, topology, interfaces),
        OpaqueClauses(space),
        packet,
        HERE,
        space.all,
        "FORWARD",
    )


def point(context: Context, facts: PacketContext) -> PacketSet:
    """The set of the packets of which these facts are true."""
    space, packet = context.space, context.packet
    number = protocol_number(facts.protocol)
    assert number is not None
    first, second = facts.source_port or 0, facts.destination_port or 0
    if facts.icmp is not None:
        first, second = facts.icmp[0] << 8 | facts.icmp[1], 0
    flags = sum(1 << (7 - FLAGS.index(name)) for name, letter in LETTERS.items() if letter in (facts.tcp_flags or ""))
    numbers = [
        (packet.entered, context.interfaces.number(facts.entered)),
        (packet.left, context.interfaces.number(facts.left)),
        (packet.protocol, number),
        (packet.first, first),
        (packet.second, second),
        (packet.flags, flags),
        (packet.source, address_bits(ip_address(facts.source))),
        (packet.destination, address_bits(ip_address(facts.destination))),
        (packet.length, facts.length or 0),
        (packet.ttl, facts.ttl or 0),
        (packet.mark, facts.mark or 0),
        (packet.state, State[facts.state or "NEW"]),
    ]
    if facts.original is not None:
        source, first, destination, second = facts.original
        numbers += [
            (packet.original.source, address_bits(ip_address(source))),
            (packet.original.destination, address_bits(ip_address(destination))),
            (packet.original.first, first or 0),
            (packet.original.second, second or 0),
            (packet.original.protocol, number),
        ]
    status = facts.status or frozenset()
    bits = [
        (packet.six, ":" in facts.source),
        (packet.fragment, facts.fragment),
        (packet.reply, facts.direction == "REPLY"),
        (packet.source_translated, "SNAT" in status),
        (packet.destination_translated, "DNAT" in status),
        (packet.seen_reply, "SEEN_REPLY" in status),
        (packet.assured, "ASSURED" in status),
        (packet.confirmed, "CONFIRMED" in status),
    ]
    found = space.all_of(space.equal(vector, value) for vector, value in numbers)
    return space.all_of([found, *(bit if yes else ~bit for bit, yes in bits)])
