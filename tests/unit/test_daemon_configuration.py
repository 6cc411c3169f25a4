"""daemon.json as it is: what its keys change, for the engines that know them."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import LATEST, NATIVE, chosen_for
from testbed.errors import TestbedError, TopologyError

SERVICES = "services: {web: {network_mode: bridge, ports: ['80:80']}, app: {ports: ['81:81']}}"


def host_of(**keys: object) -> DockerHost:
    return hostfile.parse(
        f"daemon: {json.dumps({key.replace('_', '-'): keys[key] for key in keys})}\n{SERVICES}", "mine"
    )


def test_keys_that_do_not_filter_pass() -> None:
    plain = host_of()
    assert (
        host_of(log_driver="json-file", live_restore=True, registry_mirrors=[], dns=["1.1.1.1"], features={}) == plain
    )


def test_ip_is_where_ports_of_docker0_are_published_and_of_no_other_network() -> None:
    """As seen with 20.10.24; networks of a user have `host_binding_ipv4`."""
    web, app = host_of(ip="127.0.0.1").containers
    assert [port.address for port in (*web.published, *app.published)] == [IPv4Address("127.0.0.1"), None]
    option = {"bridge": {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}}
    web, app = host_of(default_network_opts=option).containers
    assert [port.address for port in (*web.published, *app.published)] == [None, IPv4Address("127.0.0.1")]


@pytest.mark.parametrize(
    ("keys", "gateways", "address"),
    [
        ({}, ["172.17.0.1/16", "172.18.0.1/16"], "172.17.0.2"),
        (
            {"default_address_pools": [{"base": "10.10.0.0/16", "size": 24}]},
            ["10.10.0.1/24", "10.10.1.1/24"],
            "10.10.0.2",
        ),
        ({"bip": "10.9.0.5/24"}, ["10.9.0.5/24", "172.17.0.1/16"], "10.9.0.1"),
        ({"fixed_cidr": "172.17.3.0/24"}, ["172.17.3.0/16", "172.18.0.1/16"], "172.17.3.1"),
        ({"bip": "10.9.0.1/16", "fixed_cidr": "10.9.7.0/24"}, ["10.9.0.1/16", "172.17.0.1/16"], "10.9.7.0"),
    ],
)
def test_docker0_and_networks_have_the_addresses_of_the_daemon(
    keys: dict[str, object], gateways: list[str], address: str
) -> None:
    """As seen with 20.10.24."""
    host = host_of(**keys)
    assert [str(network.gateway) for network in host.networks] == gateways
    assert str(host.containers[0].address) == address


def policies(host: DockerHost, version: str) -> list[str]:
    return [line for line in chosen_for(host, version).rules(host).text.splitlines() if line.startswith(":FORWARD")]


@pytest.mark.parametrize(
    ("keys", "version", "policy"),
    [
        ({}, "20.10", "DROP"),
        ({"ip_forward": False}, "20.10", "ACCEPT"),
        ({"ip_forward": False}, "28", "ACCEPT"),
        ({"ip_forward_no_drop": True}, "28", "ACCEPT"),
        ({"ip_forward_no_drop": False}, "28", "DROP"),
    ],
)
def test_the_policy_of_forward_follows_the_daemon(keys: dict[str, object], version: str, policy: str) -> None:
    assert policies(host_of(**keys), version) == [f":FORWARD {policy}"]


def test_without_ip_forward_the_host_does_not_forward() -> None:
    for forwarding, last in ((True, "1"), (False, "0")):
        node = article.topology(host_of(ip_forward=forwarding)).node("host")
        assert [value for key, value in node.sysctls if key == "net.ipv4.ip_forward"][-1] == last


@pytest.mark.parametrize("version", ["28", "29", "29-nftables"])
def test_direct_routing_leaves_out_the_drop_before_nat(version: str) -> None:
    def drops(host: DockerHost) -> int:
        return chosen_for(host, version).rules(host).text.count("172.17.0.2")

    assert drops(host_of()) - drops(host_of(allow_direct_routing=True)) == 1


def test_the_firewall_backend_chooses_the_rules_of_29() -> None:
    native = host_of(firewall_backend="nftables")
    assert (chosen_for(native, "29"), chosen_for(native, LATEST)) == (NATIVE, NATIVE)
    assert chosen_for(host_of(), LATEST).name == "29"
    with pytest.raises(TestbedError, match="firewall-backend is iptables"):
        chosen_for(host_of(firewall_backend="iptables"), "29-nftables")


@pytest.mark.parametrize(
    ("keys", "version", "said"),
    [
        ({"ip_forward_no_drop": True}, "20.10", "engine 20.10 does not know the daemon's ip-forward-no-drop"),
        ({"allow_direct_routing": True}, "28.1.1", "allow-direct-routing .mine, line 1., which came with 28.2"),
        ({"firewall_backend": "nftables"}, "28", "firewall-backend .* which came with 29.0"),
        ({"default_network_opts": {}}, "20.10", "default-network-opts .* which came with 24.0"),
    ],
)
def test_a_key_that_an_engine_does_not_know_is_refused_with_its_place(
    keys: dict[str, object], version: str, said: str
) -> None:
    with pytest.raises(TestbedError, match=said):
        chosen_for(host_of(**keys), version)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"usrland_proxy": True}, "the key usrland-proxy is not known here"),
        ({"mtu": 60}, "60 is no MTU"),
        ({"mtu": 65536}, "65536 is no MTU"),
        ({"bridge": "br0", "bip": "10.0.0.1/24"}, "an engine takes `bridge` or `bip`, not both"),
        ({"ip": "a"}, "Expected 4 octets"),
        ({"firewall_backend": "ebpf"}, "ebpf is no firewall backend"),
        ({"fixed_cidr": "10.0.0.0/24"}, r"10\.0\.0\.0/24 is not in docker0's subnet 172\.17\.0\.0/16"),
        ({"default_address_pools": [{"base": "10.0.0.0/24", "size": 16}]}, "has no subnets with a prefix of 16"),
        ({"default_address_pools": [{"base": "", "size": 16}]}, "'' does not appear to be"),
        ({"bridge": "none"}, "the host has no docker0"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_line(keys: dict[str, object], said: str) -> None:
    with pytest.raises(TopologyError, match=f"mine, line [12]: .*{said}"):
        host_of(**keys)


def test_the_mtu_is_that_of_docker0_and_of_no_other_network() -> None:
    host = host_of(mtu=1400)
    assert [network.mtu for network in host.networks] == [1400, 1500]
    assert host_of(mtu=0) == host_of(), "0 is the engine's default"
    option = {"bridge": {"com.docker.network.driver.mtu": "1280"}}
    assert [network.mtu for network in host_of(default_network_opts=option).networks] == [1500, 1280]


def test_another_bridge_stands_for_docker0_and_its_address_is_assumed() -> None:
    host = host_of(bridge="br0")
    assert host.networks[0].bridge == "br0"
    assert str(host.containers[0].address) == "172.17.0.2"
    (remark,) = host.remarks
    assert remark.startswith("the bridge br0 is one of the host's own")
    rules = chosen_for(host, "28").rules(host).text
    assert "-A DOCKER ! -i br0 -o br0 -j DROP" in rules
    assert "docker0" not in rules


SIX = "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}}}"
FORWARDS6 = "net.ipv6.conf.all.forwarding: 1, net.ipv6.conf.default.forwarding: 1"


@pytest.mark.parametrize(
    ("sysctls", "version", "expected"),
    [
        ("net.ipv4.ip_forward: 0", "28", ["DROP", "DROP"]),
        ("net.ipv4.ip_forward: 1", "20.10", ["ACCEPT", "DROP"]),
        ("net.ipv4.ip_forward: 1", "28", ["ACCEPT", "DROP"]),
        (FORWARDS6, "28", ["DROP", "ACCEPT"]),
        ("net.ipv6.conf.all.forwarding: 1", "28", ["DROP", "DROP"]),
        (FORWARDS6, "27", ["DROP", "DROP"]),
    ],
)
def test_the_policy_of_forward_is_left_on_a_host_that_forwards_already(
    sysctls: str, version: str, expected: list[str]
) -> None:
    """Until 27 IPv6's policy is set all the same (moby, setup_ip_forwarding.go of v20.10.24, v27.5.1, v28.0.0)."""
    host = hostfile.parse(
        f"daemon: {{ip6tables: true, experimental: true}}\nhost: {{sysctls: {{{sysctls}}}}}\n"
        f"{SIX}\nservices: {{web: {{networks: [n]}}}}"
    )
    assert policies(host, version) == [f":FORWARD {policy}" for policy in expected]
