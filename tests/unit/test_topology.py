"""Topologies: who is next to whom, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from testbed import DockerHost, Topology
from testbed.docker import article
from testbed.docker.host import GatewayMode
from testbed.errors import TopologyError
from testbed.topology import Bridge, Interface, Link, Node, Port, Route, RouteKind

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


def test_the_narrowest_route_with_a_gateway_is_taken() -> None:
    good = pair()
    routes = (
        Route(IPv4Network("0.0.0.0/0"), IPv4Address("192.0.2.7")),
        Route(IPv4Network("198.51.100.0/24"), IPv4Address("192.0.2.8")),
        Route(IPv4Network("198.51.0.0/16"), IPv4Address("192.0.2.9")),
        Route(IPv4Network("198.51.100.1/32"), kind=RouteKind.BLACKHOLE),
    )
    routed = replace(good, nodes=(replace(good.nodes[0], routes=routes), good.nodes[1]))
    assert routed.next_hop("a", IPv4Address("198.51.100.1")) == IPv4Address("192.0.2.8")
    assert routed.next_hop("a", IPv4Address("203.0.113.1")) == IPv4Address("192.0.2.7")


def test_addresses_are_found_across_the_switch_and_the_bridge() -> None:
    assert ARTICLE.mac_of(Port("client", "eth0"), IPv4Address("192.168.66.100")) == article.ENS33_MAC
    assert ARTICLE.mac_of(Port("web", "eth0"), IPv4Address("172.17.0.1")) == article.DOCKER0.mac
    with pytest.raises(TopologyError, match=r"no node on the segment of web:eth0 has the address 192\.168\.66\.1"):
        ARTICLE.mac_of(Port("web", "eth0"), IPv4Address("192.168.66.1"))


def test_the_host_needs_entries_for_the_scripted_ends_on_its_segments() -> None:
    found = {(str(entry.address), entry.device) for entry in ARTICLE.neighbours("host")}
    assert found == {("192.168.66.1", "ens33"), ("172.17.0.2", "docker0")}
    assert article.topology_with_kernels().neighbours("web") == ()


def test_a_script_beside_a_kernel_has_a_hardware_address_of_its_own() -> None:
    kernels = article.topology_with_kernels()
    eth0 = kernels.node("client").interface("eth0")
    assert eth0.endpoint_mac != eth0.mac
    assert kernels.mac_of(Port("host", "ens33"), IPv4Address("192.168.66.2")) == eth0.endpoint_mac
    assert kernels.mac_of(Port("host", "ens33"), IPv4Address("192.168.66.1")) == eth0.mac
    (entry,) = kernels.neighbours("host")
    assert (str(entry.address), entry.mac, entry.device) == ("192.168.66.2", eth0.endpoint_mac, "ens33")
    assert ARTICLE.node("client").interface("eth0").endpoint_mac == eth0.mac


def test_a_node_is_known_by_its_scripted_address_first() -> None:
    assert article.topology_with_kernels().node("client").address == IPv4Address("192.168.66.2")
    assert ARTICLE.node("host").address == IPv4Address("192.168.66.100")
    with pytest.raises(TopologyError, match="node b has no address"):
        _ = pair().node("b").address


def test_arp_is_asked_of_the_host_where_it_is_on_the_segment() -> None:
    for node, address in (("client", "192.168.66.100"), ("web", "172.17.0.1"), ("internet", "203.0.113.254")):
        assert ARTICLE.nearest_kernel(Port(node, "eth0")) == IPv4Address(address)


def test_on_a_bridge_without_an_address_the_host_answers_for_another_of_its_addresses() -> None:
    docker0 = replace(article.DOCKER0, internal=True, mode=GatewayMode.ISOLATED)
    web = replace(article.WEB, network=docker0)
    isolated = article.topology(DockerHost((docker0,), (web,)))
    assert isolated.nearest_kernel(Port("web", "eth0")) == IPv4Address("192.168.66.100")


def test_devices_have_the_wished_for_indexes_and_others_the_next_free_ones() -> None:
    assert ARTICLE.node("host").indexes == {"ens33": 2, "docker0": 3, "veth50b382d": 19}
    assert ARTICLE.node("gateway").indexes == {"eth0": 2, "eth1": 3}


@pytest.mark.parametrize("host", ["first", "second"])
def test_the_host_is_asked_before_other_kernels_wherever_it_is_plugged_in(host: str) -> None:
    ends = {"first": ("192.0.2.1/24",), "second": ("192.0.2.2/24",), "asking": ()}
    nodes = [
        Node(name, (Interface("eth0", f"02:00:00:00:01:0{n}", tuple(map(IPv4Interface, addresses))),))
        for n, (name, addresses) in enumerate(ends.items())
    ]
    ports = tuple(Interface(name, f"02:00:00:00:02:0{n}", master="lan") for n, name in enumerate(ends))
    lan = Node("lan", ports, (Bridge("lan", "02:00:00:00:03:00"),))
    links = tuple(Link(Port("lan", name), Port(name, "eth0")) for name in ends)
    found = Topology((lan, *nodes), links, host=host).nearest_kernel(Port("asking", "eth0"))
    assert found == IPv4Interface(*ends[host]).ip


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(TopologyError, match="node web has no interface eth1"):
        ARTICLE.node("web").interface("eth1")
    with pytest.raises(TopologyError, match="no kernel has an address on the segment of a:eth0"):
        pair().nearest_kernel(Port("a", "eth0"))
    with pytest.raises(TopologyError, match="there is no node nobody; this topology has client, gateway"):
        ARTICLE.next_hop("nobody", IPv4Address("192.0.2.1"))


def test_a_link_has_another_end_at_either_end() -> None:
    (link,) = pair().links
    assert (link.other(link.a), link.other(link.b)) == (link.b, link.a)


def test_a_name_may_have_fifteen_characters() -> None:
    assert pair(name="fifteen-letters").node("a").devices[0].name == "fifteen-letters"


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


def test_isolated_ports_of_a_switch_keep_devices_apart() -> None:
    def plugged(name: str, isolated: bool) -> Interface:
        return Interface(name, f"02:00:00:00:01:0{len(name)}", master="lan", isolated=isolated)

    names = {"a": True, "bb": True, "ccc": False}
    nodes = [
        Node(name, (Interface("eth0", f"02:00:00:00:00:0{len(name)}", (IPv4Interface(f"192.0.2.{len(name)}/24"),)),))
        for name in names
    ]
    switch = Node("s", tuple(plugged(*one) for one in names.items()), (Bridge("lan", "02:00:00:00:01:00"),))
    links = tuple(Link(Port(name, "eth0"), Port("s", name)) for name in names)
    topology = Topology((switch, *nodes), links, host="a")
    reached = {name: sorted(node.name for node, _ in topology.segment(Port(name, "eth0"))) for name in names}
    assert reached == {"a": ["ccc"], "bb": ["ccc"], "ccc": ["a", "bb"]}
    assert topology.nearest_kernel(Port("bb", "eth0")) == IPv4Address("192.0.2.3"), "not the host, which is kept apart"
