"""Docker hosts as values: the article's, what engines install for others, what cannot be."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from testbed import DockerHost, PublishedPort
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.errors import TopologyError
from testbed.rules import save

CAPTURES = Path(__file__).parent.parent / "data" / "captures"


def test_the_articles_host_has_its_names_addresses_macs_and_indexes() -> None:
    host = article.topology().node("host")
    ens33, veth = (host.interface(name) for name in ("ens33", "veth50b382d"))
    (docker0,) = host.bridges
    assert (ens33.mac, ens33.index, ens33.addresses) == ("00:0c:29:b6:16:6b", 2, (IPv4Interface("192.168.66.100/24"),))
    assert (docker0.name, docker0.mac, docker0.index) == ("docker0", "02:42:5f:9a:dc:2c", 3)
    assert docker0.addresses == (IPv4Interface("172.17.0.1/16"),)
    assert (veth.mac, veth.index, veth.master) == ("fa:9f:74:9c:7e:80", 19, "docker0")
    assert [(str(route.destination), str(route.via)) for route in host.routes] == [("0.0.0.0/0", "192.168.66.254")]
    eth0 = article.topology().node("web").interface("eth0")
    assert (eth0.index, eth0.scripted) == (18, (IPv4Interface("172.17.0.2/16"),))


def test_the_articles_rule_set_has_eighteen_rules_in_two_tables() -> None:
    assert len(list(article.ruleset().rules)) == 18
    assert [table.name for table in article.ruleset().tables] == ["filter", "nat"]
    assert article.rules_of(article.HOST).listing == article.ruleset().listing


@pytest.mark.parametrize("version", ["20.10", "26.1"])
@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("web80", article.HOST),
        ("web80-noproxy", article.HOST_WITHOUT_PROXY),
        ("fresh", replace(article.HOST, containers=())),
    ],
)
def test_the_model_writes_what_a_real_engine_installed(version: str, name: str, host: DockerHost) -> None:
    captured = save.read(CAPTURES / version / name / "iptables-save.txt")
    assert engine(version).rules(host).listing == captured.listing


@pytest.mark.parametrize("version", ["20.10", "26.1"])
def test_of_two_networks_too(version: str) -> None:
    """The second network's bridge has a name of its own in every run."""
    captured = save.read(CAPTURES / version / "two-networks" / "iptables-save.txt")
    (bridge,) = {word for _, rule in captured.rules for word in rule.spec.split() if word.startswith("br-")}
    network = replace(article.SECOND_NETWORK, bridge=bridge)
    app = replace(article.APP, network=network)
    assert engine(version).rules(DockerHost((article.DOCKER0, network), (article.WEB, app))).listing == captured.listing


@pytest.mark.parametrize(("host", "hairpin"), [(article.HOST, False), (article.HOST_WITHOUT_PROXY, True)])
def test_without_the_proxy_bridge_ports_send_back_and_loopback_is_routed(host: DockerHost, hairpin: bool) -> None:
    node = article.topology(host).node("host")
    assert node.interface("veth50b382d").hairpin is hairpin
    localnet = ("net.ipv4.conf.docker0.route_localnet", "1")
    assert (localnet in (*node.sysctls, *node.late_sysctls)) is hairpin


def test_with_kernels_only_the_clients_second_address_is_scripted() -> None:
    nodes = article.topology_with_kernels().nodes
    scripted = {
        (node.name, str(address)) for node in nodes for interface in node.interfaces for address in interface.scripted
    }
    assert scripted == {("client", "192.168.66.2/24")}
    kernels = {str(address.ip) for node in nodes for device in node.devices for address in device.addresses}
    assert kernels >= {"192.168.66.1", "192.168.66.100", "203.0.113.10", "172.17.0.2"}
    web = article.topology_with_kernels().node("web")
    assert [str(route.destination) for route in web.routes if route.blackhole] == ["192.168.66.2/32"]


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("port", [1, 65535])
def test_the_lowest_and_the_highest_port_can_be_published(port: int, protocol: str) -> None:
    (web,) = article.publishing(PublishedPort(port, port, protocol)).containers
    assert [(p.host, p.container, p.protocol) for p in web.published] == [(port, port, protocol)]


def test_ports_that_are_published_show_in_three_rules_each() -> None:
    rules = [rule.text for _, rule in article.rules_of(article.publishing(PublishedPort(53, 5353, "udp"))).rules]
    assert [rule for rule in rules if "53" in rule.split("--dport")[-1] and "--dport" in rule] == [
        "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 5353 -j ACCEPT",
        "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p udp -m udp --dport 5353 -j MASQUERADE",
        "-A DOCKER ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.2:5353",
    ]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TopologyError, match="0 is no port"):
        PublishedPort(0, 80)
    with pytest.raises(TopologyError, match="65536 is no port"):
        PublishedPort(80, 65536)
    with pytest.raises(TopologyError, match="icmp has no ports"):
        PublishedPort(80, 80, "icmp")
    with pytest.raises(TopologyError, match="port 80/tcp is published by web and by web"):
        article.publishing(PublishedPort(80, 80), PublishedPort(80, 81))
    assert article.publishing(PublishedPort(80, 80), PublishedPort(80, 80, "udp")).containers[0].published[1].host == 80
    lost = replace(article.WEB, address=IPv4Address("172.18.0.2"))
    with pytest.raises(TopologyError, match=r"container web: 172\.18\.0\.2 is not in 172\.17\.0\.0/16"):
        DockerHost((article.DOCKER0,), (lost,))
