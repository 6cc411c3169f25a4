"""The map of a host with several uplinks, tunnels, guests and containers of macvlan has a place for every node."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from testbed.docker import hostfile, network
from testbed.report.map import tree
from testbed.report.page.layout import Layout
from testbed.report.page.map_svg import svg

HOST = """
host:
  uplinks:
    eth0: {addresses: 10.0.0.5/24, gateway: 10.0.0.1}
    br0: {kind: bridge, ports: [eth1], addresses: 10.0.1.5/24}
    eth2: {addresses: 10.0.2.5/24}
  tunnels: {wg0: {addresses: 10.8.0.1/24}}
  bridges: {virbr0: {addresses: 192.168.122.1/24, guests: {vm1: 192.168.122.10}}}
  macvlan: {nas: {addresses: 10.0.1.40/24, uplink: br0}}
services: {web: {network_mode: bridge, ports: ['80:80']}}
"""


@pytest.mark.parametrize("narrow", [False, True])
def test_every_node_has_a_place(narrow: bool) -> None:
    topology = network.topology(hostfile.parse(HOST))
    layout = Layout(topology, narrow)
    assert {"client-br0", "peer-wg0", "vm1", "nas", "web"} <= set(layout.nodes)
    width, height = layout.size
    places = [layout.place(node.name) for node in topology.nodes]
    assert all(0 <= place.x <= width and 0 <= place.y <= height for place in places)
    assert "peer-wg0" in svg(layout, "wide")


def test_the_tree_of_a_bed_names_every_node_and_ends() -> None:
    topology = network.topology(hostfile.parse(HOST))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tree(topology, "lab", "note"))
    drawn = console.export_text()
    assert all(node.name in drawn for node in topology.nodes)
    assert drawn.count("peer-wg0") == 1
