"""What containers reach: each other, the internet, nothing; engine by engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import LINUX, Testbed
from testbed.docker.engines import Engine
from testbed.errors import TopologyError
from testbed.traffic.layers import IP, TCP

BedOf = Callable[[str], Testbed]
INTERNET = ("203.0.113.10", 443)
TWO = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
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


def test_with_the_userland_proxy_such_a_call_is_the_hosts_own(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    with bed.counting() as counting:
        assert not bed.connect("other", ("192.168.66.100", 80)).syn.delivered
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[1:52]"
    assert [packet.kind for packet in bed.received_by("other")] == ["RST/ACK"]
