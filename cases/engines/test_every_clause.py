"""Each rule of a container's published port, engine by engine, met and missed by one clause alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import Testbed
from testbed.docker import hostfile
from testbed.docker.engines import Engine
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import IP, SCTP, TCP, UDP, Raw, SCTPChunkInit

BedOf = Callable[[str], Testbed]
HOST, CLIENT = "192.168.66.100", "192.168.66.1"
BRIDGE = "172.17.0.1"
WEB, OTHER, NOBODY = "172.17.0.2", "172.17.0.3", "172.17.0.99"
NEXT = OTHER  # to web's address, where nobody else is
TWO_BRIDGES = """
networks: {back: {driver_opts: {com.docker.network.bridge.name: br-back}}}
services: {web: {network_mode: bridge, ports: ['80:80']}, app: {networks: [back], ports: ['8082:80']}}
"""
PORT_80 = "services: {web: {network_mode: bridge, ports: ['80:80']}}"
NEIGHBOURS = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
DNAT = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"


def test_the_port_of_the_article_is_published_by_one_rule(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.connect("client", (HOST, 80)).handshake()
    assert syn.translated == (f"destination {HOST}:80 > {WEB}:80",)
    assert syn_ack.delivered
    assert str(counting.result.rule("nat", DNAT)) == "[1:52]"


def test_another_port_and_another_protocol_are_the_hosts_own(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        bed.connect("client", (HOST, 81))
        bed.send(IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=80) / Raw(b"who"), "client")
    assert bed.received_by("web") == ()
    assert str(counting.result.rule("nat", DNAT)) == "[0:0]"
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[2:83]"


@pytest.mark.parametrize("flags", ["S", "SF"], ids=["a connection", "what can begin none"])
@pytest.mark.parametrize("address", [NEXT, NOBODY])
def test_what_goes_to_a_bridge_from_outside_and_to_no_port_of_it_is_dropped(
    bed_of: BedOf, engine: Engine, address: str, flags: str
) -> None:
    """At an address that no container has: by a rule of its own since 28, by the policy of FORWARD before."""
    bed = bed_of(PORT_80)
    with bed.tracing() as tracing:
        asked = IP(src=CLIENT, dst=address) / TCP(sport=4000, dport=80, flags=flags)
        journey = tracing.journey(bed.send(asked, "client", via=HOST))
    dropped = "-A DOCKER ! -i docker0 -o docker0 -j DROP" if engine.since >= (28,) else ":FORWARD DROP"
    assert str(journey.end) == f"dropped at host: filter {dropped}"


def test_a_container_that_asks_for_anothers_port_at_the_hosts_address_asks_the_host(
    bed_of: BedOf, engine: Engine
) -> None:
    """With the userland proxy: what a bridge's containers ask is not translated until 29, so that the proxy gets it."""
    bed = bed_of(TWO_BRIDGES)
    with bed.tracing() as tracing:
        asked = IP(src=WEB, dst=HOST) / TCP(sport=4000, dport=8082)
        journey = tracing.journey(bed.send(asked, "web"))
    assert journey.end.place == ("delivered to app" if engine.since >= (29,) else "taken in by host")
    assert bool(journey.translations) == (engine.since >= (29,))


def test_neighbours_call_each_other_by_every_port_and_protocol(bed_of: BedOf) -> None:
    bed = bed_of(NEIGHBOURS)
    with bed.counting() as counting:
        assert bed.connect("other", (WEB, 80)).syn.delivered_to == "web"
        assert bed.connect("other", (WEB, 81)).syn.delivered_to == "web"
        assert bed.send(IP(src=OTHER, dst=WEB) / UDP(sport=4000, dport=80) / Raw(b"who"), "other").delivered_to == "web"
    assert str(counting.result.rule("nat", ":POSTROUTING ACCEPT")) == "[3:135]"


def test_several_ports_of_a_container_have_a_rule_each(bed_of: BedOf) -> None:
    """In whatever order an engine writes them, a packet is held against the rules of the others."""
    bed = bed_of("services: {web: {network_mode: bridge, ports: ['79:79', '80:80', '81:81', '80:80/udp']}}")
    for port in (79, 80, 81):
        with bed.counting() as counting:
            syn = bed.connect("client", (HOST, port)).syn
        assert syn.translated == (f"destination {HOST}:{port} > {WEB}:{port}",)
        accepting = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport {} -j ACCEPT"
        counted = [str(counting.result.rule("filter", accepting.format(of))) for of in (79, 80, 81)]
        assert counted == ["[1:52]" if of == port else "[0:0]" for of in (79, 80, 81)]
    asked = bed.send(IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=80) / Raw(b"who"), "client")
    assert asked.translated == (f"destination {HOST}:80 > {WEB}:80",)


