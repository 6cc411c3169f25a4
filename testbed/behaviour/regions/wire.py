"""The bytes of witnesses: any header that the analysis can name, as a packet that connection tracking accepts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from testbed.analysis.packets import ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from testbed.analysis.plain import PlainHeader
from testbed.traffic.layers import IP, IPv6, Raw, checksum, sctp_checksum

_HEADERS = {4: 20, 6: 40}
_WINDOW = 65535
_SCTP_HEADER = 12
_INIT = struct.Struct("!BBHIIHHI")  # the chunk that begins an association (RFC 9260, 3.3.2)
_LATER = 8  # bytes of IPv4's flags and offset: a later fragment begins behind so many units of 8 bytes
_FIN_OFFSET = 5 << 4  # of TCP: the length of its header without options
_FLAGS = dict(zip("FSRPAUEC", (1, 2, 4, 8, 16, 32, 64, 128), strict=True))


@dataclass(frozen=True, slots=True)
class Numbers:
    """The sequence numbers of a TCP segment, and the identifier of an ICMP query."""

    seq: int = 0
    ack: int = 0
    query: int = 0


def built(header: PlainHeader, identification: int, numbers: Numbers, quoted: bytes = b"") -> bytes:
    """Return the bytes of a packet; `quoted` is the IP packet that an ICMP error quotes."""
    version = header.source.version
    size = header.length - _HEADERS[version]
    contents = _contents(header, size, numbers, quoted)
    return bytes(_ip(header, identification) / Raw(_summed(header, contents)))


def _ip(header: PlainHeader, identification: int) -> Any:
    source, destination = str(header.source), str(header.destination)
    if header.source.version == 6:
        packet = IPv6(src=source, dst=destination, hlim=header.ttl, nh=header.protocol)
        packet.tc, packet.fl = header.tos, identification
        return packet
    offset = _LATER if header.fragment else 0
    older = IP(src=source, dst=destination, ttl=header.ttl, proto=header.protocol)
    older.tos, older.id, older.frag = header.tos, identification, offset
    return older


def _contents(header: PlainHeader, size: int, numbers: Numbers, quoted: bytes) -> bytes:
    """Return what is behind the IP header, its checksum 0."""
    if header.fragment:
        return bytes(max(size, 0))
    start = struct.pack("!HH", header.first, header.second)
    if header.protocol == TCP:
        flags = sum(_FLAGS[letter] for letter in header.flags)
        start += struct.pack("!IIBBHHH", numbers.seq, numbers.ack, _FIN_OFFSET, flags, _WINDOW, 0, 0)
    elif header.protocol in (UDP, UDPLITE):
        start += struct.pack("!HH", size if header.protocol == UDP else 0, 0)
    elif header.protocol in (ICMP, ICMPV6):
        start = struct.pack("!HHHH", header.first, 0, numbers.query, 1) if not quoted else _error(header, quoted)
    elif header.protocol == SCTP:
        start += bytes(8) + _INIT.pack(1, 0, max(size - _SCTP_HEADER, _INIT.size), 1, _WINDOW, 1, 1, 1)
    return (start + bytes(max(size - len(start), 0)))[:size]


def _error(header: PlainHeader, quoted: bytes) -> bytes:
    return struct.pack("!HHI", header.first, 0, 0) + quoted


def _summed(header: PlainHeader, contents: bytes) -> bytes:
    """Return the contents with their checksum, or with a wrong one where the packet is damaged."""
    place = {TCP: 16, UDP: 6, UDPLITE: 6, ICMP: 2, ICMPV6: 2}.get(header.protocol)
    if header.fragment:
        return contents
    if header.protocol == SCTP:
        return contents[:8] + struct.pack("!I", sctp_checksum(contents) ^ header.damaged) + contents[12:]
    if place is None or len(contents) < place + 2:
        return contents
    right = checksum(contents if header.protocol == ICMP else _pseudo_header(header, contents) + contents)
    right = (right ^ 0x5555 if header.damaged else right) or 0xFFFF
    return contents[:place] + struct.pack("!H", right) + contents[place + 2 :]


def _pseudo_header(header: PlainHeader, contents: bytes) -> bytes:
    addresses = header.source.packed + header.destination.packed
    if header.source.version == 6:
        return addresses + struct.pack("!II", len(contents), header.protocol)
    return addresses + struct.pack("!BBH", 0, header.protocol, len(contents))
