"""Who sends from an address or a network: a node that has it, or one that is added where the host's networks say."""

from __future__ import annotations

import pytest

from testbed.docker import article, hostfile, network
from testbed.docker.asker import asker
from testbed.errors import TestbedError

HOST = hostfile.parse(
    """
host:
  uplinks:
    eth0: {addresses: 203.0.113.5/24, gateway: 203.0.113.1}
    eth1: {addresses: 10.0.0.5/24}
  tunnels: {wg0: {addresses: 10.8.0.1/24, networks: [10.200.0.0/16]}}
  bridges: {virbr0: {addresses: 192.168.122.1/24, guests: {vm1: 192.168.122.10}}}
networks: {shop: {name: br-shop, driver_opts: {com.docker.network.bridge.name: br-shop}}}
services: {web: {networks: [shop]}}
"""
)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("client", "client"),
        ("internet", "internet"),
        ("web", "web"),
        ("br-shop", "web"),
        ("virbr0", "vm1"),
        ("wg0", "peer-wg0"),
        ("203.0.113.5", "host"),
        ("127.0.0.1", "host"),
        ("192.168.122.10", "vm1"),
        ("198.51.100.10", "internet"),
    ],
)
def test_a_node_that_is_there_is_the_sender(text: str, node: str) -> None:
    assert (asker(HOST, text).host, asker(HOST, text).node) == (HOST, node)


@pytest.mark.parametrize(
    ("address", "node", "beside"),
    [
        ("100.64.0.5", "at-100.64.0.5", "gateway"),
        ("10.0.0.77", "at-10.0.0.77", "lan-eth1"),
        ("192.168.122.77", "at-192.168.122.77", "host"),
        ("10.200.3.4", "peer-wg0", "host"),
        ("10.8.0.9", "peer-wg0", "host"),
        ("2001:db8:77::5", "at-2001-db8-77--5", "gateway"),
        (str(HOST.networks[0].subnet[77]), f"at-{HOST.networks[0].subnet[77]}", "host"),
    ],
)
def test_an_address_that_no_node_has_gets_one(address: str, node: str, beside: str) -> None:
    found = asker(HOST, address)
    topology = network.topology(found.host)
    assert found.node == node
    assert address in [str(own.ip) for own in topology.node(node).addresses]
    ends = {link.a.node: link.b.node for link in topology.links} | {link.b.node: link.a.node for link in topology.links}
    assert ends[node] == beside


@pytest.mark.parametrize("address", ["224.0.0.1", "0.0.0.0", "255.255.255.255", "ff02::1"])
def test_an_address_that_cannot_send_is_refused(address: str) -> None:
    with pytest.raises(TestbedError, match="no packet can come from"):
        asker(HOST, address)


def test_a_network_without_a_machine_is_refused() -> None:
    empty = hostfile.parse("daemon: {bip: 172.17.0.1/16}")
    with pytest.raises(TestbedError, match="no machine is on the network docker0"):
        asker(empty, "docker0")


def test_a_name_that_nothing_has_stays_as_it_is() -> None:
    assert asker(article.HOST, "nowhere").node == "nowhere"
