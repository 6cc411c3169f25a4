"""Send a header that the analysis names: in a frame beside the host, or by a raw socket of the host itself."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.analysis.packets import LOCAL
from testbed.analysis.plain import PlainHeader
from testbed.analysis.routing import LOOPBACK
from testbed.bed import Testbed
from testbed.behaviour.regions.wire import Numbers, built
from testbed.kernel.raw_sockets import send_raw
from testbed.observe.journey import Journey
from testbed.observe.tracing import Tracing
from testbed.topology import AddressWithPrefix, Bridge, Interface, Node, Port
from testbed.traffic.packet import Packet


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet as it was sent, its bytes, and its journey; None if the kernel sent nothing, as it has no route."""

    packet: Packet
    data: bytes
    journey: Journey | None


class WitnessSender:
    """Sends headers through one bed and returns their journeys."""

    def __init__(self, bed: Testbed, tracing: Tracing) -> None:
        self._bed = bed
        self._tracing = tracing
        self._topology = bed.topology
        self.host = bed.topology.host
        self._identities = bed.endpoint(next(node.name for node in self._topology.nodes if not node.passes_on))

    def send(self, header: PlainHeader, numbers: Numbers, quoted: bytes = b"") -> Sent:
        """Send a packet with that header where the analysis says that it comes from."""
        data = built(header, self._identities.identification(), numbers, quoted)
        packet = Packet.dissect(data)
        if header.entered == LOCAL:
            return Sent(packet, data, self._by_host(header, data, packet))
        node, interface, mac = self._behind(header)
        self._bed.endpoint(node).inject(data, interface, mac, self._target(header))
        return Sent(packet, data, self._tracing.journey(packet))

    def quoted(self, header: PlainHeader, numbers: Numbers) -> bytes:
        """Return the bytes of a packet that an ICMP error quotes; it is not sent."""
        return built(header, self._identities.identification(), numbers)

    def _by_host(self, header: PlainHeader, data: bytes, packet: Packet) -> Journey | None:
        before = len(self._tracing.journeys())
        self._bed.host.run(send_raw, data, str(header.destination), self._bed.processor)
        self._bed.settle_everywhere()
        later = self._tracing.journeys()[before:]
        known = packet.protocol, packet.identification
        same = (own for own in later if (own.sent.protocol, own.sent.identification) == known and not own.is_copy)
        return next(same, None)

    def _segment(self, name: str) -> list[tuple[Node, Interface | Bridge]]:
        return [own for own in self._topology.segment(Port(self.host, name)) if own[0].name != self.host]

    def _behind(self, header: PlainHeader) -> tuple[str, str, str]:
        """Return the endpoint beside the host that sends a packet, its interface, and the frame's source address.

        A header without a hardware address gets the endpoint's own.
        """
        mac = ":".join(f"{byte:02x}" for byte in header.mac.to_bytes(6, "big"))
        near = [(node, own) for node, own in self._segment(header.entered) if isinstance(own, Interface)]
        ends = [(node, own) for node, own in near if not node.passes_on] or near
        best = [(node, own) for node, own in ends if own.endpoint_mac == mac]
        best += [(node, own) for node, own in ends if header.source in {address.ip for address in _all(own)}]
        node, interface = (best or ends)[0]
        return node.name, interface.name, mac if header.mac else interface.endpoint_mac

    def _target(self, header: PlainHeader) -> str:
        """Return the frame's destination: the host, or another port of the bridge that is to pass the packet on."""
        if not header.bridged:
            return next(own.mac for own in self._topology.node(self.host).devices if own.name == header.entered)
        near = [(node, own) for node, own in self._segment(header.entered) if isinstance(own, Interface)]
        sender = self._behind(header)[:2]
        others = [own for node, own in near if (node.name, own.name) != sender]
        named = [own for own in others if header.destination in {address.ip for address in _all(own)}]
        return (named or others)[0].endpoint_mac

    def can(self, header: PlainHeader) -> bool:
        """Return whether an endpoint is there that can send the packet."""
        if header.entered == LOCAL:
            return True
        return header.entered != LOOPBACK and len(self._segment(header.entered)) > header.bridged


def _all(device: Interface) -> tuple[AddressWithPrefix, ...]:
    return (*device.scripted, *device.addresses)
