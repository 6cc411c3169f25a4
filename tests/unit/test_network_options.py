"""Driver options of networks: what each changes, and which engines know it."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address

import pytest

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import chosen_for
from testbed.errors import TestbedError, TopologyError

BRIDGE, NETWORK = "com.docker.network.bridge.", "com.docker.network."
SIX = {"enable_ipv6": True, "ipam": {"config": [{"subnet": "10.6.0.0/24"}, {"subnet": "2001:db8:1::/64"}]}}


def host_with(options: dict[str, str], **network: object) -> DockerHost:
    described = {"net": {"driver_opts": {f"{BRIDGE}name": "br0", **options}, **network}}
    return hostfile.parse(
        json.dumps({"networks": described, "services": {"web": {"networks": ["net"], "ports": ["80:80"]}}}), "mine"
    )


def rules(host: DockerHost, version: str = "28") -> list[str]:
    return chosen_for(host, version).rules(host).text.splitlines()


def test_host_addresses_are_those_under_which_containers_go_out() -> None:
    options = {f"{NETWORK}host_ipv4": "192.168.66.100", f"{NETWORK}host_ipv6": "2001:db8:66::100"}
    host = host_with(options, **SIX)
    (network,) = [one for one in host.networks if one.bridge == "br0"]
    assert (network.snat, network.snat6) == (IPv4Address("192.168.66.100"), IPv6Address("2001:db8:66::100"))
    assert "-A POSTROUTING -s 10.6.0.0/24 ! -o br0 -j SNAT --to-source 192.168.66.100" in rules(host)
    assert "-A POSTROUTING -s 2001:db8:1::/64 ! -o br0 -j SNAT --to-source 2001:db8:66::100" in rules(host)


def test_a_network_that_goes_out_under_another_machines_address_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"br0 goes out under 192\.0\.2\.1, but the host has no such address"):
        article.topology(host_with({f"{NETWORK}host_ipv4": "192.0.2.1"}))


def test_trusted_interfaces_reach_a_containers_own_address() -> None:
    host = host_with({f"{BRIDGE}trusted_host_interfaces": "ens33:eth1"})
    own = [line for line in rules(host) if line.startswith("-A PREROUTING -d 172.18.0.2/32")]
    assert own == [
        "-A PREROUTING -d 172.18.0.2/32 -i ens33 -j ACCEPT",
        "-A PREROUTING -d 172.18.0.2/32 -i eth1 -j ACCEPT",
        "-A PREROUTING -d 172.18.0.2/32 ! -i br0 -j DROP",
    ]


def test_an_option_may_switch_ipv6_on() -> None:
    host = host_with({f"{NETWORK}enable_ipv6": "true"}, ipam=SIX["ipam"])
    assert host == host_with({f"{NETWORK}enable_ipv6": "true"}, **SIX)
    assert [str(one.gateway6) for one in host.networks if one.bridge == "br0"] == ["2001:db8:1::1/64"]


def test_a_bridge_may_have_no_address() -> None:
    host = host_with({f"{BRIDGE}inhibit_ipv4": "true"})
    (bridge,) = [one for one in article.topology(host).node("host").bridges if one.name == "br0"]
    assert bridge.addresses == ()
    internal = chosen_for(host, "28").built(host_with({f"{BRIDGE}inhibit_ipv4": "true"}, internal=True))
    assert [one.addressed for one in internal.networks if one.bridge == "br0"] == [False]


def test_an_mtu_is_that_of_the_bridge_and_of_both_ends_of_its_containers() -> None:
    topology = article.topology(host_with({f"{NETWORK}driver.mtu": "1450"}))
    host = topology.node("host")
    mtus = {device.name: device.mtu for device in host.devices}
    assert mtus["br0"] == 1450
    assert topology.node("web").interface("eth0").mtu == 1450
    assert sorted(mtus.values()) == [1450, 1450, 1500, 1500], "the veth; docker0 and ens33"


@pytest.mark.parametrize(
    ("option", "value", "engine", "since"),
    [
        (f"{BRIDGE}trusted_host_interfaces", "ens33", "28.1", "28.2"),
        (f"{NETWORK}host_ipv6", "2001:db8:66::100", "24", "25.0"),
        (f"{NETWORK}enable_ipv6", "true", "26.1", "27.0"),
        (f"{NETWORK}enable_ipv4", "true", "27", "28.0"),
    ],
)
def test_an_option_that_an_engine_does_not_know_is_refused(option: str, value: str, engine: str, since: str) -> None:
    host = host_with({option: value}, **SIX)
    with pytest.raises(
        TestbedError, match=rf"engine {engine} does not know the option {option} \(mine, line 1\)"
    ) as it:
        chosen_for(host, engine)
    assert f"which came with {since}." in it.value.what
    chosen_for(host, since)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({f"{NETWORK}host_ipv4": "a"}, "'a'"),
        ({f"{NETWORK}host_ipv6": "10.0.0.1"}, r"10\.0\.0\.1"),
        ({f"{BRIDGE}inhibit_ipv4": "perhaps"}, "inhibit_ipv4 is true or false, not perhaps"),
        ({f"{NETWORK}driver.mtu": "12"}, "12 is no MTU"),
        ({f"{NETWORK}driver.mtu": "many"}, "mtu is a whole number"),
        ({f"{NETWORK}enable_ipv4": "false"}, "every network of a bed has IPv4"),
        ({f"{NETWORK}driver.mtu": "1000", f"{NETWORK}enable_ipv6": "1"}, "enable_ipv6 is true or false"),
        ({f"{NETWORK}driver.mtu": "1000", f"{NETWORK}enable_ipv6": "true"}, "no IPv6 on links with an MTU of 1000"),
        ({f"{BRIDGE}enable_iccc": "true"}, "the key com.docker.network.bridge.enable_iccc is not known here"),
    ],
)
def test_an_option_that_cannot_be_followed_is_refused_with_its_line(options: dict[str, str], said: str) -> None:
    with pytest.raises(TopologyError, match=f"mine, line 1: .*{said}|mine, line 1: .*\n.*{said}"):
        host_with(options)


@pytest.mark.parametrize("version", ["20.10", "26.1", "28", "29-nftables"])
def test_a_network_with_ipv6_comes_before_others_as_the_default_route(version: str) -> None:
    """Endpoint.Less of moby counts gateways before it compares names."""
    host = hostfile.parse(
        json.dumps(
            {
                "daemon": {"ip6tables": True},
                "networks": {"aa": {}, "zz": SIX},
                "services": {"web": {"networks": ["aa", "zz"], "ports": ["80:80"]}},
            }
        )
    )
    (web,) = host.containers
    assert web.gateway is not None
    assert web.gateway.network.name == "testbed_zz"
    dnat = [line for line in rules(host, version) if "dnat" in line.lower() and "80" in line]
    assert any("10.6.0.2:80" in line for line in dnat)
    assert any("[2001:db8:1::2]:80" in line for line in dnat)


def test_gw_priority_gives_ipv4_and_ipv6_gateways_of_their_own() -> None:
    host = hostfile.parse(
        json.dumps(
            {
                "networks": {"aa": {}, "zz": SIX},
                "services": {"web": {"networks": {"aa": {"gw_priority": 1}, "zz": None}, "ports": ["80:80"]}},
            }
        )
    )
    routes = [str(route.via) for route in article.topology(host).node("web").routes]
    assert routes == ["172.18.0.1", "2001:db8:1::1"]
    dnat = [line.rpartition(" ")[2] for line in rules(host) if "DNAT" in line]
    assert dnat == ["172.18.0.2:80", "[2001:db8:1::2]:80"]
