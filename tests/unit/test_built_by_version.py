"""What engines build of internal networks: default routes until 24, no address of the bridge in 25.0.0 to 25.0.3."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest

from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.topology import Topology

INSIDE = """
networks:
  back: {internal: true, driver_opts: {com.docker.network.bridge.name: back}, ipam: {config: [{subnet: 10.6.0.0/24}]}}
  front: {driver_opts: {com.docker.network.bridge.name: front}, ipam: {config: [{subnet: 10.7.0.0/24}]}}
services:
  inside: {networks: [back]}
  both: {networks: [back, front]}
"""
EVERYWHERE = IPv4Network("0.0.0.0/0")


def built(version: str) -> Topology:
    return article.topology(engine(version).built(hostfile.parse(INSIDE)))


def ways_out(version: str, container: str) -> list[str]:
    (node,) = (node for node in built(version).nodes if node.name == container)
    return [str(route.via) for route in node.routes if route.destination == EVERYWHERE]


@pytest.mark.parametrize(
    ("version", "way"),
    [("20.10", ["10.6.0.1"]), ("24.0.9", ["10.6.0.1"]), ("25.0.0", []), ("26.1", []), ("28", []), ("29", [])],
)
def test_until_24_a_container_inside_has_a_default_route(version: str, way: list[str]) -> None:
    """moby cbc2a71c27, which came with 25.0.0."""
    assert ways_out(version, "inside") == way
    assert ways_out(version, "both") == ["10.7.0.1"]


@pytest.mark.parametrize(
    ("version", "addressed"), [("24", True), ("25.0.0", False), ("25.0.3", False), ("25.0.4", True), ("28", True)]
)
def test_only_in_25_0_0_to_25_0_3_the_bridge_inside_has_no_address(version: str, addressed: bool) -> None:
    """v25.0.0 and v25.0.4, libnetwork/drivers/bridge/setup_ipv4_linux.go: setupBridgeIPv4."""
    (host,) = (node for node in built(version).nodes if node.name == "host")
    addresses = {bridge.name: bridge.addresses for bridge in host.bridges}
    assert addresses["back"] == ((IPv4Interface("10.6.0.1/24"),) if addressed else ())
    assert addresses["front"] == (IPv4Interface("10.7.0.1/24"),)
