"""Engine generations: each writes the rules that a real engine of it wrote, in their order."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from testbed import DockerHost, TestbedError
from testbed.docker import hostfile
from testbed.docker.engines import ENGINES, Engine, engine
from testbed.docker.host import GatewayMode
from testbed.errors import TopologyError
from testbed.rules import save

DATA = Path(__file__).parent.parent / "data"
CAPTURED = sorted(path.parent for path in (DATA / "captures").glob("*/*/iptables-save.txt"))


def described(captured: Path) -> DockerHost:
    """The host of a capture, its made-up bridge called as the engine called it in that run."""
    host = hostfile.read(DATA / "hosts" / f"{captured.name}.yaml")
    names = re.findall(r"br-[0-9a-f]{12}", (captured / "iptables-save.txt").read_text())
    if not names:
        return host
    docker0, second = host.networks
    renamed = replace(second, bridge=names[0])
    containers = (replace(c, network=renamed) if c.network == second else c for c in host.containers)
    return replace(host, networks=(docker0, renamed), containers=tuple(containers))


def test_every_captured_host_is_described() -> None:
    assert len(CAPTURED) == 32
    assert {path.name for path in CAPTURED} == {path.stem for path in (DATA / "hosts").glob("*.yaml")}


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_model_writes_what_the_real_engine_wrote(captured: Path) -> None:
    written = engine(captured.parent.name).rules(described(captured))
    assert written.listing == save.read(captured / "iptables-save.txt").listing


@pytest.mark.parametrize(
    ("version", "generation"),
    [
        ("20.10", "20.10"),
        ("20.10.24", "20.10"),
        ("26.1", "20.10"),
        ("v27.5.1", "20.10"),
        ("28.0.0", "28.0.0"),
        ("28.0", "28.0.1"),
        ("28.0.1", "28.0.1"),
        ("28.1", "28.0.1"),
        ("28.2.1", "28.2.0"),
        ("28.2.2", "28.2.2"),
        ("28", "28.2.2"),
        ("29.7.2", "29"),
    ],
)
def test_a_version_belongs_to_a_generation(version: str, generation: str) -> None:
    assert engine(version).name == generation


@pytest.mark.parametrize(
    ("version", "said"),
    [("19.03", "older than what is known"), ("new", "no version"), ("", "no version")],
)
def test_a_version_that_is_not_known_is_refused(version: str, said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        engine(version)


def texts(version: str, host: DockerHost) -> list[str]:
    return [rule.text for _, rule in engine(version).rules(host).rules]


HOST = hostfile.parse("networks: {back: {driver_opts: {com.docker.network.bridge.name: back}}}\n")


def with_mode(mode: GatewayMode) -> DockerHost:
    return hostfile.parse(
        "networks: {back: {driver_opts: {com.docker.network.bridge.name: back, "
        f"com.docker.network.bridge.gateway_mode_ipv4: {mode.value}}}}}}}\n"
        "services: {app: {networks: [back], ports: ['8080:80']}}\n"
    )


def test_between_28_0_and_28_2_the_raw_table_guards_ports_and_then_whole_containers() -> None:
    host = with_mode(GatewayMode.NAT)
    ports, whole = (
        "-A PREROUTING -d 172.18.0.2/32 ! -i back -p tcp -m tcp --dport 80 -j DROP",
        ("-A PREROUTING -d 172.18.0.2/32 ! -i back -j DROP"),
    )
    assert ports in texts("28.0.1", host)
    assert whole not in texts("28.0.1", host)
    assert whole in texts("28.2.0", host)
    assert ports not in texts("28.2.0", host)


def test_docker_user_returns_until_28_2_1() -> None:
    for version in ("20.10", "28.0.1", "28.2.1"):
        assert "-A DOCKER-USER -j RETURN" in texts(version, HOST)
    assert not [rule for rule in texts("28.2.2", HOST) + texts("29", HOST) if rule.startswith("-A DOCKER-USER")]


def test_29_has_no_isolation_stages_and_leaves_calls_from_containers_to_no_rule() -> None:
    """moby's listing of 29.0.0 for an internal network; no RETURN in nat DOCKER."""
    host = hostfile.read(DATA / "hosts" / "internal.yaml")
    bridge = host.networks[1].bridge
    rules = texts("29", host)
    assert not [rule for rule in rules if "ISOLATION" in rule or rule == "-A DOCKER -i docker0 -j RETURN"]
    assert [rule for rule in rules if rule.startswith("-A DOCKER-INTERNAL")] == [
        f"-A DOCKER-INTERNAL ! -s 172.18.0.0/16 -o {bridge} -j DROP",
        f"-A DOCKER-INTERNAL ! -d 172.18.0.0/16 -i {bridge} -j DROP",
    ]


