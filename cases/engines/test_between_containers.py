"""What containers reach: each other, the internet, nothing; engine by engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import LINUX, Testbed
from testbed.docker.engines import Engine
from testbed.errors import TopologyError
from testbed.traffic.layers import ICMP, IP, TCP

BedOf = Callable[[str], Testbed]
INTERNET = ("203.0.113.10", 443)
TWO = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
TWO_BRIDGES = """
networks: {back: {driver_opts: {com.docker.network.bridge.name: br-back}}}
services: {web: {network_mode: bridge, ports: ['80:80']}, app: {networks: [back], ports: ['8082:80']}}
"""
INTERNAL = """
networks: {inside: {internal: true, driver_opts: {com.docker.network.bridge.name: br-inside}}}
services: {web: {network_mode: bridge}, db: {networks: [inside]}, cache: {networks: [inside]}}
"""
BESIDE_AN_INTERNAL_ONE = """
networks:
  inside: {internal: true, ipam: {config: [{subnet: 172.30.0.0/16}]}}
  outside: {ipam: {config: [{subnet: 172.31.0.0/16}]}, driver_opts: {com.docker.network.bridge.name: br-outside}}
services: {db: {networks: [inside]}, web: {networks: [outside], ports: ['80:80']}}
"""


def test_a_container_reaches_the_internet_under_the_hosts_address(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.connect("web", INTERNET, stack=LINUX, port=40000).handshake()
    assert syn.translated == ("source 172.17.0.2:40000 > 192.168.66.100:40000",)
    assert syn_ack.translated == ("destination 192.168.66.100:40000 > 172.17.0.2:40000",)
    masquerade = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    assert str(counting.result.rule("nat", masquerade)) == "[1:60]"


def test_two_containers_that_use_one_port_are_told_apart_outside(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    seen = [bed.connect(name, INTERNET, stack=LINUX, port=40000).handshake()[0].arrived for name in ("web", "other")]
    assert [packet.source for packet in seen if packet] == ["192.168.66.100"] * 2
    assert len({packet.source_port for packet in seen if packet}) == 2


def test_containers_on_one_bridge_reach_each_other_unless_icc_is_off(bed_of: BedOf, engine: Engine) -> None:
    open_bed = bed_of(TWO)
    assert open_bed.connect("web", ("172.17.0.3", 7000)).syn.delivered_to == "other"
    closed = bed_of("daemon: {icc: false}\n" + TWO)
    with closed.counting() as counting:
        assert not closed.connect("web", ("172.17.0.3", 7000)).syn.delivered
    chain = "FORWARD" if engine.since < (28, 0, 1) else "DOCKER-FORWARD"
    assert str(counting.result.rule("filter", f"-A {chain} -i docker0 -o docker0 -j DROP")) == "[1:52]"


@pytest.mark.parametrize(("origin", "to", "address"), [("web", "app", "172.18.0.2"), ("app", "web", "172.17.0.2")])
def test_containers_on_two_bridges_are_kept_apart(
    bed_of: BedOf, engine: Engine, origin: str, to: str, address: str
) -> None:
    """By the isolation stages, by the guard of a container's address in raw, or by the end of DOCKER."""
    bridge = {"app": "br-back", "web": "docker0"}[to]
    bed = bed_of(TWO_BRIDGES)
    with bed.counting() as counting:
        assert not bed.connect(origin, (address, 80)).syn.delivered
    assert str(counting.result.rule(*kept_apart_by(engine, bridge, address))) == "[1:52]"


def kept_apart_by(engine: Engine, bridge: str, address: str) -> tuple[str, str]:
    if engine.since < (28,):
        return "filter", f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP"
    if engine.since < (28, 2, 0):
        return "raw", f"-A PREROUTING -d {address}/32 ! -i {bridge} -p tcp -m tcp --dport 80 -j DROP"
    return "raw", f"-A PREROUTING -d {address}/32 ! -i {bridge} -j DROP"


