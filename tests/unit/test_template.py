"""Packets written over a form are the ones that scapy builds, to the last bit of their sums."""

from __future__ import annotations

import pytest

from testbed.traffic import template
from testbed.traffic.layers import (
    ICMP,
    IP,
    TCP,
    UDP,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    IPv6,
    Raw,
)
from testbed.traffic.packet import Packet
from testbed.traffic.template import Form

FROM, TO = "192.168.66.1", "172.17.0.2"
FROM6, TO6 = "2001:db8:66::1", "2001:db8:1::2"
QUOTED = bytes(IP(src=TO, dst=FROM, id=7) / UDP(sport=9, dport=40000))
QUOTED6 = bytes(IPv6(src=TO6, dst=FROM6, fl=7) / UDP(sport=9, dport=40000))
FOUR, SIX = IP(src=FROM, dst=TO, id=4660), IPv6(src=FROM6, dst=TO6, fl=4660)
BUILT = [
    (Form("tcp S", 4), b"", FOUR / TCP(sport=40000, dport=80, flags="S", seq=5)),
    (Form("tcp SA", 4), b"", FOUR / TCP(sport=40000, dport=80, flags="SA", seq=5, ack=6)),
    (Form("udp", 4), b"", FOUR / UDP(sport=40000, dport=80)),
    (Form("udp", 4), b"data", FOUR / UDP(sport=40000, dport=80) / Raw(b"data")),
    (Form("echo", 4), b"data", FOUR / ICMP(type=8, id=40000, seq=1) / Raw(b"data")),
    (Form("echo reply", 4), b"", FOUR / ICMP(type=0, id=40000, seq=1)),
    (Form("error", 4), QUOTED, FOUR / ICMP(type=3, code=3) / Raw(QUOTED)),
    (Form("tcp SF", 6), b"", SIX / TCP(sport=40000, dport=80, flags="SF", seq=5)),
    (Form("udp", 6), b"data", SIX / UDP(sport=40000, dport=80) / Raw(b"data")),
    (Form("echo", 6), b"", SIX / ICMPv6EchoRequest(id=40000, seq=1)),
    (Form("echo reply", 6), b"", SIX / ICMPv6EchoReply(id=40000, seq=1)),
    (Form("error", 6), QUOTED6, SIX / ICMPv6DestUnreach(code=4) / Raw(QUOTED6)),
]


@pytest.mark.parametrize(
    ("form", "contents", "expected"), BUILT, ids=[f"{form.kind}-{form.version}" for form, *_ in BUILT]
)
def test_it_is_what_scapy_builds(form: Form, contents: bytes, expected: IP | IPv6) -> None:
    ack = 6 if form.kind == "tcp SA" else 0
    ends = (FROM, TO) if form.version == 4 else (FROM6, TO6)
    seq = 5 if form.kind.startswith("tcp") else 0
    data = template.build(form, *ends, (40000, 80), 4660, seq=seq, ack=ack, echo=40000, contents=contents)
    assert data == bytes(expected)
    assert Packet.dissect(data).good
