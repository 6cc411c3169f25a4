"""What containers send out: the packets that leave the host by an uplink, and where entries let them go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.analysis.packets import TCP, UDP
from testbed.analysis.places import ALL_PORTS, Location, ReachTarget
from testbed.analysis.reachability import Reachability
from testbed.analysis.vector import PacketSet
from testbed.exposure.columns import ColumnKind, ExposureColumn
from testbed.exposure.rows import NUMBERS, ExposureRow
from testbed.exposure.spec.names import Outside
from testbed.topology import Prefix, Topology

_EVERYWHERE: tuple[Prefix, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class OutgoingPlace:
    """Destinations outside."""

    location: Location

    def packets(self, reachability: Reachability) -> PacketSet:
        """Return the packets that are sent there."""
        return reachability.sent(self.location)

    def row(self, topology: Topology) -> ExposureRow:
        """Return the row of a matrix that stands for all that is outside; its ways name the internet first."""
        outside = [own for node in topology.nodes if node.name == "internet" for own in node.addresses]
        addresses = tuple(ip_network(own.ip) for own in outside)
        ways = (Location((*addresses, *_EVERYWHERE), self.location.protocols, self.location.ports),)
        return ExposureRow("internet", None, "", (), ReachTarget("outside", ways, ways), ())


def outgoing_row(outside: Outside) -> OutgoingPlace:
    """Return the place of an entry: the internet is every address, as a packet to it leaves by an uplink anyway."""
    addresses = (outside.prefix,) if outside.prefix is not None else _EVERYWHERE
    ports = ((outside.port, outside.port),) if outside.port is not None else ALL_PORTS
    protocols = (NUMBERS[outside.protocol],) if outside.port is not None else (TCP, UDP)
    return OutgoingPlace(Location(addresses, protocols, ports))


def leaving(reachability: Reachability, come: PacketSet, columns: Sequence[ExposureColumn]) -> PacketSet:
    """Return the packets that leave by an uplink, of TCP and UDP."""
    world, first = reachability.world, reachability.first
    uplinks = {column.origin.entered for column in columns if column.kind in (ColumnKind.LAN, ColumnKind.INTERNET)}
    left = world.space.any_of(world.space.equal(first.packet.left, world.interfaces.number(name)) for name in uplinks)
    asked = world.space.any_of(world.space.equal(world.packet.protocol, number) for number in (TCP, UDP))
    return come & first.forwarded & left & asked
