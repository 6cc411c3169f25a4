"""Scripted endpoints: they send the packets of a script and capture arriving packets, without any reaction of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, ip_address
from itertools import count
from typing import Any

from testbed.errors import TestbedError
from testbed.kernel.packets import PacketSocket, on_cpu
from testbed.kernel.waiting import any_readable
from testbed.topology import Address, AddressWithPrefix, Interface, Port, Topology
from testbed.traffic import internet
from testbed.traffic.layers import Ether
from testbed.traffic.packet import Packet

# A question and its answer cross two to four receive queues; the longest path through a bed has six.
_ROUND_TRIPS = 4
_ETHERNET = 14  # bytes of a frame's header


@dataclass(frozen=True)
class EndpointInterface:
    """One interface of a node, and its packet socket."""

    port: Port
    interface: Interface
    socket: PacketSocket

    @property
    def addresses(self) -> tuple[AddressWithPrefix, ...]:
        return (*self.interface.scripted, *self.interface.addresses)

    def reaches(self, hop: Address) -> bool:
        """Return whether a next hop is on this interface's segment, by its addresses."""
        return any(hop in address.network for address in self.addresses)

    @cached_property
    def mac(self) -> bytes:
        return bytes.fromhex(self.interface.endpoint_mac.replace(":", ""))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet as it arrived at an interface of a node."""

    node: str
    interface: str
    packet: Packet


class Endpoint:
    """The scripted endpoint of a node, with a packet socket on each interface.

    `seen` holds every packet that arrived here, `sent` every packet sent from here, `left` every packet that the node's
    own kernel sent, all in order. `put_count` is the number of packets that were sent from here, recorded or not.

    A veth hands a packet to the receive queue of the processor that sent it, in order (netif_rx, net/core/dev.c). So an
    endpoint sends on one processor only. ARP requests that follow a packet come back only after the packet has been
    processed, wherever that was. So a missing packet is certain and needs no timeout.
    """

    def __init__(
        self,
        topology: Topology,
        node: str,
        ends: Sequence[EndpointInterface],
        cpu: int,
        identities: Iterator[int],
        log: list[Arrival],
    ) -> None:
        """`log` gets every arrival, beside those of the bed's other endpoints."""
        self.node = node
        self._log = log
        self._topology = topology
        self._ends = ends
        self._cpu = cpu
        self._identities = identities
        self._addresses = [address.ip for end in ends for address in end.addresses]
        if not self._addresses:
            raise TestbedError(f"{node} has no address to speak for.")
        self.seen: list[Packet] = []
        self.sent: list[Packet] = []
        self.left: list[Packet] = []
        self.settled = True
        self.put_count = 0
        self._ways: dict[tuple[str, str | None], tuple[EndpointInterface, bytes]] = {}
        self._kernels: dict[Port, IPv4Address] = {}

    @property
    def address(self) -> str:
        """The main address of the endpoint: its first one."""
        return str(self._addresses[0])

    def address_towards(self, destination: str) -> str:
        """Return the source address for a destination: of its IP version, on the interface that leads there.

        Raises TestbedError if the node has no address of that version.
        """
        to = ip_address(destination)
        near = [address.ip for end in self._ends if end.reaches(to) for address in end.addresses]
        for address in (*near, *self._on_the_way_out(to), *self._addresses):
            if address.version == to.version:
                return str(address)
        raise TestbedError(f"{self.node} has no address from which {destination} can be asked.")

    def _on_the_way_out(self, to: Address) -> list[Address]:
        gateways = [route.via for route in self._topology.node(self.node).routes if route.via]
        hops = [gateway for gateway in gateways if gateway.version == to.version]
        return [address.ip for end in self._ends for hop in hops if end.reaches(hop) for address in end.addresses]

    def send(self, packet: Any, via: str | None = None) -> Packet:
        """Send a scapy IP packet through the router `via` or the one of the node's routes; return the packet as it
        left.

        If the packet has no identification (IPv6: flow label), a unique one is set. It distinguishes the packet from
        all others of the bed.
        """
        packet = internet.marked(packet, self.identification())
        data = bytes(packet)
        self.put(data, packet.dst, via)
        self.sent.append(Packet.dissect(data))
        return self.sent[-1]

    def identification(self) -> int:
        """Return a packet identification that is unique in the bed."""
        return next(self._identities)

    def put(self, data: bytes, destination: str, via: str | None = None) -> None:
        """Send the bytes of an IP packet unchanged, without a record in `sent`."""
        end, header = self._way(destination, via)
        self.settled = False
        self.put_count += 1
        with on_cpu(self._cpu):
            end.socket.send(header + data)

    def inject(self, data: bytes, interface: str, source: str, destination: str) -> Packet:
        """Send the bytes of an IP packet in a frame from one hardware address to another; return the packet.

        The packet is recorded in `sent`. Neither its addresses nor those of the frame need to be the endpoint's.
        """
        end = next(end for end in self._ends if end.interface.name == interface)
        self.settled = False
        header = Ether(src=source, dst=destination, type=internet.ETHERNET_TYPES[data[0] >> 4])
        with on_cpu(self._cpu):
            end.socket.send(bytes(header) + data)
        self.sent.append(Packet.dissect(data))
        return self.sent[-1]

    def _way(self, destination: str, via: str | None) -> tuple[EndpointInterface, bytes]:
        """Return the interface by which a packet leaves and its frame header; computed once for each destination."""
        if (destination, via) not in self._ways:
            to = ip_address(destination)
            hop = ip_address(via) if via else self._topology.next_hop(self.node, to)
            end = next((end for end in self._ends if end.reaches(hop)), self._ends[0])
            mac = self._topology.mac_of(end.port, hop)
            header = Ether(src=end.interface.endpoint_mac, dst=mac, type=internet.ETHERNET_TYPES[to.version])
            self._ways[destination, via] = end, bytes(header)
        return self._ways[destination, via]

    @property
    def sockets(self) -> tuple[PacketSocket, ...]:
        """The packet sockets of its interfaces."""
        return tuple(end.socket for end in self._ends)

    def settle(self) -> None:
        """Return when every packet sent here so far has reached its end, wherever that is."""
        if self.settled:
            return
        with on_cpu(self._cpu):
            for end in self._ends:
                kernel = self._kernel_beside(end)
                for _ in range(_ROUND_TRIPS):
                    end.socket.arp_round_trip(end.interface.endpoint_mac, kernel)
        self.settled = True

    @property
    def kernel_beside(self) -> IPv4Address:
        """An address beside its first interface that a kernel answers for, preferably the host's."""
        return self._kernel_beside(self._ends[0])

    def _kernel_beside(self, end: EndpointInterface) -> IPv4Address:
        if end.port not in self._kernels:
            self._kernels[end.port] = self._topology.nearest_kernel(end.port)
        return self._kernels[end.port]

    def arrivals(self) -> tuple[Packet, ...]:
        """Return every packet that has arrived here since the endpoint was made."""
        self.collect()
        return tuple(self.seen)

    def departures(self) -> tuple[Packet, ...]:
        """Return every packet that the node's own kernel has sent since the endpoint was made."""
        self.collect()
        return tuple(self.left)

    def wait_for(self, wanted: Callable[[Packet], bool], what: str, seconds: float = 10.0) -> Packet:
        """Wait for the first matching packet, for kernels that answer in their own time, and return it.

        Raises TestbedError when none arrives within that time.
        """
        while (found := next(filter(wanted, self.arrivals()), None)) is None:
            if not any_readable([end.socket for end in self._ends], seconds):
                raise TestbedError(f"{what} did not arrive at {self.node} within {seconds:.0f} s.")
        return found

    def taken(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the bytes of IP packets since the last call, and whether the node's own kernel sent each.

        Packets that this method yields do not appear in `seen`.
        """
        return ((data, outgoing) for _, data, outgoing in self._taken())

    def collect(self) -> None:
        """Record the packets that have arrived or left since the last call."""
        for interface, data, outgoing in self._taken():
            packet = Packet.dissect(data)
            (self.left if outgoing else self.seen).append(packet)
            if not outgoing:
                self._log.append(Arrival(self.node, interface, packet))

    def _taken(self) -> Iterator[tuple[str, bytes, bool]]:
        for end in self._ends:
            for frame in end.socket.received():
                if frame.outgoing or frame.destination == end.mac:  # a switch floods; a card drops frames for others
                    yield end.interface.name, frame.data[_ETHERNET:], frame.outgoing


def identities() -> Iterator[int]:
    """Yield IP identifications for the packets of one bed; none repeats within 65,000."""
    return (2 + number % 65000 for number in count())
