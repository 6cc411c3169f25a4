"""The parts of a comparison with a real engine that need none: requests to it, the differences, how they are shown."""

from __future__ import annotations

import io
import sys
import tarfile
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from rich.console import Console

from testbed.conformance import hosts, image, wishes
from testbed.conformance.compare import compare, of_one_side, out_of_order
from testbed.conformance.programs import is_static
from testbed.conformance.run import ASPECTS, Conformance
from testbed.docker import DockerHost, PublishedPort, article, hostfile
from testbed.docker.host import GatewayMode
from testbed.report import conformance as report

EQUAL: dict[str, list[str]] = {aspect: [] for aspect in ASPECTS}


def test_a_rule_set_does_not_differ_from_itself_with_other_counters() -> None:
    assert compare(article.ruleset(), article.rules_of(article.HOST)) == []


def test_a_rule_that_is_missing_and_one_that_is_new_are_named_with_their_table() -> None:
    rules = article.ruleset()
    other = rules.delete("filter", "-A DOCKER-USER -j RETURN").insert("nat", "DOCKER", "-i lo -j RETURN")
    assert compare(rules, other) == ["- filter -A DOCKER-USER -j RETURN", "+ nat -A DOCKER -i lo -j RETURN"]


def test_a_rule_that_stands_elsewhere_is_a_matter_of_order_only() -> None:
    rules = article.ruleset()
    moved = rules.delete("filter", "-A FORWARD -j DOCKER-USER")
    first = moved.table("filter").rules_of("FORWARD")[0]
    other = moved.insert("filter", "FORWARD", "-j DOCKER-USER").delete("filter", first.text)
    other = other.insert("filter", "FORWARD", first.spec)
    assert of_one_side(rules.listing, other.listing) == []
    assert len(out_of_order(rules.listing, other.listing)) == 2
    assert len(compare(rules, other)) == 2


def test_lines_of_one_side_do_not_count_as_out_of_order() -> None:
    assert out_of_order(["a", "b", "c", "d"], ["x", "a", "c", "d", "a"]) == []
    assert out_of_order(["a", "b", "a"], ["a", "a", "b"]) == ["+ a", "- a"]
    assert of_one_side(["a", "b"], ["b", "c"]) == ["- a", "+ c"]


def test_the_daemon_is_told_what_no_request_can_change_later() -> None:
    assert wishes.daemon(article.HOST) == ["--bip=172.17.0.1/16"]
    docker0 = replace(article.DOCKER0, gateway=IPv4Interface("10.0.0.1/24"), icc=False, masquerade=False)
    assert wishes.daemon(DockerHost((docker0,), (), userland_proxy=False)) == [
        "--userland-proxy=false",
        "--bip=10.0.0.1/24",
        "--icc=false",
        "--ip-masq=false",
    ]
    assert wishes.daemon(DockerHost((article.SECOND_NETWORK,), ())) == ["--bridge=none"]


def test_a_network_is_asked_for_with_the_options_that_are_not_the_default() -> None:
    asked = wishes.network(article.SECOND_NETWORK)
    assert asked["IPAM"] == {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}
    assert asked["Options"] == {"com.docker.network.bridge.name": "br-eeffa41d1e8c"}
    other = replace(article.SECOND_NETWORK, icc=False, masquerade=False, internal=True, mode=GatewayMode.ROUTED)
    asked = wishes.network(other)
    assert asked["Internal"] is True
    assert {key.rpartition(".")[2]: value for key, value in asked["Options"].items()} == {
        "name": "br-eeffa41d1e8c",
        "enable_icc": "false",
        "enable_ip_masquerade": "false",
        "gateway_mode_ipv4": "routed",
    }


def test_a_container_publishes_one_port_of_its_own_on_several_of_the_host() -> None:
    ports = (
        hostfile.parse("services: {web: {network_mode: bridge, ports: ['127.0.0.1:81:80', '82:80', '53:53/udp']}}")
        .containers[0]
        .published
    )
    asked = wishes.container(replace(article.APP, published=ports))
    assert asked["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert asked["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "81"}, {"HostIp": "", "HostPort": "82"}],
        "53/udp": [{"HostIp": "", "HostPort": "53"}],
    }
    assert asked["NetworkingConfig"]["EndpointsConfig"] == {
        "br-eeffa41d1e8c": {"IPAMConfig": {"IPv4Address": "172.18.0.2"}}
    }


def test_on_docker0_the_engine_chooses_the_address() -> None:
    asked = wishes.container(replace(article.WEB, published=(PublishedPort(80, 80),)))
    assert asked["HostConfig"]["NetworkMode"] == "bridge"
    assert asked["NetworkingConfig"]["EndpointsConfig"] == {"bridge": {}}


def test_on_docker0_an_engine_before_28_makes_ipv6_addresses_of_macs() -> None:
    """Seen with 20.10.24 and 26.1.5; docker0 is asked for with the daemon's options."""
    text = "daemon: {ipv6: true, fixed-cidr-v6: 'fd00::/64'}\nservices: {web: {network_mode: bridge}}"
    host = hostfile.parse(text)
    assert wishes.daemon(host) == ["--bip=172.17.0.1/16", "--ipv6", "--fixed-cidr-v6=fd00::/64"]
    assert str(wishes.given_out(host, "26.1.5").containers[0].address6) == "fd00::242:ac11:2"
    assert wishes.given_out(host, "28.5.2") == host


def test_the_image_holds_the_program_that_its_containers_run(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(b"a program")
    with tarfile.open(fileobj=io.BytesIO(image.archive(str(tmp_path / "busybox")))) as tar:
        program = tar.getmember(image.COMMAND[0].removeprefix("/"))
        assert program.mode == 0o755
        assert program.size == len(b"a program")


def test_a_program_with_a_dynamic_linker_a_script_and_nothing_are_not_static(tmp_path: Path) -> None:
    assert not is_static(Path(sys.executable).resolve())
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "nothing").write_text("")
    assert not is_static(tmp_path / "script")
    assert not is_static(tmp_path / "nothing")


def test_a_program_without_an_interpreter_is_static(tmp_path: Path) -> None:
    header = b"\x7fELF\x02" + bytes(27) + (64).to_bytes(8, "little") + bytes(14)
    (tmp_path / "static").write_bytes(header + b"\x38\0\x01\0" + bytes(6) + b"\x01" + bytes(63))
    assert is_static(tmp_path / "static")
    (tmp_path / "dynamic").write_bytes(header + b"\x38\0\x01\0" + bytes(6) + b"\x03" + bytes(63))
    assert not is_static(tmp_path / "dynamic")


def test_known_hosts_are_all_different_and_the_article_is_among_them() -> None:
    known = hosts.known()
    assert {article.HOST, article.HOST_WITHOUT_PROXY, article.HOST_WITH_TWO_NETWORKS} <= set(known.values())
    assert len(set(known.values())) == len(known) > 20


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Conformance("h", EQUAL), ["equal"]),
        (Conformance("h", EQUAL | {"rules": ["- a"]}, ["- a"]), ["1 line", "h", "rules      - a"]),
        (Conformance("h", refused="it will not"), ["refused", "it will not"]),
        (Conformance("h", left_out="it cannot"), ["left out: h: it cannot"]),
    ],
)
def test_what_came_of_a_host_is_shown(result: Conformance, shown: list[str]) -> None:
    out = Console(file=io.StringIO(), width=130)
    out.print(report.table([result]), *report.remarks([result]), sep="\n")
    text = out.file.getvalue()  # type: ignore[attr-defined]
    for part in shown:
        assert part in text