def test_an_internal_network_is_for_its_own_containers_alone(bed_of: BedOf, engine: Engine) -> None:
    bed = bed_of(INTERNAL)
    assert bed.connect("db", ("172.18.0.3", 6379)).syn.delivered_to == "cache"
    guard = "DOCKER-INTERNAL" if engine.since >= (29,) else "DOCKER-ISOLATION-STAGE-1"
    with bed.counting() as counting:
        assert not bed.connect("web", ("172.18.0.2", 5432)).syn.delivered
        outward = IP(src="172.18.0.2", dst=INTERNET[0]) / ICMP(type=8)
        assert not bed.send(outward, "db", via="172.18.0.1").delivered
    assert str(counting.result.rule("filter", f"-A {guard} ! -s 172.18.0.0/16 -o br-inside -j DROP")) == "[1:52]"
    assert str(counting.result.rule("filter", f"-A {guard} ! -d 172.18.0.0/16 -i br-inside -j DROP")) == "[1:28]"


def test_from_an_internal_network_no_published_port_of_another_is_reached(bed_of: BedOf, engine: Engine) -> None:
    """Not even of a network that since 28 can be told to leave its containers' published ports to everybody."""
    text = BESIDE_AN_INTERNAL_ONE
    if engine.since >= (28,):
        text = text.replace("br-outside", "br-outside, com.docker.network.bridge.gateway_mode_ipv4: nat-unprotected")
    bed = bed_of(text)
    asked = IP(src="172.30.0.2", dst="172.31.0.2") / TCP(sport=4000, dport=80)
    assert not bed.send(asked, "db", via="172.30.0.1").delivered
    assert bed.connect("client", ("172.31.0.2", 80), via="192.168.66.100").syn.delivered_to == "web"


def test_an_isolated_network_is_not_reached_by_the_host_itself(bed_of: BedOf, engine: Engine) -> None:
    """Since 28: its bridge has no address, so the host has no way there; to another internal network it has."""
    internal = bed_of(INTERNAL)
    internal.endpoint("cache")
    with internal.connect_from_kernel("host", ("172.18.0.3", 6379)):
        internal.settle_everywhere()
        assert [packet.source for packet in internal.received_by("cache")] == ["172.18.0.1"]
    isolated = INTERNAL.replace(
        "name: br-inside", "name: br-inside, com.docker.network.bridge.gateway_mode_ipv4: isolated"
    )
    if engine.since < (28,):
        with pytest.raises(TopologyError, match=r"br-inside: engine .* has no gateway mode isolated"):
            bed_of(isolated)
        return
    bed = bed_of(isolated)
    with bed.counting() as counting:
        assert bed.connect("db", ("172.18.0.2", 6379)).syn.delivered_to == "cache"
    forward = "FORWARD" if engine.since < (28, 0, 1) else "DOCKER-FORWARD"
    assert str(counting.result.rule("filter", f"-A {forward} -i br-inside -o br-inside -j ACCEPT")) == "[1:52]"
    with bed.connect_from_kernel("host", ("172.18.0.2", 6379)):
        bed.settle_everywhere()
        assert [packet.source for packet in bed.received_by("cache")] == ["172.18.0.1"]  # of db, not of the host


def test_without_masquerade_a_container_goes_out_under_its_own_address(bed_of: BedOf) -> None:
    bed = bed_of("daemon: {ip-masq: false}\n" + TWO)
    syn = bed.connect("web", INTERNET, stack=LINUX, port=40000).syn
    assert syn.delivered_to == "internet"
    assert syn.translated == ()


def test_without_the_userland_proxy_a_container_reaches_itself_by_the_hosts_port(bed_of: BedOf) -> None:
    """Out of its port and back into it (hairpin), translated at both ends."""
    bed = bed_of("daemon: {userland-proxy: false}\n" + TWO)
    with bed.counting() as counting:
        syn = bed.connect("other", ("192.168.66.100", 80)).syn
    assert syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert str(
        counting.result.rule("nat", "-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80")
    ) == ("[1:52]")


def test_with_the_userland_proxy_such_a_call_is_the_hosts_own(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    with bed.counting() as counting:
        assert not bed.connect("other", ("192.168.66.100", 80)).syn.delivered
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[1:52]"
    assert [packet.kind for packet in bed.received_by("other")] == ["RST/ACK"]
