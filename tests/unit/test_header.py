"""Headers as the kernel's trace copies them: the first bytes of IP's and of what is behind."""

from __future__ import annotations

from testbed.observe.header import TracedHeader
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPv6


def read(packet: object, behind: int = 20) -> TracedHeader:
    data = bytes(packet)  # type: ignore[call-overload]
    return TracedHeader.read(data[:behind], data[behind : behind + 20])


def test_a_syn() -> None:
    header = read(IP(src="192.0.2.1", dst="192.0.2.2", id=7, ttl=9) / TCP(sport=1, dport=80, flags="S", seq=5))
    assert (header.from_, header.to, header.protocol) == ("192.0.2.1:1", "192.0.2.2:80", "tcp")
    assert (header.identification, header.ttl, header.length) == (7, 9, 40)
    assert (header.flags, header.seq) == ("S", 5)


def test_flags_are_in_the_order_in_which_packets_have_them() -> None:
    assert read(IP() / TCP(flags="PA")).flags == str(TCP(flags="PA").flags) == "PA"
    assert read(IP() / TCP(flags="FA")).flags == str(TCP(flags="FA").flags) == "FA"


def test_udp_and_icmp() -> None:
    assert read(IP(dst="192.0.2.2") / UDP(sport=5, dport=53)).to == "192.0.2.2:53"
    assert read(IP(dst="192.0.2.2") / ICMP(type=8)).icmp == (8, 0)
    assert read(IP(dst="192.0.2.2") / ICMP(type=8)).to == "192.0.2.2"


def test_an_error_says_which_packet_it_is_about() -> None:
    about = IP(src="192.0.2.2", dst="192.0.2.1", id=77) / UDP(sport=1, dport=2)
    assert read(IP(dst="192.0.2.2") / ICMP(type=3, code=3) / about).quoted == 77
    assert read(IP(dst="192.0.2.2") / ICMP(type=8, id=5)).quoted is None
    assert read(IP(dst="192.0.2.2") / ICMP(type=8, id=5)).echo == 5


def test_the_flow_label_stands_for_the_identification_in_ipv6() -> None:
    header = read(IPv6(src="2001:db8::1", dst="2001:db8::2", fl=9, hlim=3) / UDP(sport=5, dport=53) / b"1234", 40)
    assert (header.identification, header.ttl, header.length) == (9, 3, 52)
    assert header.to == "[2001:db8::2]:53"


def test_a_later_fragment_has_no_ports() -> None:
    header = read(IP(dst="192.0.2.2", frag=10, proto=17) / b"\0\x01\0\x02........")
    assert header.fragment
    assert header.to == "192.0.2.2"


def test_what_nat_and_routers_leave_is_the_cookie() -> None:
    before = read(IP(src="192.0.2.1", dst="192.0.2.2", id=7, ttl=9) / TCP(sport=1, dport=80, seq=5))
    after = read(IP(src="192.0.2.9", dst="198.51.100.2", id=7, ttl=8) / TCP(sport=2, dport=8080, seq=5))
    assert before.cookie == after.cookie
    assert before.translations(after) == (
        "source 192.0.2.1:1 > 192.0.2.9:2",
        "destination 192.0.2.2:80 > 198.51.100.2:8080",
    )
    assert before.translations(before) == ()
