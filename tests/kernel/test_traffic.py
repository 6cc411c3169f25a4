"""Endpoints: scripted ones that know when a packet is gone, and kernels that speak for themselves."""

from __future__ import annotations

import pytest

from testbed import Testbed
from testbed.docker import article
from testbed.errors import NotDelivered
from testbed.observe.received import matched
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import ICMP, IP, UDP, Raw
from testbed.traffic.packet import translations

PUBLISHED = ("192.168.66.100", 80)


def test_a_lost_packet_is_known_to_be_lost_and_said_where(bed: Testbed) -> None:
    bed.load(bed.ruleset().insert("filter", "DOCKER-USER", "-p tcp -j DROP"))
    with pytest.raises(
        NotDelivered, match=r"52 bytes: dropped by filter DOCKER-USER rule 1: -A DOCKER-USER -p tcp -j DROP"
    ):
        bed.connect("client", PUBLISHED).handshake()


def test_a_later_step_names_the_packet_that_was_lost_before_it(bed: Testbed) -> None:
    talk = bed.connect("client", PUBLISHED)
    bed.load(bed.ruleset().insert("filter", "FORWARD", "-i docker0 -j DROP"))
    assert not talk.syn_ack().delivered
    with pytest.raises(NotDelivered, match="SYN/ACK"):
        talk.ack()


def test_udp_and_its_answer_are_translated_there_and_back(bed: Testbed) -> None:
    ask = IP(src="172.17.0.2", dst="203.0.113.10") / UDP(sport=5353, dport=53) / Raw(b"who")
    asked = bed.send(ask, "web")
    assert asked.translated == ("source 172.17.0.2:5353 > 192.168.66.100:5353",)
    assert asked.routers == 2
    answer = IP(src="203.0.113.10", dst="192.168.66.100") / UDP(sport=53, dport=5353) / Raw(b"you")
    answered = bed.send(answer, "internet")
    assert answered.translated == ("destination 192.168.66.100:5353 > 172.17.0.2:5353",)
    assert answered.arrived is not None
    assert answered.arrived.payload == b"you"


def test_the_hosts_own_kernel_answers_an_echo_request(bed: Testbed) -> None:
    client = bed.endpoint("client")
    client.send(IP(src="192.168.66.1", dst="192.168.66.100") / ICMP(type=8, code=0, id=7, seq=1))
    reply = client.wait_for(lambda packet: packet.icmp == (0, 0), "the echo reply")
    assert reply.source == "192.168.66.100"


def test_an_unpublished_port_is_answered_by_a_reset_of_the_host(bed: Testbed) -> None:
    assert not bed.connect("client", ("192.168.66.100", 81)).syn.delivered
    (reset,) = bed.received_by("client")
    assert (reset.kind, reset.from_) == ("RST/ACK", "192.168.66.100:81")


@pytest.fixture
def kernels(make_bed: MakeBed) -> Testbed:
    """The article's network with real machines at the ends."""
    return make_bed(article.topology_with_kernels())


def test_kernels_connect_through_the_published_port(kernels: Testbed) -> None:
    """Ordinary sockets: the container sees the client, the client the host; every packet is matched at both ends."""
    client, web = kernels.endpoint("client"), kernels.endpoint("web")
    with kernels.counting() as counting, kernels.kernel("web").listen(80) as listening:
        with kernels.kernel("client").connect(*PUBLISHED) as asking:
            answering, peer = listening.accept()
            with answering:
                asking.sendall(b"hello")
                assert answering.recv(100) == b"hello"
                assert peer == asking.getsockname()
        web.wait_for(lambda packet: "F" in packet.flags, "the client's FIN")
    inward = [(left, came) for left, came in matched(client.departures(), web.arrivals()) if came is not None]
    assert len(inward) == len(client.departures())
    assert [left.kind for left, _ in inward][:3] == ["SYN", "ACK", "PSH/ACK"]
    assert {translations(*pair) for pair in inward} == {("destination 192.168.66.100:80 > 172.17.0.2:80",)}
    assert all(left.good and came.good for left, came in inward)
    assert str(counting.result.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")) == "[1:60]"


def test_kernels_send_packets_no_larger_than_the_wire_takes(kernels: Testbed) -> None:
    """With offloads on, a rule would count one packet where a wire shows many."""
    data = bytes(100_000)
    client, web = kernels.endpoint("client"), kernels.endpoint("web")
    with kernels.kernel("web").listen(80) as listening, kernels.kernel("client").connect(*PUBLISHED) as asking:
        answering, _ = listening.accept()
        with answering, kernels.counting() as counting:
            asking.sendall(data)
            received = 0
            while received < len(data):
                received += len(answering.recv(65536))
    carrying = [packet for packet in web.arrivals() if packet.payload]
    assert sum(len(packet.payload) for packet in carrying) == len(data)
    assert max(packet.length for packet in carrying) == 1500
    assert len([packet for packet in client.departures() if packet.payload]) == len(carrying)
    inward = counting.result.rule(
        "filter", "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    assert inward.packets >= len(carrying)


def test_a_script_holds_both_ends_beside_real_machines(kernels: Testbed) -> None:
    """The container listens on the port that the script speaks for, and its kernel does not meddle."""
    with kernels.counting() as counting, kernels.kernel("web").listen(80):
        syn, syn_ack, ack = kernels.connect("client", PUBLISHED).handshake()
    assert syn.sent.source == "192.168.66.2"
    assert [result.sent.kind for result in (syn, syn_ack, ack)] == ["SYN", "SYN/ACK", "ACK"]
    assert str(counting.result.rule("filter", "-A FORWARD -j DOCKER-USER")) == "[3:144]"
    assert [packet.kind for packet in kernels.received_by("client")] == ["SYN/ACK"]
