"""A packet as it first came, bit by bit, and what of it rules read and change.

The fields are those of the header as rules see it: the first four bytes behind the IP header are two numbers, which
are ports, or type and code of an ICMP message, or something else's. An IPv4 address is the first 32 bits of 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector

ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 58, 132, 136
WITH_PORTS = (TCP, UDP, UDPLITE, SCTP, DCCP)
FLAGS = ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")  # of TCP, the most significant bit first
LOCAL = ""  # where the host's own packets come from, and where packets to itself go: no interface
_EXTENSIONS = (0, 43, 44, 51, 60, 135)  # headers of IPv6 that stand before the protocol's own (RFC 8200)
_SHORTEST = {TCP: 20, UDP: 8, ICMP: 8, ICMPV6: 8, SCTP: 12, UDPLITE: 8, DCCP: 12}  # bytes of the protocol's header
_HEADER4, _HEADER6 = 20, 40
_ADDRESS = 128


class State(IntEnum):
    """What connection tracking calls a packet (include/uapi/linux/netfilter/nf_conntrack_common.h)."""

    NEW = 0
    ESTABLISHED = 1
    RELATED = 2
    INVALID = 3
    UNTRACKED = 4


STATE_BITS = 3


@dataclass(frozen=True, slots=True, eq=False)
class OriginalTuple:
    """The addresses and ports of a connection's first packet, before any translation."""

    protocol: Vector
    source: Vector
    destination: Vector
    first: Vector
    second: Vector


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicPacket:
    """All packets at one place of their way: each field is a vector over the bits of the packet as it first came.

    `entered` and `left` are numbers of interfaces (`Interfaces`), `six` is whether it is of IPv6, `fragment` whether
    it is a later fragment, `bridged` whether a bridge is to pass it on from port to port. `reply` is its direction.
    """

    six: PacketSet
    entered: Vector
    left: Vector
    protocol: Vector
    first: Vector
    second: Vector
    flags: Vector
    source: Vector
    destination: Vector
    length: Vector
    ttl: Vector
    tos: Vector
    mac: Vector
    fragment: PacketSet
    bridged: PacketSet
    mark: Vector
    connection_mark: Vector
    state: Vector
    reply: PacketSet
    source_translated: PacketSet
    destination_translated: PacketSet
    seen_reply: PacketSet
    assured: PacketSet
    confirmed: PacketSet
    original: OriginalTuple