@pytest.mark.parametrize("version", ["28.2.2", "29"])
def test_an_unprotected_network_accepts_every_port_and_still_translates(version: str) -> None:
    rules = texts(version, with_mode(GatewayMode.NAT_UNPROTECTED))
    assert "-A DOCKER ! -i back -o back -j ACCEPT" in rules
    assert not [rule for rule in rules if "172.18.0.2/32" in rule]
    assert "-A DOCKER ! -i back -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80" in rules


@pytest.mark.parametrize("version", ["28.2.2", "29"])
def test_a_routed_network_is_reached_by_its_own_addresses(version: str) -> None:
    rules = texts(version, with_mode(GatewayMode.ROUTED))
    in_filter = engine(version).rules(with_mode(GatewayMode.ROUTED)).table("filter").rules_of("DOCKER")
    filter_docker = [rule.text for rule in in_filter if "back" in rule.text]
    assert filter_docker == [
        "-A DOCKER -d 172.18.0.2/32 ! -i back -o back -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER -o back -p icmp -j ACCEPT",
        "-A DOCKER ! -i back -o back -j DROP",
    ]
    assert not [rule for rule in rules if "8080" in rule or "172.18.0.0/16" in rule]
    assert ("-A DOCKER -i back -j RETURN" in rules) == (version != "29")  # seen on 28.5.2, though nothing is translated
    stage_1 = [rule for rule in rules if rule.startswith("-A DOCKER-ISOLATION-STAGE-1") and "back" in rule]
    assert (
        stage_1[:2]
        == [
            "-A DOCKER-ISOLATION-STAGE-1 -i back -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A DOCKER-ISOLATION-STAGE-1 -o back -j RETURN",
        ]
        or version == "29"
    )


def test_a_classic_engine_has_no_gateway_modes() -> None:
    with pytest.raises(TopologyError, match="back: the classic engines have no gateway mode routed"):
        engine("26.1").rules(with_mode(GatewayMode.ROUTED))


@pytest.mark.parametrize("known", ENGINES, ids=lambda known: known.name)
def test_every_engine_says_what_it_is_known_from_and_names_no_rule_twice(known: Engine) -> None:
    assert known.known_from
    host = hostfile.read(DATA / "hosts" / "host-ip-udp-range.yaml")
    rules = [(table.name, rule.text) for table, rule in known.rules(host).rules]
    assert len(rules) == len(set(rules)) > 20


def test_28_0_0_finds_bridges_by_a_set_of_subnets() -> None:
    """moby's listing of 28.0.0: FORWARD itself holds the rules."""
    host = hostfile.read(DATA / "hosts" / "internal.yaml")
    rules = engine("28.0.0").rules(host)
    assert rules.sets == "create docker-ext-bridges-v4 hash:net\nadd docker-ext-bridges-v4 172.17.0.0/16\n"
    inside = host.networks[1].bridge
    assert [rule.text for _, rule in rules.rules if rule.chain == "FORWARD"] == [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER",
        "-A FORWARD -i docker0 -j ACCEPT",
        f"-A FORWARD -i {inside} -o {inside} -j ACCEPT",
    ]


def test_a_classic_network_without_icc_is_closed_at_the_end_of_forward() -> None:
    """Measured on 20.10.24: the ACCEPT of icc is inserted with its network, the DROP is appended."""
    option = "com.docker.network.bridge."
    closed = f"networks: {{back: {{driver_opts: {{{option}name: back, {option}enable_icc: no}}}}}}"
    forward = [rule for rule in texts("20.10", hostfile.parse(closed)) if rule.startswith("-A FORWARD")]
    assert forward[-2:] == ["-A FORWARD -i docker0 -o docker0 -j ACCEPT", "-A FORWARD -i back -o back -j DROP"]


def test_without_masquerade_a_network_has_no_return_in_nat_docker() -> None:
    """Measured on 20.10.24."""
    assert "-A DOCKER -i docker0 -j RETURN" in texts("20.10", hostfile.parse(""))
    assert "-A DOCKER -i docker0 -j RETURN" not in texts("20.10", hostfile.parse("daemon: {ip-masq: false}"))
