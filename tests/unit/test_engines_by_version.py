"""What single versions do their own way, read from moby's source at the tags that are named."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from testbed import DockerHost, TestbedError
from testbed.docker import hostfile
from testbed.docker.engines import engine, engine_or_native
from testbed.docker.host import GatewayMode
from testbed.errors import TopologyError
from testbed.rules.ruleset import Chain


def texts(version: str, host: DockerHost, table: str) -> list[str]:
    return [rule.text for found, rule in engine(version).rules(host).rules if found.name == table]


def a_web(ports: str, network: str = "", daemon: str = "") -> DockerHost:
    """A container on network `back` (bridge back, 10.6.0.0/24), which has IPv6 where `network` says so."""
    return hostfile.parse(
        f"daemon: {{{daemon}}}\n"
        f"networks: {{back: {{driver_opts: {{com.docker.network.bridge.name: back}}, {network}}}}}\n"
        f"services: {{web: {{networks: [back], ports: {ports}}}}}\n"
    )


SIX = "enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}"
FOUR = "ipam: {config: [{subnet: 10.6.0.0/24}]}"


@pytest.mark.parametrize("version", ["27", "28.0.0", "28.1.1", "28.5", "29"])
def test_one_container_port_is_written_for_tcp_then_udp_then_sctp(version: str) -> None:
    """v27.0.1 and later, libnetwork/drivers/bridge/port_mapping_linux.go: cmpPortBinding."""
    host = a_web("['53:53/sctp', '53:53/udp', '53:53/tcp']", FOUR)
    ports = [rule.split()[6] for rule in texts(version, host, "nat") if "--dport 53 -j DNAT" in rule]
    assert ports == ["tcp", "udp", "sctp"]


@pytest.mark.parametrize(("version", "order"), [("26.1", ["9000", "8080"]), ("27", ["8080", "9000"])])
def test_27_takes_the_ports_of_a_container_in_the_order_of_the_containers(version: str, order: list[str]) -> None:
    """v27.0.1, port_mapping_linux.go: sortAndNormPBs."""
    translated = texts(version, a_web("['8080:80', '9000:90']", FOUR), "nat")
    assert [rule.split()[10] for rule in translated if "DNAT" in rule] == order


@pytest.mark.parametrize("version", ["28.0.0", "28.0.1", "28.1.1"])
def test_until_28_1_the_loopback_is_guarded_before_the_container(version: str) -> None:
    """v28.0.0, port_mapping_linux.go: setPerPortIptables."""
    assert texts(version, a_web("['127.0.0.1:8080:80']", FOUR), "raw") == [
        "-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP",
        "-A PREROUTING -d 10.6.0.2/32 ! -i back -p tcp -m tcp --dport 80 -j DROP",
    ]


@pytest.mark.parametrize("version", ["28.2.0", "28.5", "29"])
def test_since_28_2_the_container_is_guarded_before_the_loopback(version: str) -> None:
    """v28.2.0, internal/iptabler/endpoint.go: the endpoint comes before its ports."""
    assert texts(version, a_web("['127.0.0.1:8080:80']", FOUR), "raw") == [
        "-A PREROUTING -d 10.6.0.2/32 ! -i back -j DROP",
        "-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP",
    ]


@pytest.mark.parametrize("version", ["28.0.0", "28.0.4", "28.1.1"])
def test_until_28_1_a_port_on_an_ipv6_address_guards_the_containers_ipv4_port(version: str) -> None:
    """v28.0.0, port_mapping_linux.go: filterDirectAccess comes before the port is left to docker-proxy."""
    host = a_web("['[::1]:8080:80']", FOUR)
    assert texts(version, host, "raw") == ["-A PREROUTING -d 10.6.0.2/32 ! -i back -p tcp -m tcp --dport 80 -j DROP"]
    assert not [rule for table in ("nat", "filter") for rule in texts(version, host, table) if "10.6.0.2" in rule]
    assert texts(version, replace(host, userland_proxy=False), "raw") == []
    assert texts(version, a_web("['[::1]:8080:80']", SIX), "raw") == []


def test_since_28_2_such_a_port_writes_nothing_of_its_own() -> None:
    assert texts("28.2", a_web("['[::1]:8080:80']", FOUR), "raw") == ["-A PREROUTING -d 10.6.0.2/32 ! -i back -j DROP"]


@pytest.mark.parametrize("version", ["20.10", "23.0", "26.1", "27"])
def test_until_27_the_checksum_of_sctp_is_filled_in(version: str) -> None:
    """v20.10.24, vendor/github.com/docker/libnetwork/iptables/iptables.go: Forward; v27.5.1, setPerPortForwarding."""
    host = a_web("['9999:99/sctp', '9998:99/sctp', '80:80']", SIX, "ip6tables: true")
    filled = ["-A POSTROUTING -p sctp -m sctp --sport 99 -j CHECKSUM --checksum-fill"]
    assert texts(version, host, "mangle") == filled
    assert texts(version, host, "ip6 mangle") == filled
    mangle = engine(version).rules(host).tables[0]  # where iptables-nft-save prints it
    assert mangle.name == "mangle"
    assert {entry.policy for entry in mangle.entries if isinstance(entry, Chain)} == {"ACCEPT"}


def test_since_28_the_checksum_is_left_alone() -> None:
    """v28.0.0: only where DOCKER_IPTABLES_SCTP_CHECKSUM is 1."""
    assert "mangle" not in [table.name for table in engine("28.0.0").rules(a_web("['99:99/sctp']", FOUR)).tables]


@pytest.mark.parametrize(("version", "there"), [("20.10", False), ("23.0.0", True), ("24", True), ("27", True)])
def test_ip6tables_has_docker_user_since_23(version: str, there: bool) -> None:
    """v20.10.24 and v23.0.0, libnetwork/firewall_linux.go: arrangeUserFilterRule."""
    rules = texts(version, a_web("['80:80']", SIX, "ip6tables: true"), "ip6 filter")
    assert ("-A FORWARD -j DOCKER-USER" in rules) == there
    assert ("-A DOCKER-USER -j RETURN" in rules) == there


@pytest.mark.parametrize(("version", "guarded"), [("23.0.18", False), ("24.0.5", False), ("24.0.6", True)])
def test_an_internal_network_spares_what_crosses_no_bridge_in_ipv6_since_24_0_6(version: str, guarded: bool) -> None:
    """v24.0.6, libnetwork/drivers/bridge/setup_ip_tables.go: setupInternalNetworkRules."""
    rules = texts(version, a_web("[]", f"internal: true, {SIX}", "ip6tables: true"), "ip6 filter")
    inward, outward = ("! -i back ", " ! -o back") if guarded else ("", "")
    assert f"-A DOCKER-ISOLATION-STAGE-1 ! -s 2001:db8:1::/64 {inward}-o back -j DROP" in rules
    assert f"-A DOCKER-ISOLATION-STAGE-1 ! -d 2001:db8:1::/64 -i back{outward} -j DROP" in rules


def routed(host: DockerHost, **modes: GatewayMode) -> DockerHost:
    docker0, back = host.networks
    back = replace(back, **modes)
    (web,) = host.containers
    return replace(host, networks=(docker0, back), containers=(replace(web, network=back),))


def test_27_routes_a_network_without_translating() -> None:
    """v27.5.1, setup_ip_tables_linux.go: setupIPTablesInternal; port_mapping_linux.go: setPerPortNAT."""
    host = routed(a_web("['8080:80']", FOUR), mode=GatewayMode.ROUTED)
    assert [rule for rule in texts("27", host, "nat") if "back" in rule or "10.6.0" in rule] == []
    assert (
        "-A DOCKER -d 10.6.0.2/32 ! -i back -o back -p tcp -m tcp --dport 80 -j ACCEPT"
        in texts("27", host, "filter")
    )  # fmt: skip
    unproxied = texts("27", replace(host, userland_proxy=False), "nat")
    assert "-A POSTROUTING -o back -m addrtype --src-type LOCAL -j MASQUERADE" in unproxied


def test_27_writes_ip6tables_rules_unasked() -> None:
    """v27.0.1, cmd/dockerd/config_unix.go."""
    assert texts("27.0.1", a_web("['80:80']", SIX), "ip6 nat")
    assert not texts("26.1.5", a_web("['80:80']", SIX), "ip6 nat")


@pytest.mark.parametrize(
    ("version", "mode", "said"),
    [
        ("26.1", GatewayMode.ROUTED, "from 27 on"),
        ("27", GatewayMode.NAT_UNPROTECTED, "from 28 on"),
        ("20.10", GatewayMode.NAT_UNPROTECTED, "from 28 on"),
    ],
)
def test_a_gateway_mode_that_an_engine_has_not_is_refused(version: str, mode: GatewayMode, said: str) -> None:
    with pytest.raises(TopologyError, match=f"engine {version} has no gateway mode {mode.value}") as refused:
        engine(version).rules(routed(a_web("['8080:80']", FOUR), mode=mode))
    assert said in refused.value.remedy


@pytest.mark.parametrize(
    ("ports", "modes"),
    [
        ("['127.0.0.1:8080:80']", {"mode": GatewayMode.ROUTED}),
        ("['[::1]:8080:80']", {"mode6": GatewayMode.ROUTED}),
        ("['8080:80']", {"mode": GatewayMode.ROUTED, "mode6": GatewayMode.ROUTED}),
    ],
)
def test_27_refuses_a_port_of_the_host_where_nothing_is_translated(ports: str, modes: dict[str, GatewayMode]) -> None:
    """v27.5.1, port_mapping_linux.go: validatePortBindings."""
    host = routed(a_web(ports, SIX), **modes)
    with pytest.raises(TopologyError, match=r"web publishes .*8080:80/tcp, but back is routed"):
        engine("27").rules(host)
    assert engine("28").rules(host).tables


@pytest.mark.parametrize(("version", "there"), [("28.0.0", True), ("28.0.1", True), ("28.0.2", False), ("28.5", False)])
def test_a_routed_network_without_masquerade_returns_until_28_0_1(version: str, there: bool) -> None:
    """v28.0.1 and v28.0.2, setup_ip_tables_linux.go: SKIP DNAT."""
    host = routed(a_web("['8080:80']", FOUR), mode=GatewayMode.ROUTED, masquerade=False)
    assert ("-A DOCKER -i back -j RETURN" in texts(version, host, "nat")) == there


def with_snat(host: DockerHost) -> DockerHost:
    return routed(host, snat=IPv4Address("192.168.66.100"))


@pytest.mark.parametrize("version", ["20.10", "24", "26.1", "27", "28.0.0", "28.5", "29"])
def test_host_ipv4_translates_to_that_address(version: str) -> None:
    """v20.10.24 and later: setupIPTablesInternal (config.HostIP)."""
    host = with_snat(a_web("['80:80']", FOUR, "userland-proxy: false"))
    rules = texts(version, host, "nat")
    assert "-A POSTROUTING -s 10.6.0.0/24 ! -o back -j SNAT --to-source 192.168.66.100" in rules
    assert "-A POSTROUTING -o back -m addrtype --src-type LOCAL -j SNAT --to-source 192.168.66.100" in rules
    assert "-A POSTROUTING -s 10.6.0.2/32 -d 10.6.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE" in rules


def test_host_ipv4_breaks_ip6tables_before_25() -> None:
    """v24.0.9, setup_ip_tables.go gives one HostIP to both; v25.0.0 has HostIPv6."""
    host = with_snat(a_web("['80:80']", SIX, "ip6tables: true"))
    with pytest.raises(TopologyError, match="would give ip6tables the address"):
        engine("24").rules(host)
    assert engine("25").rules(host).tables
    assert engine("24").rules(replace(host, ip6tables=None)).tables
    with pytest.raises(TopologyError, match="does not know host_ipv6"):
        engine("24").rules(routed(host, snat=None, snat6=IPv6Address("2001:db8:66::100")))


@pytest.mark.parametrize("version", ["28.2", "28.5", "29"])
def test_a_trusted_interface_reaches_a_containers_own_address(version: str) -> None:
    """v28.2.0, internal/iptabler/endpoint.go: filterDirectAccess."""
    host = routed(a_web("['80:80']", FOUR), trusted=("ens33",))
    assert texts(version, host, "raw") == [
        "-A PREROUTING -d 10.6.0.2/32 -i ens33 -j ACCEPT",
        "-A PREROUTING -d 10.6.0.2/32 ! -i back -j DROP",
    ]
    native = engine_or_native("29-nftables").rules(host).text
    assert 'ip daddr 10.6.0.2 iifname != { "back", "ens33" } counter drop comment "DROP DIRECT ACCESS"' in native


@pytest.mark.parametrize("version", ["20.10", "27", "28.0.0", "28.1"])
def test_engines_before_28_2_know_no_trusted_interface(version: str) -> None:
    with pytest.raises(TestbedError, match="trusted_host_interfaces"):
        engine(version).rules(routed(a_web("['80:80']", FOUR), trusted=("ens33",)))