class Interfaces:
    """The interfaces of a host as numbers; 0 is none of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = (LOCAL, *names)
        self.width = max(len(self.names) - 1, 1).bit_length()

    def number(self, name: str) -> int:
        return self.names.index(name)

    def named(self, space: Space, vector: Vector, pattern: str, wildcard: str = "+") -> PacketSet:
        """Where the interface has that name, or one that begins with it where a wildcard follows."""
        start = pattern.removesuffix(wildcard) if wildcard and pattern.endswith(wildcard) else None
        matches = (name == pattern if start is None else name.startswith(start) for name in self.names)
        return space.any_of(space.equal(vector, number) for number, yes in enumerate(matches) if yes)


@dataclass(frozen=True, slots=True, eq=False)
class Variables:
    """The bits that a packet first had, by field in the order of the variables."""

    entered: Vector
    six: Vector
    protocol: Vector
    bridged: Vector
    damaged: Vector
    fragment: Vector
    flags: Vector
    second: Vector
    first: Vector
    destination: Vector
    source: Vector
    length: Vector
    ttl: Vector
    tos: Vector
    mac: Vector

    @classmethod
    def make(cls, space: Space, interfaces: Interfaces) -> Variables:
        widths = (interfaces.width, 1, 8, 1, 1, 1, 8, 16, 16, _ADDRESS, _ADDRESS, 16, 8, 8, 48)
        return cls(*(space.variables(width) for width in widths))

    @property
    def all(self) -> tuple[PacketSet, ...]:
        return tuple(
            bit
            for vector in (
                *(self.entered, self.six, self.protocol, self.bridged, self.damaged, self.fragment, self.flags),
                *(self.second, self.first, self.destination, self.source, self.length, self.ttl, self.tos, self.mac),
            )
            for bit in vector
        )


def first_packet(space: Space, variables: Variables) -> SymbolicPacket:
    """A packet as it comes, of no connection yet; connection tracking has not looked at it."""
    no_mark = space.constant(0, 32)
    return SymbolicPacket(
        six=variables.six[0],
        entered=variables.entered,
        left=space.constant(0, len(variables.entered)),
        protocol=variables.protocol,
        first=variables.first,
        second=variables.second,
        flags=variables.flags,
        source=variables.source,
        destination=variables.destination,
        length=variables.length,
        ttl=variables.ttl,
        tos=variables.tos,
        mac=variables.mac,
        fragment=variables.fragment[0],
        bridged=variables.bridged[0],
        mark=no_mark,
        connection_mark=no_mark,
        state=space.constant(State.INVALID, STATE_BITS),
        reply=space.none,
        source_translated=space.none,
        destination_translated=space.none,
        seen_reply=space.none,
        assured=space.none,
        confirmed=space.none,
        original=OriginalTuple(
            variables.protocol, variables.source, variables.destination, variables.first, variables.second
        ),
    )


def possible(space: Space, packet: SymbolicPacket, interfaces: Interfaces, bridges: Sequence[str]) -> PacketSet:
    """The packets that can be: of a known interface, as long as their headers, of fields that their protocol has."""
    four = ~packet.six
    rest = space.constant(0, _ADDRESS - 32)
    narrow = space.same(packet.source[32:], rest) & space.same(packet.destination[32:], rest)
    no_extension = ~space.any_of(space.equal(packet.protocol, number) for number in _EXTENSIONS)
    has_flags = space.equal(packet.protocol, TCP) & ~packet.fragment
    headless = ~packet.fragment | space.equal(packet.first, 0) & space.equal(packet.second, 0)
    on_bridge = space.any_of(space.equal(packet.entered, interfaces.number(name)) for name in bridges)
    return space.all_of(
        (
            _long_enough(space, packet),
            headless,
            has_flags | space.equal(packet.flags, 0),
            four & narrow | packet.six & no_extension,
            ~packet.bridged | on_bridge,
            space.at_most(packet.entered, len(interfaces.names) - 1),
        )
    )


def _long_enough(space: Space, packet: SymbolicPacket) -> PacketSet:
    found = space.all
    for six, header in ((packet.six, _HEADER6), (~packet.six, _HEADER4)):
        rest = space.all
        for protocol, bytes_of in _SHORTEST.items():
            of_it = space.equal(packet.protocol, protocol) & ~packet.fragment
            found = found & (~(six & of_it) | ~space.at_most(packet.length, header + bytes_of - 1))
            rest = rest & ~of_it
        found = found & (~(six & rest) | ~space.at_most(packet.length, header + 3))
    return found


def address_bits(address: IPv4Address | IPv6Address) -> int:
    """An address as the number that its vector is."""
    return int(address) << (_ADDRESS - address.max_prefixlen)


def in_prefix(space: Space, six: PacketSet, vector: Vector, base: IPv4Address | IPv6Address, mask: int) -> PacketSet:
    """Where an address of the base's version of IP has the base's bits under a mask of any form."""
    width = base.max_prefixlen
    family = six if base.version == 6 else ~six
    return space.equal(vector[:width], int(base) & mask, mask) & family


def in_range(
    space: Space,
    six: PacketSet,
    vector: Vector,
    low: IPv4Address | IPv6Address,
    high: IPv4Address | IPv6Address,
) -> PacketSet:
    """Where an address is from `low` to `high`, both of one version of IP."""
    family = six if low.version == 6 else ~six
    return space.between(vector[: low.max_prefixlen], int(low), int(high)) & family
