"""Packets dissected, and known again after NAT."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6EchoRequest

from testbed import Packet, PacketResult, TestbedError
from testbed.observe.received import matched
from testbed.traffic.endpoint import Arrival
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPv6, IPv6ExtHdrFragment, Raw
from testbed.traffic.tcp import LINUX, WINDOWS, Stack


def dissected(packet: object) -> Packet:
    return Packet.dissect(bytes(packet))  # type: ignore[call-overload]


def segment(**ip: Any) -> object:
    fields: dict[str, Any] = {"src": "192.168.66.1", "dst": "192.168.66.100", "id": 7, "ttl": 128} | ip
    return IP(**fields) / TCP(sport=40000, dport=80, flags="SA", seq=5, ack=9) / Raw(b"hi")


def test_a_tcp_packet_is_read_field_by_field() -> None:
    packet = dissected(segment())
    assert (packet.from_, packet.to, packet.kind) == ("192.168.66.1:40000", "192.168.66.100:80", "SYN/ACK")
    assert (packet.protocol, packet.ttl, packet.length, packet.identification) == ("tcp", 128, 42, 7)
    assert (packet.flags, packet.seq, packet.ack, packet.payload, packet.good) == ("SA", 5, 9, b"hi", True)


def test_udp_icmp_and_what_has_no_ports() -> None:
    udp = dissected(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2))
    assert (udp.kind, udp.from_, udp.to, udp.length) == ("udp", "192.0.2.1:1", "192.0.2.2:2", 28)
    echo = dissected(IP(src="192.0.2.1", dst="192.0.2.2") / ICMP(type=8, code=0))
    assert (echo.kind, echo.icmp, echo.from_) == ("icmp 8/0", (8, 0), "192.0.2.1")
    other = dissected(IP(src="192.0.2.1", dst="192.0.2.2", proto=47) / Raw(b"gre"))
    assert (other.kind, other.protocol) == ("47", "47")


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("S", "SYN"),
        ("A", "ACK"),
        ("FA", "FIN/ACK"),
        ("R", "RST"),
        ("RA", "RST/ACK"),
        ("PA", "PSH/ACK"),
        ("UA", "URG/ACK"),
        ("SEC", "SYN"),
        ("", "no flags"),
    ],
)
def test_a_tcp_packet_is_called_by_its_flags(flags: str, kind: str) -> None:
    packet = dissected(IP(src="192.0.2.1", dst="192.0.2.2") / TCP(flags=flags))
    assert packet.kind == kind
    assert set(packet.flags) == set(flags)


@pytest.mark.parametrize(("options", "timestamp"), [([("NOP", None), ("Timestamp", (7, 9))], 7), ([("NOP", None)], 0)])
def test_the_senders_timestamp_is_read_where_there_is_one(options: list[object], timestamp: int) -> None:
    packet = dissected(IP(src="192.0.2.1", dst="192.0.2.2") / TCP(options=options))
    assert (packet.timestamp, packet.good) == (timestamp, True)


@pytest.mark.parametrize(("number", "protocol"), [(1, "icmp"), (6, "tcp"), (17, "udp"), (132, "sctp"), (50, "50")])
def test_protocols_are_called_by_name(number: int, protocol: str) -> None:
    data = bytes(IP(src="192.0.2.1", dst="192.0.2.2", proto=number) / Raw(bytes(20)))
    assert Packet.dissect(data).protocol == protocol


def test_padding_of_a_short_frame_is_no_payload() -> None:
    data = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / TCP(flags="A"))
    assert Packet.dissect(data + bytes(6)).payload == b""
    assert Packet.dissect(data + bytes(6)).good


@pytest.mark.parametrize("wrong", [{"chksum": 1}, {}], ids=["ip", "tcp"])
def test_a_wrong_checksum_is_noticed(wrong: dict[str, Any]) -> None:
    packet = IP(src="192.0.2.1", dst="192.0.2.2", **wrong) / TCP(chksum=1 if not wrong else None)
    assert not dissected(packet).good


def test_nat_and_routers_do_not_make_it_another_packet() -> None:
    sent = dissected(segment())
    assert sent.same_as(dissected(segment(dst="172.17.0.2", ttl=127)))
    assert not sent.same_as(dissected(segment(id=8)))


@pytest.mark.parametrize(
    "change",
    [{"flags": "A"}, {"seq": 6}, {"ack": 8}, {"payload": b"ho"}, {"protocol": "udp"}, {"icmp": (8, 0)}],
    ids=lambda change: next(iter(change)),
)
def test_what_nat_leaves_alone_makes_it_another_packet(change: dict[str, object]) -> None:
    sent = dissected(segment())
    assert not sent.same_as(replace(sent, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [3, 4, 5, 11, 12])
def test_an_icmp_error_is_the_same_whatever_it_quotes(error: int) -> None:
    """NAT translates the quoted packet too."""
    first, second = (
        IP(src="192.0.2.1", dst=dst, id=7) / ICMP(type=error, code=0) / Raw(q)
        for dst, q in (("192.0.2.2", b"a"), ("192.0.2.3", b"b"))
    )
    assert dissected(first).same_as(dissected(second))
    asked = [IP(src="192.0.2.1", dst="192.0.2.2", id=7) / ICMP(type=8) / Raw(q) for q in (b"a", b"b")]
    assert not dissected(asked[0]).same_as(dissected(asked[1]))


def result(sent: Packet, arrived: Packet | None) -> PacketResult:
    return PacketResult("client", sent, Arrival("web", "eth0", arrived) if arrived is not None else None)


def test_result_has_translations_and_the_number_of_routers() -> None:
    through = result(dissected(segment()), dissected(segment(dst="172.17.0.2", ttl=126)))
    assert through.delivered
    assert (through.delivered_to, through.interface) == ("web", "eth0")
    assert through.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert (through.dnat, through.snat) == ("172.17.0.2:80", "")
    assert through.routers == 2
    back = result(dissected(segment(src="172.17.0.2")), dissected(segment(src="192.168.66.100")))
    assert back.translated == ("source 172.17.0.2:40000 > 192.168.66.100:40000",)
    assert (back.dnat, back.snat) == ("", "192.168.66.100:40000")
    unchanged = result(dissected(segment()), dissected(segment(ttl=127)))
    assert (unchanged.translated, unchanged.routers) == ((), 1)
    assert str(unchanged).endswith("42 bytes: delivered to web, not translated")
    lost = result(dissected(segment()), None)
    assert (lost.delivered, lost.delivered_to, lost.routers) == (False, None, 0)
    assert str(lost) == "SYN/ACK 192.168.66.1:40000 > 192.168.66.100:80, 42 bytes: arrived at no node"


@pytest.mark.parametrize("name", ["verdict", "dropped", "rejected", "dropped_by", "dnat", "snat", "journey", "counted"])
def test_attribute_that_no_observation_proves_is_an_error(name: str) -> None:
    with pytest.raises(TestbedError, match="trace=True"):
        getattr(result(dissected(segment()), None), name)


def test_drop_of_a_delivered_packet_is_an_error() -> None:
    through = result(dissected(segment()), dissected(segment(dst="172.17.0.2")))
    assert not through.dropped
    with pytest.raises(TestbedError, match="was not dropped: delivered to web"):
        _ = through.dropped_by


def test_each_departure_is_matched_with_its_own_arrival_and_a_lost_one_with_none() -> None:
    left = [dissected(segment(id=number)) for number in (1, 2, 3, 3)]
    arrived = [dissected(segment(id=number, dst="172.17.0.2", ttl=127)) for number in (3, 1)]
    assert [came for _, came in matched(left, arrived)] == [arrived[1], None, arrived[0], None]


@pytest.mark.parametrize(("stack", "syn", "ack"), [(WINDOWS, 52, 40), (LINUX, 60, 52)], ids=["windows", "linux"])
def test_the_sizes_of_the_stacks_packets(stack: Stack, syn: int, ack: int) -> None:
    """The article's SYN has 52 bytes and its ACK 40; a Linux client's have 60 and 52 (timestamps)."""
    for is_syn, length in ((True, syn), (False, ack)):
        packet = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(options=stack.options(is_syn, 1, 0))
        assert dissected(packet).length == length


def test_what_has_no_ports_is_told_apart_by_all_of_its_contents() -> None:
    gre = [dissected(IP(src="192.0.2.1", dst="192.0.2.2", proto=47, id=7) / Raw(data)) for data in (b"one", b"two")]
    assert [packet.payload for packet in gre] == [b"one", b"two"]
    assert not gre[0].same_as(gre[1])


def test_of_fragments_the_lost_one_is_found() -> None:
    whole = bytes(UDP(sport=1, dport=2) / Raw(bytes(range(72))))
    common = {"src": "192.0.2.1", "dst": "192.0.2.2", "id": 7, "proto": 17}
    pieces = [
        dissected(IP(**common, frag=at // 8, flags=more) / Raw(whole[at : at + 32]))
        for at, more in ((0, "MF"), (32, "MF"), (64, 0))
    ]
    assert [came is not None for _, came in matched(pieces, [pieces[0], pieces[2]])] == [True, False, True]
    assert all(piece.good for piece in pieces)


def test_a_udp_packet_may_go_without_a_checksum() -> None:
    assert dissected(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2, chksum=0)).good


def test_sctp_has_ports_and_nat_leaves_its_chunks_alone() -> None:
    def packet(port: int, chunk: bytes) -> Packet:
        header = struct.pack("!HHII", 4000, port, 9, port * 7)
        return dissected(IP(src="192.0.2.1", dst="192.0.2.2", proto=132, id=7) / Raw(header + chunk))

    assert (packet(80, b"init").kind, packet(80, b"init").to) == ("sctp", "192.0.2.2:80")
    assert packet(80, b"init").same_as(packet(8080, b"init"))
    assert not packet(80, b"init").same_as(packet(80, b"data"))


def test_ipv6_is_read_and_its_flow_label_tells_packets_apart() -> None:
    ip = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=64, fl=7)
    tcp = dissected(ip / TCP(sport=40000, dport=80, flags="S") / Raw(b"hi"))
    assert (tcp.from_, tcp.to, tcp.kind) == ("[2001:db8::1]:40000", "[2001:db8::2]:80", "SYN")
    assert (tcp.identification, tcp.ttl, tcp.length, tcp.payload, tcp.good) == (7, 64, 62, b"hi", True)
    echo = dissected(ip / ICMPv6EchoRequest(id=3, data=b"abc"))
    assert (echo.kind, echo.icmp, echo.payload, echo.good) == ("icmpv6 128/0", (128, 0), b"abc", True)
    translated = dissected(
        IPv6(src="2001:db8::9", dst="2001:db8::2", hlim=63, fl=7) / ICMPv6EchoRequest(id=9, data=b"abc")
    )
    assert translated.same_as(echo)
    assert not replace(translated, identification=8).same_as(echo)


@pytest.mark.parametrize("layer", [TCP(), UDP(), ICMPv6EchoRequest()], ids=["tcp", "udp", "icmpv6"])
def test_a_wrong_checksum_of_ipv6_is_seen(layer: Any) -> None:
    data = bytearray(bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / layer / Raw(b"data")))
    assert Packet.dissect(bytes(data)).good
    data[-1] ^= 1
    assert not Packet.dissect(bytes(data)).good


def test_a_later_piece_of_ipv6_has_no_ports() -> None:
    whole = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(nh=17, offset=2, m=0) / Raw(b"rest")
    piece = dissected(whole)
    assert (piece.protocol, piece.source_port, piece.payload) == ("udp", 0, b"rest")
