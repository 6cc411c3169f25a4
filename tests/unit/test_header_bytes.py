"""Any bytes that a trace event or a capture can carry are parsed, or are named `not parsed`; none is an error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.observe.header import NOT_PARSED, TracedHeader
from testbed.rules.clauses import clauses
from testbed.rules.matching import holds
from testbed.rules.packet_context import PacketContext
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPv6, IPv6ExtHdrFragment
from testbed.traffic.packet import Packet

PROTOCOLS = st.sampled_from([0, 1, 2, 6, 17, 43, 44, 47, 50, 51, 58, 60, 132, 136]) | st.integers(0, 255)


def well_formed(protocol: int, offset: int, contents: bytes) -> bytes:
    header = IP(src="192.0.2.1", dst="192.0.2.2", id=7, proto=protocol, frag=offset, len=20 + len(contents))
    return bytes(header)[:20] + contents


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_any_bytes_are_a_header(network: bytes, transport: bytes) -> None:
    header = TracedHeader.read(network, transport)
    assert (header.protocol == NOT_PARSED) == (header.source == "")
    assert isinstance(hash(header.cookie), int)
    assert header.kind


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_and_a_quote(data: bytes) -> None:
    assert TracedHeader.of(data).kind
    assert TracedHeader.quoted_in(data).kind


@given(PROTOCOLS, st.integers(0, 0x1FFF), st.binary(max_size=70))
def test_any_protocol_behind_a_good_ip_header_is_read_alike_from_trace_and_capture(
    protocol: int, offset: int, contents: bytes
) -> None:
    data = well_formed(protocol, offset, contents)
    header, packet = TracedHeader.of(data), Packet.dissect(data)
    assert (header.source, header.destination, header.identification) == ("192.0.2.1", "192.0.2.2", 7)
    assert (packet.source, packet.destination, packet.identification) == ("192.0.2.1", "192.0.2.2", 7)
    assert header.protocol == packet.protocol
    assert header.fragment == bool(offset)


def test_a_tcp_header_cut_short_has_no_ports_and_says_so() -> None:
    header = TracedHeader.read(bytes(IP(src="192.0.2.1", dst="192.0.2.2", proto=6))[:20], b"\x9c\x40\x00")
    assert (header.kind, header.to, header.whole) == ("tcp (not parsed)", "192.0.2.2", False)


def test_an_event_without_a_header_is_named() -> None:
    assert TracedHeader.read(b"", b"").kind == NOT_PARSED


def test_an_icmp_error_with_a_cut_quote_has_no_quoted_identification() -> None:
    about = bytes(IP(src="192.0.2.2", dst="192.0.2.1", id=77) / UDP(sport=1, dport=2))
    whole = bytes(IP(src="192.0.2.9", dst="192.0.2.2") / ICMP(type=3, code=3) / about)
    assert TracedHeader.of(whole).quoted == 77
    assert TracedHeader.of(whole[:32]).quoted is None
    assert TracedHeader.quoted_in(whole[:32]).kind == NOT_PARSED


def test_behind_an_extension_header_of_ipv6_the_transport_is_unknown() -> None:
    hop_by_hop = bytes([6, 0, 1, 4, 0, 0, 0, 0])  # next header TCP, padding
    for number, extension in ((0, hop_by_hop), (44, bytes(IPv6ExtHdrFragment(nh=6)))):
        ip = IPv6(src="2001:db8::1", dst="2001:db8::2", fl=9, nh=number)
        data = bytes(ip / (extension + bytes(TCP(dport=80, flags="S"))))
        header = TracedHeader.read(data[:40], data[-20:])
        assert (header.identification, header.transport, header.whole) == (9, NOT_PARSED, False)
        (clause,) = clauses("-p tcp -j DROP")
        facts = PacketContext(header.source, header.destination, header.transport)
        assert holds(clause, facts) is None
