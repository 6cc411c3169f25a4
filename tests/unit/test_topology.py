"""Topologies: who is next to whom, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from testbed import Topology
from testbed.docker import article
from testbed.errors import TopologyError
from testbed.topology import Bridge, Interface, Link, Node, Port

ARTICLE = article.topology()


def pair(**changes: object) -> Topology:
    """Two nodes and a link."""
    facts = {"name": "eth0", "mac": "02:00:00:00:00:01", "addresses": (IPv4Interface("192.0.2.1/24"),)} | changes
    ends = (Node("a", (Interface(**facts),)), Node("b", (Interface("eth0", "02:00:00:00:00:02"),)))  # type: ignore[arg-type]
    return Topology(ends, (Link(Port("a", str(facts["name"])), Port("b", "eth0")),), host="a")


@pytest.mark.parametrize(
    ("node", "destination", "hop"),
    [
        ("client", "192.168.66.100", "192.168.66.100"),
        ("client", "203.0.113.10", "192.168.66.254"),
        ("client", "172.17.0.2", "192.168.66.254"),
        ("web", "192.168.66.1", "172.17.0.1"),
        ("internet", "192.168.66.100", "203.0.113.254"),
    ],
)
def test_the_next_hop_is_the_neighbour_or_the_gateway(node: str, destination: str, hop: str) -> None:
    assert ARTICLE.next_hop(node, IPv4Address(destination)) == IPv4Address(hop)


def test_a_node_without_a_route_says_so() -> None:
    with pytest.raises(TopologyError, match=r"node a has no route to 198\.51\.100\.1"):
        pair().next_hop("a", IPv4Address("198.51.100.1"))


def test_addresses_are_found_across_the_switch_and_the_bridge() -> None:
    assert ARTICLE.mac_of(Port("client", "eth0"), IPv4Address("192.168.66.100")) == article.ENS33_MAC
    assert ARTICLE.mac_of(Port("web", "eth0"), IPv4Address("172.17.0.1")) == article.DOCKER0.mac
    with pytest.raises(TopologyError, match=r"nobody on the segment of web:eth0 has the address 192\.168\.66\.1"):
        ARTICLE.mac_of(Port("web", "eth0"), IPv4Address("192.168.66.1"))


def test_the_host_needs_entries_for_the_scripted_ends_on_its_segments() -> None:
    found = {(str(entry.address), entry.device) for entry in ARTICLE.neighbours("host")}
    assert found == {("192.168.66.1", "ens33"), ("172.17.0.2", "docker0")}
    assert article.topology_with_kernels().neighbours("web") == ()


def test_arp_is_asked_of_the_host_where_it_is_on_the_segment() -> None:
    for node, address in (("client", "192.168.66.100"), ("web", "172.17.0.1"), ("internet", "203.0.113.254")):
        assert ARTICLE.nearest_kernel(Port(node, "eth0")) == IPv4Address(address)


def test_devices_have_the_wished_for_indexes_and_others_the_next_free_ones() -> None:
    assert ARTICLE.node("host").indexes == {"ens33": 2, "docker0": 3, "veth50b382d": 19}
    assert ARTICLE.node("gateway").indexes == {"eth0": 2, "eth1": 3}


@pytest.mark.parametrize("topology", [ARTICLE, article.topology_with_kernels()], ids=["scripted", "kernels"])
def test_the_ends_of_a_link_have_different_indexes(topology: Topology) -> None:
    """The kernel brings such links up at once (linkwatch.py)."""
    assert topology.links
    for link in topology.links:
        a, b = (topology.node(port.node).indexes[port.device] for port in (link.a, link.b))
        assert a != b, link


def test_what_cannot_be_is_refused() -> None:
    good = pair()
    a, b = good.nodes
    with pytest.raises(TopologyError, match="the node a is there twice"):
        Topology((a, a), (), host="a")
    with pytest.raises(TopologyError, match="a:eth0 is not the end of any link"):
        Topology((a, b), (), host="a")
    with pytest.raises(TopologyError, match="the link's end a:eth0 is there twice"):
        Topology((a, b), good.links * 2, host="a")
    with pytest.raises(TopologyError, match="there is no node c"):
        Topology((a, b), (*good.links, Link(Port("c", "eth0"), Port("d", "eth0"))), host="a")
    with pytest.raises(TopologyError, match="there is no node host; this topology has a, b"):
        Topology((a, b), good.links)
    same = replace(b, interfaces=(replace(b.interfaces[0], addresses=a.interfaces[0].addresses),))
    with pytest.raises(TopologyError, match=r"the address 192\.0\.2\.1 is there twice"):
        Topology((a, same), good.links, host="a")
    with pytest.raises(TopologyError, match="a:eth0 is to join br0, no bridge there"):
        pair(master="br0")
    with pytest.raises(TopologyError, match="longer than 15 characters"):
        pair(name="sixteen-letters-")
    with pytest.raises(TopologyError, match="the device of a eth0 is there twice"):
        Topology((replace(a, bridges=(Bridge("eth0", "02:00:00:00:00:03"),)), b), good.links, host="a")
