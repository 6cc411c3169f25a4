"""What each clause of the 18 rules is there for: packets that meet all of a rule but one clause."""

from __future__ import annotations

import pytest

from testbed import Testbed
from testbed.docker import hostfile
from testbed.pytest_plugin import MakeBed
from testbed.rules import AnyRuleset
from testbed.traffic.layers import ICMP, IP, UDP, Raw

HOST, CLIENT = "192.168.66.100", "192.168.66.1"
WEB, OTHER, INTERNET = "172.17.0.2", "172.17.0.3", "203.0.113.10"
# With a container beside `web` that publishes nothing the engine writes the same rules
NEIGHBOURS = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
HAIRPIN = "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE"
ON_THE_BRIDGE = """
*filter
:FORWARD DROP [0:0]
[{0}] -A FORWARD -j DOCKER-USER
[{0}] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[{0}] -A FORWARD -o docker0 -j DOCKER
[{0}] -A FORWARD -i docker0 -o docker0 -j ACCEPT
[{0}] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[{0}] -A DOCKER-USER -j RETURN
*nat
:PREROUTING ACCEPT [{0}]
"""
DROPPED_BEHIND_DOCKER = """
*filter
:FORWARD DROP [{0}]
[{0}] -A FORWARD -j DOCKER-USER
[{0}] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[{0}] -A FORWARD -o docker0 -j DOCKER
[{0}] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[{0}] -A DOCKER-USER -j RETURN
*nat
:PREROUTING ACCEPT [{0}]
"""


@pytest.fixture
def neighbours(make_bed: MakeBed, testbed_rules: AnyRuleset) -> Testbed:
    return make_bed(hostfile.parse(NEIGHBOURS), rules=testbed_rules)


def datagram(source: str, destination: str) -> IP:
    """31 bytes for UDP port 80."""
    return IP(src=source, dst=destination) / UDP(sport=4000, dport=80) / Raw(b"who")


def test_what_passes_by_docker0_is_none_of_its_rules_business(bed: Testbed) -> None:
    """A neighbour takes the host for a router to the internet: it comes by ens33 and would leave by it."""
    with bed.counting() as counting:
        syn = bed.connect("client", (INTERNET, 443), via=HOST).syn
    assert not syn.delivered
    assert (
        counting.result
        == """
        *filter
        :FORWARD DROP [1:52]
        [1:52] -A FORWARD -j DOCKER-USER
        [1:52] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:52] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [1:52]
        """
    )


def test_the_hosts_own_call_of_the_internet_is_not_translated(bed: Testbed) -> None:
    """Its destination is nobody's here, and its source is not a container's."""
    with bed.counting() as counting:
        bed.send_from_kernel("host", "udp", (INTERNET, 53))
    (asked,) = bed.received_by("internet")
    assert (asked.source, asked.to) == (HOST, f"{INTERNET}:53")
    assert (
        counting.result
        == """
        *filter
        :OUTPUT ACCEPT [1:36]
        *nat
        :OUTPUT ACCEPT [1:36]
        :POSTROUTING ACCEPT [1:36]
        """
    )


def test_the_hosts_call_of_its_loopback_is_left_alone(bed: Testbed) -> None:
    """127.0.0.1 is the host's own address too, but with the userland proxy rules are not asked to translate there."""
    with bed.counting() as counting:
        bed.send_from_kernel("host", "icmp", ("127.0.0.1", 0))
    assert (
        counting.result
        == """
        *filter
        :INPUT ACCEPT [2:168]
        :OUTPUT ACCEPT [2:168]
        *nat
        :OUTPUT ACCEPT [1:84]
        :POSTROUTING ACCEPT [1:84]
        """
    )


def test_the_published_port_is_tcps_alone(bed: Testbed) -> None:
    with bed.counting() as counting:
        bed.send(datagram(CLIENT, HOST), "client")
    assert [packet.kind for packet in bed.received_by("client")] == ["icmp 3/3"]  # the host's own kernel: nobody there
    assert (
        counting.result
        == """
        *filter
        :INPUT ACCEPT [1:31]
        :OUTPUT ACCEPT [1:59]
        *nat
        :PREROUTING ACCEPT [1:31]
        [1:31] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        :INPUT ACCEPT [1:31]
        """
    )


