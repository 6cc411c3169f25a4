"""Static neighbour entries for unused addresses, so that a kernel does not wait for address resolution."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from pyroute2 import IPRoute

from testbed.kernel.namespace import Namespace
from testbed.topology import Topology

_UNUSED_MAC = "02:00:00:00:00:fe"


def add_static_neighbours(host: Namespace, topology: Topology, addresses: Iterable[str]) -> None:
    """Give the host a permanent neighbour entry for each given address on its networks that no node has.

    Without the entry the host sends ARP requests for three seconds and then reports an error to itself and to others,
    in the middle of other probes (arp_error_report, net/ipv4/arp.c). With it the packet leaves, and no node receives
    it.
    """
    taken = {str(address.ip) for node in topology.nodes for address in node.addresses}
    node = topology.node(topology.host)
    entries = [
        {"dst": wanted, "lladdr": _UNUSED_MAC, "state": "permanent", "ifindex": node.indexes[device.name]}
        for wanted in sorted(set(addresses) - taken)
        for device in node.devices
        if any(ip_address(wanted) in own.network for own in device.addresses)
    ]

    def add(ip: IPRoute) -> None:
        for entry in entries:
            ip.neigh("replace", **entry)

    host.netlink(add)
