"""The topology that witnesses are sent in: with endpoints on every bridge of the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from testbed.docker.sysctls import NO_IPV6
from testbed.topology import Address, AddressWithPrefix, Bridge, Interface, Link, Node, Port, Topology

_PORTS = 3  # a packet from one port to another, which rules may translate to a third
_MAC = "02:00:00:01:{:02x}:{:02x}"
_ELSEWHERE = "192.0.2.{}/32"  # of an endpoint on a bridge without an address (RFC 5737)


def with_endpoints(topology: Topology) -> Topology:
    """Return the topology with endpoints on the host's bridges that have fewer than three ports."""
    host = topology.node(topology.host)
    taken: set[Address] = {address.ip for node in topology.nodes for address in node.addresses}
    nodes: list[Node] = []
    ports: list[Interface] = []
    links: list[Link] = []
    for bridge in host.bridges:
        present = sum(interface.master == bridge.name for interface in host.interfaces)
        for _ in range(present, _PORTS):
            place = len(nodes)
            addresses = tuple(_unused(bridge, place, taken))
            taken |= {address.ip for address in addresses}
            name, port = f"endpoint-{place}-{bridge.name}", f"vend{place}"
            end = Interface("eth0", _MAC.format(place, 1), scripted=addresses)
            nodes.append(Node(name, (end,), sysctls=NO_IPV6))
            ports.append(Interface(port, _MAC.format(place, 2), master=bridge.name))
            links.append(Link(Port(name, "eth0"), Port(host.name, port)))
    wired = replace(host, interfaces=(*host.interfaces, *ports))
    others = [wired if node is host else node for node in topology.nodes]
    return replace(topology, nodes=(*others, *nodes), links=(*topology.links, *links)) if nodes else topology


def _unused(bridge: Bridge, place: int, taken: set[Address]) -> Iterator[AddressWithPrefix]:
    """Yield the last address of each network of a bridge that no node has."""
    for own in bridge.addresses:
        last = own.network.broadcast_address - 1
        near = (last - back for back in range(64))
        free = next((address for address in near if address not in taken and address in own.network), None)
        if isinstance(own, IPv6Interface) and free is not None:
            yield IPv6Interface(f"{free}/{own.network.prefixlen}")
        elif free is not None:
            yield IPv4Interface(f"{free}/{own.network.prefixlen}")
    if not bridge.addresses:
        yield IPv4Interface(_ELSEWHERE.format(place + 1))
