"""Compose files as they are: the hosts that an engine makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.docker import DockerHost, hostfile
from testbed.docker.engines import chosen_for
from testbed.docker.host import Container
from testbed.errors import TestbedError, TopologyError

DATA = Path(__file__).parents[1] / "data" / "compose"


def host_of(name: str) -> DockerHost:
    """The host of a file; the text that stands for it gives the same."""
    described = hostfile.described(DATA / name, {})
    assert hostfile.parse(described.text) == described.host
    assert hostfile.parse(described.text).remarks == described.host.remarks
    return described.host


def networks_of(container: Container) -> list[str]:
    return [own.network.name for own in container.attachments]


def test_a_service_without_networks_joins_the_project_default_network_with_its_options() -> None:
    host = host_of("01-default-net-internal.yml")
    (web,) = host.containers
    assert networks_of(web) == ["compose_default"]
    assert web.network.internal
    assert web.network.bridge.startswith("br-")
    assert len(web.network.bridge) == len("br-") + 12
    assert host.published() == ()


@pytest.mark.parametrize(
    "name",
    ["02-volumes-top.yml", "03-x-anchor.yml", "11-interp.yml", "40-default-network-ref.yml"],
)
def test_a_port_of_the_default_network_is_published(name: str) -> None:
    (web,) = host_of(name).containers
    assert networks_of(web) == ["compose_default"]
    assert (str(web.address), [str(port) for port in web.published]) == ("172.18.0.2", ["80:80/tcp"])


def test_a_long_port_has_its_address() -> None:
    assert [str(p) for p in host_of("05-long-port.yml").containers[0].published] == ["127.0.0.1:8080:80/tcp"]


def test_a_port_without_a_host_port_is_taken_from_the_ephemeral_range_and_reported() -> None:
    host = host_of("09-empty-host-port.yml")
    (port,) = host.containers[0].published
    assert (port.host, str(port.address)) == (32768, "127.0.0.1")
    assert any("chooses the host's port" in remark for remark in host.remarks)


def test_interpolation_takes_the_environment_before_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text((DATA / "11-interp.yml").read_text())
    (tmp_path / ".env").write_text("PORT=81\n")
    for environment, port in (({}, 81), ({"PORT": "82"}, 82)):
        host = hostfile.described(tmp_path, environment).host
        assert [port.host for port in host.containers[0].published] == [port]


def test_network_mode_host_is_the_host_itself() -> None:
    host = host_of("13-network-mode-host.yml")
    assert (host.containers, host.node_called("web")) == ((), "host")
    assert any("listens on the host" in remark for remark in host.remarks)


def test_network_mode_service_shares_the_node_of_the_other() -> None:
    host = host_of("14-network-mode-service.yml")
    assert [c.name for c in host.containers] == ["vpn"]
    assert host.node_called("web") == "vpn"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("17-expose.yml", "compose-web-1"),
        ("20-aliases.yml", "www"),
        ("59-container-name.yml", "shop-web"),
    ],
)
def test_a_container_is_known_by_the_names_that_the_file_gives_it(name: str, known: str) -> None:
    host = host_of(name)
    assert host.node_called(known) == "web"
    assert "web" in {container.name for container in host.containers}


def test_a_mac_address_is_that_of_the_container() -> None:
    assert host_of("36-mac.yml").containers[0].mac == "02:42:ac:11:00:99"


def test_an_external_network_is_assumed_and_reported_unless_it_is_described_beside(tmp_path: Path) -> None:
    host = host_of("21-external.yml")
    assert networks_of(host.containers[0]) == ["proxy"]
    assert any("proxy is external" in remark for remark in host.remarks)
    (tmp_path / "more.yml").write_text("networks: {proxy: {external: false, name: proxy, internal: true}}")
    described = hostfile.described(f"{DATA / '21-external.yml'},{tmp_path / 'more.yml'}", {}).host
    assert described.containers[0].network.internal
    assert described.remarks == ()


def test_replicas_are_containers_with_numbers() -> None:
    host = host_of("25-deploy-replicas.yml")
    assert [c.name for c in host.containers] == ["web-1", "web-2", "web-3"]
    assert [str(c.address) for c in host.containers] == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]
    assert (host.node_called("compose-web-2"), host.node_called("web")) == ("web-2", "web-1")


def test_the_name_of_a_network_chooses_the_gateway() -> None:
    (web,) = host_of("34-name.yml").containers
    assert networks_of(web) == ["zz", "compose_mid"]
    assert web.gateway is not None
    assert web.gateway.network.name == "compose_mid"


def test_a_daemon_json_as_it_is() -> None:
    host = host_of("41-daemon-real.yml")
    docker0, default = host.networks
    assert (str(docker0.gateway), str(default.gateway)) == ("10.10.0.1/24", "10.10.1.1/24")
    assert (str(docker0.binding), default.binding) == ("127.0.0.1", None)


def test_a_service_may_be_called_as_a_node_of_the_bed() -> None:
    host = host_of("44-name-host.yml")
    assert [c.name for c in host.containers] == ["host-1"]
    assert host.node_called("host") is None
    assert any("host-1" in remark for remark in host.remarks)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    text = (
        "services:\n  web: {prts: [], networks: [none]}\n  app: {ports: ['99999:1', x]}\nnetworks: {n: {internl: 1}}\n"
    )
    with pytest.raises(TopologyError) as raised:
        hostfile.parse(text, "mine")
    for place in ("line 2: the key prts", "line 2: there is no network none", "line 3: 99999", "line 3: 'x'"):
        assert f"mine, {place}" in str(raised.value)
    assert "mine, line 4: the key internl is not known here. Known are internal." in str(raised.value)


def test_a_subnet_of_the_bed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "networks: {n: {ipam: {config: [{subnet: 192.168.0.0/16}]}}}\nservices: {web: {networks: [n]}}\n"
    )
    with pytest.raises(TopologyError, match=r"line 1: the subnet 192\.168\.0\.0/16 overlaps that of the LAN"):
        hostfile.read(tmp_path / "compose.yml")


def test_gw_priority_chooses_the_gateway_and_needs_an_engine_that_knows_it() -> None:
    host = hostfile.parse(
        "networks: {a: {}, b: {}}\n"
        "services: {web: {networks: {a: {priority: 1}, b: {gw_priority: 1}}, ports: ['80:80']}}"
    )
    (web,) = host.containers
    assert networks_of(web) == ["testbed_a", "testbed_b"]
    assert web.gateway is not None
    assert web.gateway.network.name == "testbed_b"
    assert chosen_for(host, "28").name == "28.2.2"
    with pytest.raises(TestbedError, match="engine 27 does not know gw_priority of web:eth1 on testbed_b"):
        chosen_for(host, "27")


def test_priority_orders_the_connections_of_a_service() -> None:
    host = hostfile.parse("networks: {a: {}, b: {}}\nservices: {web: {networks: {a: {}, b: {priority: 9}}}}")
    assert networks_of(host.containers[0]) == ["testbed_b", "testbed_a"]


def test_services_start_behind_those_that_they_need_and_so_get_their_addresses() -> None:
    host = hostfile.parse(
        "services: {web: {depends_on: {db: {condition: service_healthy}}}, app: {links: ['web:x']}, db: {},"
        " side: {network_mode: 'service:app'}}"
    )
    assert [(c.name, str(c.address)) for c in host.containers] == [
        ("db", "172.18.0.2"),
        ("web", "172.18.0.3"),
        ("app", "172.18.0.4"),
    ]
    assert host.node_called("side") == "app"


@pytest.mark.parametrize(
    ("config", "gateway", "first"),
    [
        ("{subnet: 10.1.0.0/16, ip_range: 10.1.5.0/24}", "10.1.5.0/16", "10.1.5.1"),
        ("{subnet: 10.1.0.0/16, ip_range: 10.1.0.0/24}", "10.1.0.1/16", "10.1.0.2"),
        ("{subnet: 10.1.0.0/16, ip_range: 10.1.5.0/24, gateway: 10.1.0.9}", "10.1.0.9/16", "10.1.5.0"),
        ("{subnet: 10.1.0.5/24}", "10.1.0.1/24", "10.1.0.2"),
        ("{subnet: 10.1.0.0/24, aux_addresses: {a: 10.1.0.2}}", "10.1.0.1/24", "10.1.0.3"),
    ],
)
def test_addresses_are_given_out_as_an_engine_does(config: str, gateway: str, first: str) -> None:
    """As seen with 20.10.24."""
    host = hostfile.parse(f"networks: {{a: {{ipam: {{config: [{config}]}}}}}}\nservices: {{web: {{networks: [a]}}}}")
    assert (str(host.containers[0].network.gateway), str(host.containers[0].address)) == (gateway, first)