def test_the_containers_own_address_is_open_for_that_port_of_tcp_only(bed: Testbed) -> None:
    with bed.counting() as counting:
        result = bed.send(datagram(CLIENT, WEB), "client", via=HOST)
    assert not result.delivered
    assert counting.result == DROPPED_BEHIND_DOCKER.format("1:31")


def test_a_neighbour_that_publishes_nothing_is_not_reached_at_that_port(neighbours: Testbed) -> None:
    with neighbours.counting() as counting:
        syn = neighbours.connect("client", (OTHER, 80), via=HOST).syn
    assert not syn.delivered
    assert counting.result == DROPPED_BEHIND_DOCKER.format("1:52")


@pytest.mark.parametrize(("origin", "to", "address"), [("other", "web", WEB), ("web", "other", OTHER)])
def test_neighbours_on_the_bridge_need_no_published_port(
    neighbours: Testbed, origin: str, to: str, address: str
) -> None:
    """A frame that just crosses docker0 is let through by the bridge's own rule, and keeps its source."""
    with neighbours.counting() as counting:
        syn = neighbours.connect(origin, (address, 80)).syn
    assert syn.delivered_to == to
    assert syn.translated == ()
    assert counting.result == ON_THE_BRIDGE.format("1:52")


def test_a_container_that_sends_to_itself_through_the_host_is_masqueraded(bed: Testbed) -> None:
    """Else it would take its own packet for one that it never sent; only for the port that is published."""
    with bed.counting() as counting:
        syn = bed.connect("web", (WEB, 80), via="172.17.0.1", port=40000).syn
    assert syn.translated == (f"source {WEB}:40000 > 172.17.0.1:40000",)
    assert counting.result == ON_THE_BRIDGE.format("1:52") + f"[1:52] {HAIRPIN}"


def test_for_another_port_it_is_not(bed: Testbed) -> None:
    with bed.counting() as counting:
        syn = bed.connect("web", (WEB, 81), via="172.17.0.1").syn
    assert syn.delivered_to == "web"
    assert syn.translated == ()
    assert counting.result == ON_THE_BRIDGE.format("1:52")


def test_for_another_protocol_it_is_not(bed: Testbed) -> None:
    with bed.counting() as counting:
        result = bed.send(datagram(WEB, WEB), "web", via="172.17.0.1")
    assert result.delivered_to == "web"
    assert result.translated == ()
    assert counting.result == ON_THE_BRIDGE.format("1:31")


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("172.17.0.0", HOST),
        ("172.17.255.255", HOST),
        ("172.16.255.255", "172.16.255.255"),
        ("172.18.0.0", "172.18.0.0"),
    ],
)
def test_who_is_masqueraded_is_a_question_of_the_bridges_subnet(bed: Testbed, source: str, seen: str) -> None:
    """Whatever address a container gives itself: on both sides of both borders."""
    asked = bed.send(IP(src=source, dst=INTERNET) / UDP(sport=4000, dport=53), "web")
    assert asked.arrived is not None
    assert asked.arrived.source == seen


@pytest.mark.parametrize("address", ["127.0.0.1", "127.127.0.1", "127.128.0.1", "127.255.255.254"])
def test_no_loopback_address_is_a_published_ports(bed: Testbed, address: str) -> None:
    web = bed.endpoint("web")
    with bed.connect_from_kernel("host", (address, 80)) as attempt:
        assert attempt.outcome == "refused"
    assert web.arrivals() == ()


def test_an_error_about_a_containers_own_question_comes_back_to_it(bed: Testbed) -> None:
    """RELATED: it belongs to a connection, and is let in by that alone."""
    asked = bed.send(IP(src=WEB, dst=INTERNET) / UDP(sport=4000, dport=53), "web")
    assert asked.translated == (f"source {WEB}:4000 > {HOST}:4000",)
    quoted = bytes(IP(src=HOST, dst=INTERNET) / UDP(sport=4000, dport=53))
    error = IP(src=INTERNET, dst=HOST) / ICMP(type=3, code=3) / Raw(quoted)
    came_back = bed.send(error, "internet")
    assert came_back.translated == (f"destination {HOST} > {WEB}",)
