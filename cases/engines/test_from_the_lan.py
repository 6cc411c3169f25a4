"""What a neighbour on the LAN reaches, engine by engine, and which rule sees to it that it does not."""

from __future__ import annotations

from collections.abc import Callable

from testbed import Testbed
from testbed.traffic.layers import ICMP, IP, TCP, UDP, Raw

BedOf = Callable[[str], Testbed]
HOST = "192.168.66.100"
WEB = "services: {web: {network_mode: bridge, ports: ['8080:80', '127.0.0.1:9000:90', '5353:53/udp']}}"


def test_a_published_port_is_reached_and_translated_there_and_back(bed_of: BedOf) -> None:
    syn, syn_ack, ack = bed_of(WEB).connect("client", (HOST, 8080)).handshake()
    assert syn.translated == ack.translated == (f"destination {HOST}:8080 > 172.17.0.2:80",)
    assert syn_ack.translated == (f"source 172.17.0.2:80 > {HOST}:8080",)


def test_a_published_udp_port_is_reached_and_its_answer_comes_back(bed_of: BedOf) -> None:
    bed = bed_of(WEB)
    asked = bed.send(IP(src="192.168.66.1", dst=HOST) / UDP(sport=4000, dport=5353) / Raw(b"who"), "client")
    assert asked.translated == (f"destination {HOST}:5353 > 172.17.0.2:53",)
    answer = IP(src="172.17.0.2", dst="192.168.66.1") / UDP(sport=53, dport=4000) / Raw(b"you")
    assert bed.send(answer, "web").translated == (f"source 172.17.0.2:53 > {HOST}:5353",)


def test_an_error_about_a_published_port_is_related_and_comes_back(bed_of: BedOf) -> None:
    """Fragmentation needed: a router before the client says so of the container's packet, and it hears."""
    bed = bed_of(WEB)
    bed.connect("client", (HOST, 8080), port=40000).handshake()
    quoted = bytes(IP(src=HOST, dst="192.168.66.1") / TCP(sport=8080, dport=40000))[:28]
    error = IP(src="192.168.66.1", dst=HOST) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(quoted)
    assert bed.send(error, "client").translated == (f"destination {HOST} > 172.17.0.2",)


def test_what_a_user_forbids_in_docker_user_is_forbidden(bed_of: BedOf) -> None:
    bed = bed_of(WEB)
    bed.load(bed.ruleset().insert("filter", "DOCKER-USER", "-i ens33 -p tcp -j DROP"))
    with bed.counting() as counting:
        assert not bed.connect("client", (HOST, 8080)).syn.delivered
    assert str(counting.result.rule("filter", "-A DOCKER-USER -i ens33 -p tcp -j DROP")) == "[1:52]"


def test_an_established_connection_survives_a_change_of_rules(bed_of: BedOf) -> None:
    bed = bed_of(WEB)
    talk = bed.connect("client", (HOST, 8080))
    talk.handshake()
    bed.load(bed.ruleset())
    data, acknowledged = talk.send(b"still here")
    assert data.translated == (f"destination {HOST}:8080 > 172.17.0.2:80",)
    assert acknowledged.delivered


def test_without_iptables_every_port_is_open_at_the_containers_own_address_alone(bed_of: BedOf) -> None:
    """What `iptables: false` means: no rule stands between, and a published port is the userland proxy's alone."""
    bed = bed_of("daemon: {iptables: false}\n" + WEB)
    assert bed.connect("client", ("172.17.0.2", 81), via=HOST).syn.delivered_to == "web"
    assert not bed.connect("client", (HOST, 8080)).syn.delivered
    assert [packet.kind for packet in bed.received_by("client")] == ["RST/ACK"]
    assert bed.connect("web", ("203.0.113.10", 443)).syn.translated == ()
