"""Many packets that differ only in addresses, ports and numbers: scapy builds the first, the others overwrite fields.

Building a packet from layers takes 0.2 ms, as long as a bed takes to process it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from testbed.traffic.layers import ICMP, IP, TCP, UDP, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from testbed.traffic.layers import checksum as summed

_WORD, _LONG, _PORTS, _NUMBERS = (struct.Struct(f"!{of}") for of in ("H", "I", "HH", "II"))
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_SUM_AT = {_TCP: 16, _UDP: 6, _ICMP: 2, _ICMPV6: 2}  # offset of the checksum in each header
_SEQ_AT, _ECHO_AT, _UDP_LENGTH_AT = 4, 4, 4
_QUOTED = 48  # bytes of a packet that an ICMP error quotes: its headers


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a packet: `tcp S`, `tcp SA`, `udp`, `echo`, `echo reply`, `error` (port unreachable)."""

    kind: str
    version: int


def build(
    form: Form,
    source: str,
    destination: str,
    ports: tuple[int, int],
    identification: int,
    seq: int = 0,
    ack: int = 0,
    echo: int = 0,
    contents: bytes = b"",
) -> bytes:
    """Return a packet of that form; `identification` is the field of that name, in IPv6 the flow label."""
    base, protocol, behind = _base(form)
    packet = bytearray(base + contents[:_QUOTED])
    if form.version == 4:
        _WORD.pack_into(packet, 2, len(packet))
        _WORD.pack_into(packet, 4, identification)
        packet[12:20] = socket.inet_aton(source) + socket.inet_aton(destination)
        _WORD.pack_into(packet, 10, summed(bytes(packet[:behind])))
        pseudo = packet[12:20] + struct.pack("!BBH", 0, protocol, len(packet) - behind)
    else:
        _LONG.pack_into(packet, 0, 6 << 28 | identification)
        _WORD.pack_into(packet, 4, len(packet) - behind)
        both = (socket.inet_pton(socket.AF_INET6, address) for address in (source, destination))
        packet[8:40] = b"".join(both)
        pseudo = packet[8:40] + struct.pack("!II", len(packet) - behind, protocol)
    if protocol in (_TCP, _UDP):
        _PORTS.pack_into(packet, behind, *ports)
    if protocol == _TCP:
        _NUMBERS.pack_into(packet, behind + _SEQ_AT, seq, ack)
    elif protocol == _UDP:
        _WORD.pack_into(packet, behind + _UDP_LENGTH_AT, len(packet) - behind)
    elif form.kind != "error":
        _WORD.pack_into(packet, behind + _ECHO_AT, echo)
    own = bytes(packet[behind:]) if protocol == _ICMP else bytes(pseudo + packet[behind:])
    _WORD.pack_into(packet, behind + _SUM_AT[protocol], summed(own) or 0xFFFF)
    return bytes(packet)


@lru_cache(maxsize=64)
def _base(form: Form) -> tuple[bytes, int, int]:
    """Return a packet without checksums, its protocol, and the offset of its transport header."""
    packet = _network(form) / _transport(form)
    protocol = packet.proto if form.version == 4 else packet.nh
    behind = 20 if form.version == 4 else 40
    data = bytearray(bytes(packet))
    _WORD.pack_into(data, behind + _SUM_AT[protocol], 0)
    if form.version == 4:
        _WORD.pack_into(data, 10, 0)
    return bytes(data), protocol, behind


def _network(form: Form) -> Any:
    return IP(src="192.0.2.1", dst="192.0.2.2") if form.version == 4 else IPv6(src="2001:db8::1", dst="2001:db8::2")


def _transport(form: Form) -> Any:
    name, _, flags = form.kind.partition(" ")
    if name == "tcp":
        return TCP(flags=flags)
    if name == "udp":
        return UDP()
    if form.version == 4:
        return {"echo": ICMP(type=8, seq=1), "echo reply": ICMP(type=0, seq=1), "error": ICMP(type=3, code=3)}[
            form.kind
        ]
    six = {"echo": ICMPv6EchoRequest(seq=1), "echo reply": ICMPv6EchoReply(seq=1), "error": ICMPv6DestUnreach(code=4)}
    return six[form.kind]
