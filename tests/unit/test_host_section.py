"""The section `host` of a host file: what it describes, what is assumed, and every error with line and remedy."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from pathlib import Path

import pytest

from testbed.docker import article, hostfile, network
from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.host import DockerHost
from testbed.docker.surroundings import TunnelKind, UplinkKind
from testbed.errors import TopologyError
from testbed.topology import Listener, Neighbour, Route, RouteKind, RoutingRule

SERVICES = "services: {web: {network_mode: bridge, ports: ['80:80']}}\n"
WHOLE = """host:
  uplinks:
    eth0: {addresses: [198.51.100.5/24, 198.51.100.6/24], gateway: 198.51.100.1, mac: '02:00:00:00:00:05', mtu: 1400}
    br0: {kind: bridge, ports: [eth1], addresses: 10.0.1.5/24}
  routes: [{to: default, via: 10.0.1.1, dev: br0, table: 100}, {to: 10.66.0.0/16, kind: blackhole}]
  rules: [{priority: 1000, from: 10.0.1.5, table: 100}, {priority: 7, mark: 0x10/0xff, dport: 80-90, not: true}]
  neighbours: [{address: 10.0.1.77, mac: '02:00:00:00:00:77', dev: br0}]
  tunnels: {wg0: {addresses: 10.8.0.1/24, networks: [10.200.0.0/16]}}
  bridges: {virbr0: {addresses: 192.168.122.1/24, guests: {vm1: 192.168.122.10}}}
  listeners: [22, 53/udp, '127.0.0.1:631', '[::1]:53/udp']
  macvlan: {nas: {addresses: 10.0.1.40/24, uplink: br0, driver: ipvlan}}
  sysctls: {net.ipv4.conf.all.rp_filter: 1}