def test_a_port_of_sctp_is_published_beside_the_same_port_of_tcp(bed_of: BedOf) -> None:
    """Its rule stands behind that of TCP since 28, so that its packets are held against both."""
    bed = bed_of("services: {web: {network_mode: bridge, ports: ['80:80', '80:80/sctp']}}")
    begins = SCTP(sport=4000, dport=80, tag=0) / SCTPChunkInit(init_tag=1, n_out_streams=1, n_in_streams=1)
    with bed.counting() as counting:
        asked = bed.send(IP(src=CLIENT, dst=HOST) / begins, "client")
    assert asked.translated == (f"destination {HOST}:80 > {WEB}:80",)
    assert str(counting.result.rule("nat", DNAT)) == "[0:0]"
    accepted = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p sctp -m sctp --dport 80 -j ACCEPT"
    assert str(counting.result.rule("filter", accepted)) == "[1:52]"


def test_a_datagram_for_a_published_tcp_port_does_not_get_to_the_container(bed_of: BedOf) -> None:
    bed = bed_of(PORT_80)
    assert not bed.send(IP(src=CLIENT, dst=WEB) / UDP(sport=4000, dport=80) / Raw(b"who"), "client", via=HOST).delivered


@pytest.mark.parametrize(
    ("protocol", "port", "address", "seen"),
    [
        ("tcp", 80, WEB, BRIDGE),
        ("tcp", 79, WEB, WEB),
        ("tcp", 81, WEB, WEB),
        ("udp", 80, WEB, WEB),
        ("tcp", 80, OTHER, WEB),
    ],
)
def test_a_container_that_calls_its_own_published_port_is_hidden_from_itself_before_28(
    bed_of: BedOf, engine: Engine, protocol: str, port: int, address: str, seen: str
) -> None:
    """At its own address, as the userland proxy and a translation at the host's lead there; for that port alone."""
    bed = bed_of(NEIGHBOURS)
    asked = (TCP if protocol == "tcp" else UDP)(sport=4000, dport=port)
    result = bed.send(IP(src=WEB, dst=address) / asked, "web", via=BRIDGE)
    assert result.delivered_to == ("web" if address == WEB else "other")
    assert result.arrived is not None
    assert result.arrived.source == (seen if engine.since < (28,) else WEB)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("172.17.0.0", HOST),
        ("172.17.255.255", HOST),
        ("172.16.255.255", "172.16.255.255"),
        ("172.18.0.0", "172.18.0.0"),
    ],
)
def test_who_is_masqueraded_is_a_question_of_the_bridges_subnet(bed_of: BedOf, source: str, seen: str) -> None:
    asked = bed_of(PORT_80).send(IP(src=source, dst="203.0.113.10") / UDP(sport=4000, dport=53), "web")
    assert asked.arrived is not None
    assert asked.arrived.source == seen


def test_what_a_user_forbids_in_docker_user_is_forbidden_before_anything_is_let_through(
    make_bed: MakeBed, engine: Engine
) -> None:
    host = hostfile.parse(PORT_80)
    bed = make_bed(host, rules=engine.rules(host).insert("filter", "DOCKER-USER", "-j DROP"))
    with bed.tracing() as tracing:
        asked = IP(src=CLIENT, dst=HOST) / TCP(sport=4000, dport=80)
        journey = tracing.journey(bed.send(asked, "client"))
    assert str(journey.end) == "dropped at host: filter -A DOCKER-USER -j DROP"


def test_only_what_goes_to_the_bridge_is_counted_as_an_answer_to_its_containers(bed_of: BedOf, engine: Engine) -> None:
    bed = bed_of(PORT_80)
    with bed.counting() as counting:
        bed.connect("client", (HOST, 80)).handshake()
    answers = "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    counted = [str(counters) for line, counters in counting.result if line.text.endswith(answers)]
    assert counted == ([] if engine.name == "28.0.0" else ["[1:40]"])  # that one asks an ipset for the bridge
