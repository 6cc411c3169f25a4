"""The map on the page: nothing is left out, nothing lies on anything else, whatever the host."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed import Topology
from testbed.docker import article, hostfile
from testbed.report.page.layout import Box, Layout, Point
from testbed.report.page.map_svg import svg
from testbed.topology import Bridge, Interface

LETTER = 6.7  # width of a monospaced character in the map's units
TEN = "services:\n" + "".join(f"  app{n}: {{networks: [net{n % 3}], ports: ['80{n}:80']}}\n" for n in range(10))
TEN += "networks: {net0: {}, net1: {}, net2: {internal: true}}\n"
SIX = """
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}}}
services: {app: {networks: [six]}}
"""
LONG = "services: {a-container-with-a-very-long-name-indeed: {network_mode: bridge, ports: ['80:80']}}"
HOSTS = {
    "article": article.HOST,
    "two-networks": article.HOST_WITH_TWO_NETWORKS,
    "both": hostfile.read(Path(__file__).parents[1] / "data" / "hosts" / "two-networks.yaml"),
    "ten": hostfile.parse(TEN, "ten.yaml"),
    "six": hostfile.parse(SIX, "six.yaml"),
    "long": hostfile.parse(LONG, "long.yaml"),
    "none": hostfile.parse("services: {}", "none.yaml"),
}
BEDS = pytest.mark.parametrize("topology", [article.topology(host) for host in HOSTS.values()], ids=list(HOSTS))
NARROW = pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])


def words(topology: Topology, narrow: bool) -> list[str]:
    """All that is written on the map, tooltips included."""
    drawing = ElementTree.fromstring(svg(Layout(topology, narrow), "map"))
    return [text for element in drawing.iter() if (text := element.text)]


def overlap(one: Box, other: Box) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


@NARROW
@BEDS
def test_every_node_device_and_address_is_on_it(topology: Topology, narrow: bool) -> None:
    written = "\n".join(words(topology, narrow))
    for node in topology.nodes:
        assert node.name in written
        for device in node.devices if node.name != "lan" else ():
            assert device.name in written
            addresses = (*device.addresses, *(device.scripted if isinstance(device, Interface) else ()))
            assert all(str(address) in written for address in addresses)


@NARROW
@BEDS
def test_no_box_lies_on_another_and_words_fit_into_theirs(topology: Topology, narrow: bool) -> None:
    layout = Layout(topology, narrow)
    boxes = [*layout.nodes.values(), *layout.devices.values()]
    assert not [(one.name, other.name) for one, other in combinations(boxes, 2) if overlap(one, other)]
    assert not [box.name for box in layout.nodes.values() if overlap(box, layout.frame)]
    assert all(layout.frame.x < box.x and box.right < layout.frame.right for box in layout.devices.values())
    width, height = layout.size
    for box in boxes:
        assert 0 < box.x < box.right < width
        assert 0 < box.y < box.bottom < height
        assert all(min(len(line), 24) * LETTER < box.width - 16 for line in box.lines)


def test_the_narrow_map_is_for_a_phone() -> None:
    for host in (article.HOST, HOSTS["ten"]):
        assert Layout(article.topology(host), narrow=True).size[0] < 450


@NARROW
def test_a_packet_is_drawn_where_it_is(narrow: bool) -> None:
    layout = Layout(article.topology(article.HOST_WITH_TWO_NETWORKS), narrow)
    for node in ("client", "gateway", "internet", "web", "app"):
        assert within(layout.place(node), layout.nodes[node])
    for device in ("ens33", "docker0", "br-eeffa41d1e8c"):
        assert within(layout.place("host", device), layout.devices[device])
    assert layout.place("host", "veth7c11d02") == layout.place("host", "br-eeffa41d1e8c")
    inside = layout.place("host")
    assert within(inside, layout.frame)
    assert not any(within(inside, box) for box in layout.devices.values())


def test_between_nodes_of_the_lan_it_passes_the_cable() -> None:
    layout = Layout(article.topology())
    assert layout.between("client", "host") == layout.between("host", "gateway") == layout.place("lan")
    assert layout.between("host", "web") is None
    assert layout.between("host", "host") is None


def test_a_container_on_two_networks_has_two_cables() -> None:
    topology = article.topology(HOSTS["both"])
    host = topology.node("host")
    veths = [interface.name for interface in host.interfaces if interface.master is not None]
    assert [word for word in words(topology, False) if word in veths] == veths
    assert len(veths) > len([node for node in topology.nodes if isinstance(node.devices[0], Bridge)])


def test_a_name_that_is_too_long_is_cut_and_told_in_full() -> None:
    written = words(article.topology(HOSTS["long"]), False)
    assert "a-container-with-a-very…" in written
    assert "a-container-with-a-very-long-name-indeed" in written


def within(point: Point, box: Box) -> bool:
    return box.x < point.x < box.right and box.y < point.y < box.bottom
