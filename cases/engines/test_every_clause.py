"""Each rule of a container's published port, engine by engine, met and missed by one clause alone."""

from __future__ import annotations

from collections.abc import Callable

from testbed import Testbed
from testbed.docker.engines import Engine
from testbed.traffic.layers import IP, SCTP, UDP, Raw, SCTPChunkInit

BedOf = Callable[[str], Testbed]
HOST, CLIENT = "192.168.66.100", "192.168.66.1"
WEB, OTHER, NOBODY = "172.17.0.2", "172.17.0.3", "172.17.0.99"
PORT_80 = "services: {web: {ports: ['80:80']}}"
NEIGHBOURS = "services: {web: {ports: ['80:80']}, other: {}}"
DNAT = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"


def test_the_port_of_the_article_is_published_by_one_rule(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.tcp("client", "web", (HOST, 80)).handshake()
    assert syn.translated == (f"destination {HOST}:80 > {WEB}:80",)
    assert syn_ack.delivered
    assert str(counting.result.rule("nat", DNAT)) == "[1:52]"


def test_another_port_and_another_protocol_are_the_hosts_own(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        bed.tcp("client", "web", (HOST, 81)).syn()
        bed.send("client", IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=80) / Raw(b"who"), to="web")
    assert bed.seen("web") == ()
    assert str(counting.result.rule("nat", DNAT)) == "[0:0]"
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[2:83]"


def test_what_goes_to_a_bridge_from_outside_and_to_no_port_of_it_is_dropped(bed_of: BedOf, engine: Engine) -> None:
    """At an address that no container has: by a rule of its own since 28, by the policy of FORWARD before."""
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        assert not bed.tcp("client", "web", (NOBODY, 80), via=HOST).syn().delivered
    dropped = "-A DOCKER ! -i docker0 -o docker0 -j DROP" if engine.since >= (28,) else ":FORWARD DROP"
    assert str(counting.result.rule("filter", dropped)) == "[1:52]"


def test_neighbours_call_each_other_by_every_port_and_protocol(bed_of: BedOf) -> None:
    bed = bed_of(NEIGHBOURS)
    with bed.counting() as counting:
        assert bed.tcp("other", "web", (WEB, 80)).syn().delivered
        assert bed.tcp("other", "web", (WEB, 81)).syn().delivered
        assert bed.send("other", IP(src=OTHER, dst=WEB) / UDP(sport=4000, dport=80) / Raw(b"who"), to="web").delivered
    assert str(counting.result.rule("nat", ":POSTROUTING ACCEPT")) == "[3:135]"


def test_several_ports_of_a_container_have_a_rule_each(bed_of: BedOf) -> None:
    """In whatever order an engine writes them, a packet is held against the rules of the others."""
    bed = bed_of("services: {web: {ports: ['79:79', '80:80', '80:80/udp']}}")
    for port in (79, 80):
        syn = bed.tcp("client", "web", (HOST, port)).syn()
        assert syn.translated == (f"destination {HOST}:{port} > {WEB}:{port}",)
    asked = bed.send("client", IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=80) / Raw(b"who"), to="web")
    assert asked.translated == (f"destination {HOST}:80 > {WEB}:80",)


def test_a_port_of_sctp_is_published_beside_the_same_port_of_tcp(bed_of: BedOf) -> None:
    """Its rule stands behind that of TCP since 28, so that its packets are held against both."""
    bed = bed_of("services: {web: {ports: ['80:80', '80:80/sctp']}}")
    begins = SCTP(sport=4000, dport=80, tag=0) / SCTPChunkInit(init_tag=1, n_out_streams=1, n_in_streams=1)
    with bed.counting() as counting:
        asked = bed.send("client", IP(src=CLIENT, dst=HOST) / begins, to="web")
    assert asked.translated == (f"destination {HOST}:80 > {WEB}:80",)
    assert str(counting.result.rule("nat", DNAT)) == "[0:0]"
    accepted = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p sctp -m sctp --dport 80 -j ACCEPT"
    assert str(counting.result.rule("filter", accepted)) == "[1:52]"


def test_a_datagram_for_a_published_tcp_port_does_not_get_to_the_container(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    assert not bed.send(
        "client", IP(src=CLIENT, dst=WEB) / UDP(sport=4000, dport=80) / Raw(b"who"), to="web", via=HOST
    ).delivered
