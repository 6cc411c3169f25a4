"""One packet of a set that a node of the bed can send: preferably as probes are, so that many are sent at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from testbed.analysis.packets import LOCAL, TCP, UDP, address_bits
from testbed.analysis.places import Location
from testbed.analysis.plain import Choice, PlainHeader, plain_first
from testbed.analysis.reachability import Reachability
from testbed.analysis.vector import PacketSet
from testbed.behaviour.probes import UNMENTIONED, Probe
from testbed.exposure.columns import ColumnKind, ExposureColumn, Sender
from testbed.topology import Address, Prefix

_NAMES = {TCP: "tcp", UDP: "udp"}
_SCRIPTED = {(TCP, 4): 40, (TCP, 6): 60, (UDP, 4): 28, (UDP, 6): 48}  # bytes of a probe (behaviour/packets.py)
_OF_A_KERNEL = {(TCP, 4): 60, (TCP, 6): 80, (UDP, 4): 36, (UDP, 6): 56}
_TTL = 64
_PORTS = (40000, 65535)  # from which probes are sent
_KNOWN = (80, 443, 22, 53)
_STRANGERS = {  # addresses of documentation (RFC 5737, RFC 3849), where no node's own address is meant
    4: tuple(address_bits(IPv4Address(text)) for text in ("198.51.100.7", "192.0.2.7")),
    6: (address_bits(IPv6Address("2001:db8:113:ffff::7")),),
}
_SPECIMENS = 8  # addresses of a location that are tried


@dataclass(frozen=True, slots=True)
class ExposureWitness:
    """A packet, and the node that sends it; None: no node of the bed can.

    `probe` is the same packet as probes are sent, None where it needs a header that probes do not have.
    """

    header: PlainHeader
    sender: Sender | None
    probe: Probe | None


@dataclass(frozen=True, slots=True)
class WitnessChooser:
    """Chooses packets for the cells of one column."""

    reachability: Reachability
    column: ExposureColumn

    def choose(
        self, packets: PacketSet, ways: Sequence[Location], excluded: str, version: int
    ) -> tuple[ExposureWitness, PacketSet]:
        """Return the plainest packet of a set that is not empty, and the set that it alone is in.

        `excluded` is the node that does not ask itself.
        """
        choice = Choice(self.reachability.world.space, packets)
        sender = self._sender(choice, excluded, version)
        protocol = self._prefer(choice, "protocol", (TCP, UDP))
        destination = self._destination(choice, ways, version)
        port = self._prefer(choice, "second", (UNMENTIONED, *_ports_of(ways)))
        if port is None:
            choice.prefer(self.reachability.world.packet.second)
            port = self.reachability.world.space.value(self.reachability.world.packet.second, choice.packets)
        shaped = sender is not None and self._shape(choice, sender, protocol, version) and self._any_port(choice)
        if shaped and destination is not None and protocol is not None and sender is not None:
            self._prefer(choice, "first", (_PORTS[0],))
            for variable in self.reachability.world.opaque.variables:
                choice.prefer(self.reachability.world.space.vector((variable,)))
            header = self._header(choice, sender, destination, protocol, port)
            return ExposureWitness(header, sender, self._probe(header, sender)), choice.packets
        header, point = plain_first(self.reachability.world, choice.packets)
        return ExposureWitness(header, sender, None), point

    def _prefer(self, choice: Choice, name: str, wanted: Iterable[int]) -> int | None:
        """Choose the first of these values that a field can have; None where it can have none of them."""
        vector = getattr(self.reachability.world.packet, name)
        space = self.reachability.world.space
        return next((value for value in wanted if choice.narrow(space.equal(vector, value))), None)

    def _sender(self, choice: Choice, excluded: str, version: int) -> Sender | None:
        """Choose a node's own address as the source; if none is possible any node that can send."""
        able = [own for own in self.column.senders if own.node != excluded and own.address.version == version]
        addresses = {address_bits(own.address): own for own in reversed(able)}
        found = self._prefer(choice, "source", [address_bits(own.address) for own in able])
        if found is None and self.column.kind is not ColumnKind.HOST:
            choice.prefer(self.reachability.world.packet.source, _STRANGERS[version])
        return addresses[found] if found is not None else able[0] if able else None

    def _destination(self, choice: Choice, ways: Iterable[Location], version: int) -> Address | None:
        """Choose an address of these locations; None where the packets are sent elsewhere."""
        prefixes = [own for way in ways for own in way.addresses[:_SPECIMENS] if own.version == version]
        addresses = {address_bits(_first(own)): _first(own) for own in prefixes}
        found = self._prefer(choice, "destination", addresses)
        return addresses[found] if found is not None else None

    def _shape(self, choice: Choice, sender: Sender, protocol: int | None, version: int) -> bool:
        """Choose the rest of the header as probes have it; return whether that is possible."""
        lengths = _OF_A_KERNEL if self.column.kind is ColumnKind.HOST else _SCRIPTED
        ttl = _TTL - (self.column.kind is ColumnKind.INTERNET)  # one router is between
        wanted = [("length", lengths.get((protocol or 0, version), 0)), ("ttl", ttl), ("tos", 0)]
        if self.column.origin.entered != LOCAL:
            wanted.append(("mac", int(sender.mac.replace(":", ""), 16)))
        return all(self._prefer(choice, name, (value,)) is not None for name, value in wanted)

    def _any_port(self, choice: Choice) -> bool:
        """Return whether it makes no difference from which of the ports of probes the packet is sent."""
        world = self.reachability.world
        ports = world.space.one_for_all(world.packet.first.bits)
        asked = world.space.between(world.packet.first, *_PORTS)
        return not (choice.packets.exists(ports) & asked & ~choice.packets).satisfiable()

    def _header(self, choice: Choice, sender: Sender, destination: Address, protocol: int, port: int) -> PlainHeader:
        world = self.reachability.world
        lengths = _OF_A_KERNEL if self.column.kind is ColumnKind.HOST else _SCRIPTED
        bridged = (choice.packets & world.packet.bridged).satisfiable()
        vector = world.packet.source[: destination.max_prefixlen]
        known = (choice.packets & world.space.equal(vector, int(sender.address))).satisfiable()
        source = sender.address if known else type(destination)(world.space.value(vector, choice.packets))
        return PlainHeader(
            self.column.origin.entered,
            source,
            destination,
            protocol,
            _PORTS[0],
            port,
            "S" if protocol == TCP else "",
            lengths[protocol, destination.version],
            _TTL - (self.column.kind is ColumnKind.INTERNET),
            0,
            int(sender.mac.replace(":", "") or "0", 16),
            bridged=bridged,
        )

    def _probe(self, header: PlainHeader, sender: Sender) -> Probe | None:
        if header.protocol not in _NAMES or not (sender.first or header.bridged):
            return None
        source = "" if self.column.kind is ColumnKind.HOST or header.source == sender.address else str(header.source)
        routed = self.column.kind is ColumnKind.NETWORK and not header.bridged
        direct = self.column.kind is ColumnKind.DIRECT or routed
        protocol = _NAMES[header.protocol]
        return Probe(sender.node, protocol, str(header.destination), header.second, source=source, direct=direct)


def _ports_of(ways: Sequence[Location]) -> list[int]:
    """Return the ports that are asked, of spans the first one and the well-known ones."""
    spans = [span for way in ways for span in way.ports]
    known = [port for port in _KNOWN if any(low <= port <= high for low, high in spans)]
    return list(dict.fromkeys([*(low for low, high in spans if low == high), *known, *(low for low, _ in spans)]))


def _first(prefix: Prefix) -> Address:
    """Return the first address of a prefix: 127.0.0.1 of 127.0.0.0/8."""
    return prefix.network_address + (prefix.prefixlen < prefix.max_prefixlen)
