"""An end of the network that a script holds: it sends what it is told and sees what arrives, nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import count
from typing import Any

from testbed.errors import TestbedError
from testbed.kernel.packets import PacketSocket, on_cpu
from testbed.topology import Address, Interface, Port, Topology
from testbed.traffic import internet
from testbed.traffic.layers import Ether
from testbed.traffic.packet import Packet

# A question and its answer cross two to four receive queues; the longest way through a bed has six.
_ROUND_TRIPS = 4


class Endpoint:
    """One interface of a node, spoken for by packet sockets.

    `seen` holds every packet that arrived here, `left` every packet that the node's own kernel sent; both in order.

    A veth hands a packet to the receive queue of the processor that sent it, in order (netif_rx, net/core/dev.c).
    An endpoint therefore sends on one processor only: once ARP round trips sent there behind a packet have come back,
    the packet is through, wherever that was. So "it did not arrive" is known and never waited for.
    """

    def __init__(
        self, topology: Topology, port: Port, opened: PacketSocket, cpu: int, identities: Iterator[int]
    ) -> None:
        self.node = port.node
        self._topology = topology
        self._port = port
        self._socket = opened
        self._cpu = cpu
        self._identities = identities
        interface = topology.node(port.node).interface(port.device)
        self._mac = interface.endpoint_mac
        self._own = bytes.fromhex(self._mac.replace(":", ""))
        self._addresses = _addresses(interface, port)
        self.seen: list[Packet] = []
        self.left: list[Packet] = []
        self.settled = True

    @property
    def address(self) -> str:
        """The address it is known by: the first that is spoken for."""
        return str(self._addresses[0])

    def address_towards(self, destination: str) -> str:
        """The address from which it speaks to another: the first of that version; TestbedError where it has none."""
        version = ip_address(destination).version
        for address in self._addresses:
            if address.version == version:
                return str(address)
        raise TestbedError(f"{self.node} has no address from which {destination} can be asked.")

    def send(self, packet: Any, via: str | None = None) -> Packet:
        """Send a scapy IP packet, through the router `via` or the one the node's routes name; as it left, is returned.

        Its identification (IPv6: its flow label) is set where the packet has none, so that it can be told from all
        others of the bed.
        """
        packet = internet.marked(packet, next(self._identities))
        data = bytes(packet)
        destination = ip_address(packet.dst)
        hop = ip_address(via) if via else self._topology.next_hop(self.node, destination)
        kind = internet.ethernet_type(packet)
        header = Ether(src=self._mac, dst=self._topology.mac_of(self._port, hop), type=kind)
        self.settled = False
        with on_cpu(self._cpu):
            self._socket.send(bytes(header) + data)
        return Packet.dissect(data)

    def find(self, wanted: Callable[[Packet], bool], settle: Callable[[], None]) -> Packet | None:
        """The first packet of that kind that arrived here; None once `settle` made sure that none is on its way."""
        for attempt in (self._collect, settle):
            attempt()
            self._collect()
            if found := next(filter(wanted, self.seen), None):
                return found
        return None

    def settle(self) -> None:
        """Return when every packet sent here so far has reached its end, whatever that was."""
        if self.settled:
            return
        with on_cpu(self._cpu):
            for _ in range(_ROUND_TRIPS):
                self._socket.arp_round_trip(self._mac, self._topology.nearest_kernel(self._port))
        self.settled = True

    def arrivals(self) -> tuple[Packet, ...]:
        """Everything that has arrived here since the endpoint was made."""
        self._collect()
        return tuple(self.seen)

    def departures(self) -> tuple[Packet, ...]:
        """Everything that the node's own kernel has sent since the endpoint was made."""
        self._collect()
        return tuple(self.left)

    def wait_for(self, wanted: Callable[[Packet], bool], what: str, seconds: float = 10.0) -> Packet:
        """The first packet of that kind, waiting for kernels that answer in their own time.

        TestbedError when none came within that time.
        """
        while (found := next(filter(wanted, self.arrivals()), None)) is None:
            if not self._socket.wait(seconds):
                raise TestbedError(f"{what} did not arrive at {self.node} within {seconds:.0f} s.")
        return found

    def _collect(self) -> None:
        for frame in self._socket.received():
            if frame.outgoing:
                self.left.append(Packet.dissect(frame.data[14:]))
            elif frame.destination == self._own:  # a switch floods what it does not know; a network card passes it over
                self.seen.append(Packet.dissect(frame.data[14:]))


def identities() -> Iterator[int]:
    """IP identifications for the packets of one bed: none twice within 65,000."""
    return (2 + number % 65000 for number in count())


def _addresses(interface: Interface, port: Port) -> list[Address]:
    addresses = (*interface.scripted, *interface.addresses)
    if not addresses:
        raise TestbedError(f"{port} has no address to speak for.")
    return [address.ip for address in addresses]
