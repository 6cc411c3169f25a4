"""IPv6, engine by engine: the twins of what the other cases prove for IPv4, with ip6tables switched on."""

from __future__ import annotations

from collections.abc import Callable

from testbed import Testbed
from testbed.docker.engines import Engine
from testbed.traffic.layers import UDP, IPv6, Raw

BedOf = Callable[[str], Testbed]
HOST, CLIENT, WEB = "2001:db8:66::100", "2001:db8:66::1", "2001:db8:1::2"
SIX = """
daemon: {experimental: true, ip6tables: IP6TABLES}
networks:
  six:
    enable_ipv6: true
    ipam: {config: [{subnet: '2001:db8:1::/64'}]}
    driver_opts: {com.docker.network.bridge.name: six}
  two:
    enable_ipv6: true
    ipam: {config: [{subnet: '2001:db8:2::/64'}]}
    driver_opts: {com.docker.network.bridge.name: two}
services:
  web: {networks: [six], ports: ['8080:80', '5353:53/udp']}
  app: {networks: [two], ports: ['[::]:8082:80']}
"""
ON, OFF = SIX.replace("IP6TABLES", "true"), SIX.replace("IP6TABLES", "false")
GUARDED_SINCE = (28,)


def test_a_published_port_is_reached_and_translated_there_and_back(bed_of: BedOf) -> None:
    syn, syn_ack, ack = bed_of(ON).connect("client", (HOST, 8080)).handshake()
    assert syn.translated == ack.translated == (f"destination [{HOST}]:8080 > [{WEB}]:80",)
    assert syn_ack.translated == (f"source [{WEB}]:80 > [{HOST}]:8080",)


def test_a_published_udp_port_is_reached_and_its_answer_comes_back(bed_of: BedOf) -> None:
    bed = bed_of(ON)
    asked = bed.send(IPv6(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=5353) / Raw(b"who"), "client")
    assert asked.translated == (f"destination [{HOST}]:5353 > [{WEB}]:53",)
    answer = IPv6(src=WEB, dst=CLIENT) / UDP(sport=53, dport=4000) / Raw(b"you")
    assert bed.send(answer, "web").translated == (f"source [{WEB}]:53 > [{HOST}]:5353",)


def test_a_container_reaches_the_internet_under_the_hosts_address(bed_of: BedOf) -> None:
    syn, syn_ack, _ = bed_of(ON).connect("web", ("2001:db8:113::10", 443)).handshake()
    assert syn.translated == (f"source [{WEB}]:40000 > [{HOST}]:40000",)
    assert syn_ack.translated == (f"destination [{HOST}]:40000 > [{WEB}]:40000",)


def test_a_port_published_for_ipv6_alone_is_not_there_in_ipv4(bed_of: BedOf) -> None:
    bed = bed_of(ON)
    assert bed.connect("client", (HOST, 8082)).syn.delivered_to == "app"
    with bed.counting() as counting:
        assert not bed.connect("client", ("192.168.66.100", 8082)).syn.delivered
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[1:52]"


def test_a_published_port_at_the_containers_own_address_is_open_before_28(bed_of: BedOf, engine: Engine) -> None:
    bed = bed_of(ON)
    with bed.counting() as counting:
        syn = bed.connect("client", (WEB, 80), via=HOST).syn
    assert syn.delivered == (engine.since < GUARDED_SINCE)
    if engine.since >= GUARDED_SINCE:
        port = "" if engine.since >= (28, 2, 0) else " -p tcp -m tcp --dport 80"
        guard = f"-A PREROUTING -d {WEB}/128 ! -i six{port} -j DROP"
        assert str(counting.result.rule("ip6 raw", guard)) == "[1:72]"


def test_a_port_that_is_not_published_is_dropped_in_the_host(bed_of: BedOf, engine: Engine) -> None:
    bed = bed_of(ON)
    with bed.counting() as counting:
        assert not bed.connect("client", (WEB, 81), via=HOST).syn.delivered
    if engine.since < GUARDED_SINCE:
        dropping = ("ip6 filter", ":FORWARD DROP")
    elif engine.since < (28, 2, 0):
        dropping = ("ip6 filter", "-A DOCKER ! -i six -o six -j DROP")
    else:
        dropping = ("ip6 raw", f"-A PREROUTING -d {WEB}/128 ! -i six -j DROP")
    assert str(counting.result.rule(*dropping)) == "[1:72]"


def test_bridges_are_kept_apart(bed_of: BedOf, engine: Engine) -> None:
    bed = bed_of(ON)
    with bed.counting() as counting:
        assert not bed.connect("app", (WEB, 81)).syn.delivered
    if engine.since >= (28, 2, 0):
        dropping = ("ip6 raw", f"-A PREROUTING -d {WEB}/128 ! -i six -j DROP")
    else:
        dropping = ("ip6 filter", "-A DOCKER-ISOLATION-STAGE-2 -o six -j DROP")
    assert str(counting.result.rule(*dropping)) == "[1:72]"


def test_without_ip6tables_every_port_is_open_at_the_containers_own_address(bed_of: BedOf) -> None:
    """What a user of an engine before 27 has who gives a network IPv6 and nothing else."""
    bed = bed_of(OFF)
    assert not any(line.table.startswith("ip6 ") for line, _ in bed.counters())
    syn = bed.connect("client", (WEB, 81), via=HOST).syn
    assert syn.delivered_to == "web"
    assert syn.translated == ()
