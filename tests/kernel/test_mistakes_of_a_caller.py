"""What a caller of the library mistypes is answered by one sentence, or works as it was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import PublishedPort, Testbed, TestbedError
from testbed.docker.engines import engine
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import IP, UDP, Ether

ADDRESS = "192.168.66.100"


@pytest.mark.parametrize("to", [(ADDRESS, 80), (ADDRESS, "80"), f"{ADDRESS}:80", "host:80", ("host", 80)], ids=str)
def test_destination_is_read_in_every_natural_form(bed: Testbed, to: tuple[str, int]) -> None:
    syn = bed.connect("client", to).syn
    assert syn.translated == (f"destination {ADDRESS}:80 > 172.17.0.2:80",)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ((ADDRESS, 70000), "70000 is no port"),
        ((ADDRESS, -1), "-1 is no port"),
        ((ADDRESS, "http"), "'http' is no port"),
        ((ADDRESS, True), "True is no port"),
        ("nowhere:80", "nowhere:80 is no address and no node"),
        (ADDRESS, "has no port to connect to"),
        (80, "80 is no destination"),
        ((ADDRESS,), "is no destination"),
    ],
    ids=str,
)
def test_wrong_destination_is_refused_with_a_sentence(bed: Testbed, to: object, said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        bed.connect("client", to)  # type: ignore[arg-type]
    with pytest.raises(TestbedError, match=said):
        bed.connect_from_kernel("internet", to)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (UDP(dport=53) / b"question", "is no packet that begins with IP or IPv6"),
        (Ether() / IP(dst=ADDRESS) / UDP(), "is no packet that begins with IP or IPv6"),
        (b"E", "is no packet that begins with IP or IPv6"),
    ],
    ids=["no IP", "a frame", "bytes"],
)
def test_packet_without_ip_is_refused_with_a_sentence(bed: Testbed, packet: object, said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        bed.send(packet, "client")


def test_unknown_node_is_refused_with_the_known_ones(bed: Testbed) -> None:
    with pytest.raises(TestbedError, match=r"no node db; this topology has client, gateway"):
        bed.connect("db", "host:80")


def test_tracing_without_with_has_no_journey(bed: Testbed) -> None:
    tracing = bed.tracing()
    syn = bed.connect("client", "host:80").syn
    for ask in (lambda: tracing.journey(syn), tracing.journeys):
        with pytest.raises(TestbedError, match=r"tracing has not begun\.\nUse it as `with bed\.tracing"):
            ask()


def test_counting_without_with_has_no_result(bed: Testbed) -> None:
    counting = bed.counting()
    with pytest.raises(TestbedError, match=r"counting has not begun\.\nUse it as `with bed\.counting"):
        _ = counting.result


def test_expectation_that_forgets_a_policy_that_dropped_fails(bed: Testbed) -> None:
    with bed.counting() as counting:
        udp = IP(src="192.168.66.2", dst="172.17.0.2") / UDP(sport=1, dport=9) / b"question"
        bed.send(udp, "client", via=ADDRESS)
    counted = counting.result
    dropped = counted.rule("filter", ":FORWARD DROP")
    rules = counted.text(counted.rules.moved)
    assert dropped.packets == 1
    assert counted != rules
    assert counted != ""
    assert counted == f"{rules}\n:FORWARD DROP {dropped}"


def test_bed_of_a_host_file_given_by_its_path(make_bed: MakeBed, tmp_path: Path) -> None:
    path = tmp_path / "docker.yaml"
    path.write_text("services:\n  mail: {network_mode: bridge, ports: ['2525:25']}\n")
    for host in (path, str(path)):
        syn = make_bed(host).connect("client", "host:2525").syn
        assert syn.arrived is not None
        assert syn.arrived.destination_port == 25


def test_bed_of_rules_given_by_their_path(make_bed: MakeBed, tmp_path: Path) -> None:
    path = tmp_path / "my.rules"
    path.write_text("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
    assert [rule for _, rule in make_bed(rules=path).words().rules] == []


@pytest.mark.parametrize("host", ["no-such.yaml", 7, ["docker.yaml"]], ids=str)
def test_host_that_is_none_fails_with_a_sentence(make_bed: MakeBed, host: object) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no-such\.yaml|describes no host"):
        make_bed(host)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: engine(28), r'28 is no version of Docker\'s engine\.\nWrite it as text: engine\("28"\)'),  # type: ignore[arg-type]
        (lambda: engine(None), "None is no version"),  # type: ignore[arg-type]
        (lambda: PublishedPort("80", 80), "'80' is no port"),  # type: ignore[arg-type]
        (lambda: PublishedPort(80, 70000), "70000 is no port"),
    ],
    ids=["engine(28)", "engine(None)", "port as text", "port 70000"],
)
def test_value_of_the_wrong_type_is_refused_with_a_sentence(make: Callable[[], object], said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        make()