"""


def host_of(section: str) -> DockerHost:
    return hostfile.parse(section + SERVICES)


def test_a_file_without_the_section_has_the_articles_surroundings() -> None:
    assert host_of("").surroundings == SURROUNDINGS


def test_every_key_of_the_section_is_read() -> None:
    host = host_of(WHOLE)
    found = host.surroundings
    eth0, br0 = found.uplinks
    assert (eth0.mac, eth0.mtu, eth0.gateways) == ("02:00:00:00:00:05", 1400, (IPv4Address("198.51.100.1"),))
    assert eth0.addresses == (IPv4Interface("198.51.100.5/24"), IPv4Interface("198.51.100.6/24"))
    assert (br0.kind, br0.ports, br0.gateways) == (UplinkKind.BRIDGE, ("eth1",), ())
    assert found.routes == (
        Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.1"), "br0", table=100),
        Route(IPv4Network("10.66.0.0/16"), kind=RouteKind.BLACKHOLE),
    )
    assert found.routing_rules == (
        RoutingRule(1000, source=IPv4Network("10.0.1.5/32"), table=100),
        RoutingRule(7, mark=0x10, mask=0xFF, destination_ports=(80, 90), inverted=True),
    )
    assert found.neighbours == (Neighbour(IPv4Address("10.0.1.77"), "02:00:00:00:00:77", "br0"),)
    (wg0,) = found.tunnels
    assert (wg0.kind, wg0.peer) == (TunnelKind.WIREGUARD, (IPv4Interface("10.8.0.2/24"),))
    assert [guest.addresses for guest in found.guests()] == [(IPv4Interface("192.168.122.10/24"),)]
    assert [str(listener) for listener in found.listeners] == [
        *("*:22/tcp", "*:53/udp", "127.0.0.1:631/tcp", "[::1]:53/udp"),
    ]
    assert (found.stations[0].driver, found.stations[0].uplink) == ("ipvlan", "br0")
    assert found.sysctls == (("net.ipv4.conf.all.rp_filter", "1"),)
    assert host.remarks == ("10.8.0.2 is behind wg0, which is assumed (`peer`).",)


def test_the_text_of_a_described_host_gives_the_same_host(tmp_path: object) -> None:
    path = f"{tmp_path}/host.yaml"
    with open(path, "w") as file:
        file.write(WHOLE + SERVICES)
    described = hostfile.described(path)
    assert hostfile.parse(described.text) == described.host


def test_a_gateway_that_is_not_named_is_assumed_and_none_is_none() -> None:
    named = host_of("host: {uplinks: {eth0: {addresses: 10.0.0.5/24, gateway: none}}}\n")
    assumed = host_of("host: {uplinks: {eth0: {addresses: 10.0.0.5/24}, eth1: {addresses: 10.0.1.5/24}}}\n")
    assert [uplink.gateways for uplink in named.surroundings.uplinks] == [()]
    assert [uplink.gateways for uplink in assumed.surroundings.uplinks] == [(IPv4Address("10.0.0.254"),), ()]
    assert assumed.remarks == ("eth0 has the gateway 10.0.0.254, which is assumed (`gateway`).",)
    assert not any(route.via for route in network.topology(named).node("host").routes)


def test_nodes_of_further_uplinks_have_derived_names_and_one_internet() -> None:
    nodes = {node.name for node in network.topology(host_of(WHOLE)).nodes}
    assert {"client", "gateway", "lan", "client-br0", "gateway-br0", "lan-br0", "internet", "peer-wg0", "vm1"} <= nodes
    assert {"nas", "wan", "host", "web"} <= nodes


def test_the_internet_moves_out_of_an_address_of_the_host() -> None:
    around = host_of("host: {uplinks: {eth0: {addresses: 203.0.113.10/24}}}\n").around
    assert str(around.internet_address(4)) == "198.51.100.10"
    assert str(article.HOST.around.internet_address(4)) == "203.0.113.10"


@pytest.mark.parametrize(
    ("address", "client", "router"),
    [
        ("10.0.0.1/24", "10.0.0.2/24", "10.0.0.254/24"),
        ("10.0.0.1/30", "198.18.0.1/24", "10.0.0.2/30"),
        ("10.0.0.1/32", "198.18.0.1/24", "198.18.0.254/24"),
    ],
)
def test_machines_find_room_in_the_subnet_or_behind_the_gateway(address: str, client: str, router: str) -> None:
    lan = host_of(f"host: {{uplinks: {{eth0: {{addresses: {address}}}}}}}\n").around.main
    assert (str(lan.client[0]), str(lan.gateway[0])) == (client, router)


def test_a_host_with_ipv6_outside_has_it_in_the_lan_and_the_internet() -> None:
    host = host_of("host: {uplinks: {eth0: {addresses: [10.0.0.5/24, '2001:db8:5::5/64']}}}\n")
    topology = network.topology(host)
    assert host.ipv6
    assert all(
        any(isinstance(address, IPv6Interface) for address in topology.node(name).addresses)
        for name in ("client", "gateway", "internet", "host")
    )


def test_listeners_and_policy_routing_are_told_by_the_node() -> None:
    node = network.topology(host_of(WHOLE)).node("host")
    assert Listener("tcp", 22) in node.listeners
    assert node.policy_routing
    assert not article.topology().node("host").policy_routing


@pytest.mark.parametrize(
    ("section", "what", "remedy"),
    [
        ("host: {uplink: {}}\n", "line 1: the key uplink is not known here", "Known are uplinks"),
        ("host:\n  uplinks:\n    eth0: {addresses: 10.0.0.5/33}\n", "line 3: '10.0.0.5/33' does not", "Correct"),
        ("host:\n  uplinks: {eth0: {addresses: 1.2.3.4/24, kind: vlam}}\n", "kind is vlam", "plain, vlan"),
        ("host: {uplinks: {br0: {kind: bridge}}}\n", "the bridge br0 has no port that leads out", "ports: [eth0]"),
        ("host: {uplinks: {eth0: {mac: 1-2}}}\n", "1-2 is no hardware address", "02:42:ac:11:00:02"),
        ("host: {uplinks: {eth0: {mtu: 10}}}\n", "mtu 10 is out of range", "from 68 to 65535"),
        ("host: {uplinks: {a1234567890123456: {addresses: 10.0.0.1/8}}}\n", "has 17 characters", "own name"),
        ("host: {routes: [{to: 10.0.0.0/8}]}\n", "neither `via` nor `dev`", "Give one of them"),
        ("host: {routes: [{to: 10.0.0.0/8, dev: eth9}]}\n", "the host has no interface eth9", "ens33"),
        ("host: {rules: [{from: 10.0.0.0/8}]}\n", "this rule has no `priority`", "ip rule"),
        ("host: {rules: [{priority: 5, mark: x}]}\n", "line 1: invalid literal", "Correct"),
        ("host: {neighbours: [{address: 10.0.0.1, dev: ens33}]}\n", "this neighbour has no `mac`", "ip neighbour"),
        ("host: {listeners: [ssh]}\n", "'ssh' is no listener", "53/udp"),
        ("host: {listeners: [22/sctp]}\n", "sctp has no sockets that listen", "tcp or udp"),
        ("host: {listeners: [70000]}\n", "70000 is no port", "Correct"),
        ("host: {tunnels: {wg0: {addresses: 10.8.0.1/32}}}\n", "the tunnel wg0 has no peer", "peer"),
        ("host: {macvlan: {nas: {addresses: 10.0.0.2/8, uplink: eth7}}}\n", "the host has no uplink eth7", "ens33"),
        ("host: {macvlan: {nas: {addresses: 10.0.0.2/8, driver: bridge}}}\n", "bridge is no driver", "macvlan or"),
        ("host: {sysctls: {kernel.hostname: x}}\n", "kernel.hostname is no sysctl of a network", "net."),
        ("host: {sysctls: {net.ipv4/../../x: 1}}\n", "is no sysctl of a network", "net."),
        (
            "host: {uplinks: {eth0: {addresses: 10.0.0.5/24}}, tunnels: {wg0: {addresses: 10.0.0.5/24}}}\n",
            "the address 10.0.0.5 is there twice",
            "another",
        ),
    ],
)
def test_an_error_names_line_and_remedy(section: str, what: str, remedy: str) -> None:
    with pytest.raises(TopologyError) as refused:
        host_of(section)
    assert what in str(refused.value)
    assert remedy in str(refused.value)


def test_all_errors_are_reported_at_once() -> None:
    section = "host:\n  uplinks:\n    eth0: {mac: x}\n  routes:\n    - {to: 10.0.0.0/8}\n  listeners: [ssh]\n"
    with pytest.raises(TopologyError, match="3 things are wrong") as refused:
        host_of(section)
    assert all(f"line {number}: " in str(refused.value) for number in (3, 5, 6))


def test_a_docker_network_in_a_subnet_of_a_tunnel_is_refused() -> None:
    text = (
        "host: {tunnels: {wg0: {addresses: 172.18.0.1/16}}}\n"
        "networks: {n: {ipam: {config: [{subnet: 172.18.5.0/24}]}}}\nservices: {web: {networks: [n]}}\n"
    )
    with pytest.raises(TopologyError, match=r"the subnet 172.18.5.0/24 overlaps that of the network at wg0"):
        network.topology(hostfile.parse(text))


def test_the_documented_section_is_read_and_has_a_topology() -> None:
    text = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text()
    section = text[text.index("```yaml\nhost:") + len("```yaml\n") :]
    host = hostfile.parse(section[: section.index("```")])
    assert [uplink.name for uplink in host.surroundings.uplinks] == ["eth0", "eth1.100", "br0"]
    assert {"client-eth1.100", "peer-wg0", "vm1", "nas"} <= {node.name for node in network.topology(host).nodes}
