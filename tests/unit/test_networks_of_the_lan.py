"""Services whose packets no bridge of the host carries: macvlan, ipvlan, the host's own network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.surroundings import MacvlanContainer
from testbed.errors import TopologyError

LAN = {"driver": "macvlan", "driver_opts": {"parent": "ens33"}, "ipam": {"config": [{"subnet": "192.168.66.0/24"}]}}
ELSEWHERE = {
    "driver": "macvlan",
    "driver_opts": {"parent": "eth0.50"},
    "ipam": {"config": [{"subnet": "10.50.0.0/24"}]},
}


def host_of(services: dict[str, Any], **networks: Any) -> DockerHost:
    host = hostfile.parse(json.dumps({"networks": networks, "services": services}), "mine")
    article.topology(host)
    return host


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_container_in_the_lan_is_a_station_of_it(driver: str) -> None:
    network = {**LAN, "driver": driver}
    host = host_of({"dns": {"networks": {"lan": {"ipv4_address": "192.168.66.53"}}, "ports": ["53:53"]}}, lan=network)
    (station,) = host.surroundings.stations
    assert isinstance(station, MacvlanContainer)
    assert (station.name, [str(one) for one in station.addresses]) == ("dns", ["192.168.66.53/24"])
    assert (station.uplink, station.driver) == ("ens33", driver)
    assert host.published() == ()
    assert host.node_called("testbed-dns-1") == "dns"
    assert "no rule of this host meets its packets" in " ".join(host.remarks)


def test_addresses_in_the_lan_are_given_out_as_an_engine_does() -> None:
    pool = {"subnet": "192.168.66.0/24", "gateway": "192.168.66.254", "ip_range": "192.168.66.192/27"}
    host = host_of({"a": {"networks": ["lan"], "scale": 2}}, lan={**LAN, "ipam": {"config": [pool]}})
    assert [str(one.addresses[0]) for one in host.surroundings.stations] == ["192.168.66.192/24", "192.168.66.193/24"]
    assert "such containers do not reach each other" in " ".join(host.remarks)


def test_a_container_of_another_lan_is_not_in_the_bed_and_neither_are_those_that_share_its_network() -> None:
    host = host_of({"cam": {"networks": ["v"]}, "side": {"network_mode": "service:cam"}, "web": {}}, v=ELSEWHERE)
    assert [one.name for one in host.containers] == ["web"]
    assert host.surroundings.stations == ()
    said = " ".join(host.remarks)
    assert "cam is on testbed_v, which is no network of this host's uplinks" in said
    assert "side shares the network of cam, and is not in the bed either" in said


@pytest.mark.parametrize(("name", "published"), [("z", 1), ("a", 0)])
def test_beside_a_bridge_the_engines_order_says_which_has_the_ports(name: str, published: int) -> None:
    """The LAN's network has the default route where its name comes first, and no port is published then."""
    web = {"networks": {"m": None, "lan": None}, "ports": ["80:80"]}
    host = host_of({"web": web}, m={}, lan={**ELSEWHERE, "name": f"{name}-lan"})
    assert len(host.published()) == published
    assert len(article.topology(host).node("web").routes) == published
    said = " ".join(host.remarks)
    assert f"web is on {name}-lan, a network of the LAN" in said
    assert ("its published ports" in said) is not published


def test_an_internal_network_of_the_lan_takes_no_default_route() -> None:
    web = {"networks": {"m": None, "lan": None}, "ports": ["80:80"]}
    assert len(host_of({"web": web}, m={}, lan={**ELSEWHERE, "name": "a", "internal": True}).published()) == 1


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"driver": "overlay"}, "the driver overlay is not known to a bed"),
        ({"driver": "ipvlan", "driver_opts": {"ipvlan_mode": "l3s"}}, "ipvlan in mode l3s are routed by the host"),
        ({"driver": "macvlan", "driver_opts": {"com.docker.network.bridge.name": "b"}}, "is not known here"),
    ],
)
def test_networks_that_a_bed_cannot_have_are_refused(network: dict[str, Any], said: str) -> None:
    with pytest.raises(TopologyError, match=f"mine, line 1: .*{said}"):
        host_of({"web": {"networks": ["n"]}}, n=network)


def test_a_service_in_the_hosts_network_listens_on_the_ports_that_the_file_names() -> None:
    host = host_of({"home": {"network_mode": "host", "ports": ["8123:8123"], "expose": ["5353/udp", "21000-21001"]}})
    assert [str(one) for one in host.surroundings.listeners] == [
        "*:8123/tcp",
        "*:5353/udp",
        "*:21000/tcp",
        "*:21001/tcp",
    ]
    (remark,) = host.remarks
    assert remark.endswith("it listens on the host, on 8123/tcp, 5353/udp, 21000/tcp, 21001/tcp.")


def test_a_port_that_a_container_publishes_is_not_a_listeners() -> None:
    host = host_of({"home": {"network_mode": "host", "expose": ["80"]}, "web": {"ports": ["80:80"]}})
    assert host.surroundings.listeners == ()
    assert "web publishes port 80/tcp, so home does not listen there." in host.remarks


def test_the_engines_own_network_of_that_name_is_the_hosts() -> None:
    host = host_of({"home": {"networks": ["h"]}}, h={"external": True, "name": "host"})
    assert host.node_called("home") == "host"
    with pytest.raises(TopologyError, match="a service is on host, or on other networks"):
        host_of({"home": {"networks": ["h", "default"]}}, h={"external": True, "name": "host"})


def test_a_port_to_expose_that_is_none_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"mine, line 1: .*'web' is no port"):
        host_of({"web": {"expose": ["web"]}})
