"""The IP header of a packet, of either version, and a check of the packet's checksums."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPv6, IPv6ExtHdrFragment, ScapyPacket, checksum

ICMP_PROTOCOL, ICMPV6_PROTOCOL = 1, 58
ETHERNET_TYPES = {4: 0x0800, 6: 0x86DD}  # the type field of a frame, by IP version


@dataclass(frozen=True, slots=True)
class IpHeader:
    """The fields of an IP header; `length` is the whole packet's in bytes, `contents` are the bytes behind the header.

    `identification` distinguishes the packets of a bed. It is IPv4's field of that name; IPv6 has none, so it is the
    flow label (RFC 6437). Routers and NAT change neither. `fragment` says whether this is a fragment, `later` whether
    it is not the first fragment, which has the ports.
    """

    version: int
    source: str
    destination: str
    protocol: int
    identification: int
    ttl: int
    length: int
    contents: bytes
    layer: Any
    fragment: bool
    later: bool
    good: bool

    @property
    def checksums_good(self) -> bool:
        """Whether the checksums of header and contents are right (RFC 1071); a fragment's contents are not checked."""
        if not self.good or self.fragment:
            return self.good
        if isinstance(self.layer, UDP) and self.layer.chksum == 0 and self.version == 4:  # without a checksum (RFC 768)
            return True
        if isinstance(self.layer, ICMP):
            return not checksum(self.contents)
        if isinstance(self.layer, TCP | UDP) or self.protocol == ICMPV6_PROTOCOL:
            return not checksum(self._pseudo_header + self.contents)
        return True

    @property
    def _pseudo_header(self) -> bytes:
        if self.version == 4:
            addresses = bytes(IP(src=self.source, dst=self.destination))[12:20]
            return addresses + struct.pack("!BBH", 0, self.protocol, len(self.contents))
        addresses = bytes(IPv6(src=self.source, dst=self.destination))[8:40]
        return addresses + struct.pack("!II", len(self.contents), self.protocol)


def read(data: bytes) -> IpHeader:
    """Return the header of an IP packet's bytes; padding behind the packet is left out."""
    return _version_6(data) if data[0] >> 4 == 6 else _version_4(data)


def marked(packet: Any, identification: int) -> Any:
    """Return a scapy packet with the identification, unless it has one of its own.

    Raises TestbedError for a value that does not begin with scapy's IP or IPv6.
    """
    if not isinstance(packet, IP | IPv6):
        what = packet.summary() if isinstance(packet, ScapyPacket) else repr(packet)
        raise TestbedError(f"{what} is no packet that begins with IP or IPv6.", "Send IP(...) / ..., without a frame.")
    field = "fl" if isinstance(packet, IPv6) else "id"
    if getattr(packet, field) != getattr(type(packet)(), field):
        return packet
    packet = packet.copy()
    setattr(packet, field, identification)
    return packet


def _version_4(data: bytes) -> IpHeader:
    data = data[: IP(data).len]
    ip = IP(data)
    return IpHeader(
        version=4,
        source=ip.src,
        destination=ip.dst,
        protocol=ip.proto,
        identification=ip.id,
        ttl=ip.ttl,
        length=ip.len,
        contents=data[ip.ihl * 4 :],
        layer=ip.payload,
        fragment=bool(ip.frag or ip.flags.MF),
        later=bool(ip.frag),
        good=not checksum(data[: ip.ihl * 4]),
    )


def _version_6(data: bytes) -> IpHeader:
    data = data[: 40 + IPv6(data).plen]
    ip = IPv6(data)
    piece = ip.payload if isinstance(ip.payload, IPv6ExtHdrFragment) else None
    return IpHeader(
        version=6,
        source=ip.src,
        destination=ip.dst,
        protocol=piece.nh if piece is not None else ip.nh,
        identification=ip.fl,
        ttl=ip.hlim,
        length=40 + ip.plen,
        contents=data[48 if piece is not None else 40 :],
        layer=piece.payload if piece is not None else ip.payload,
        fragment=piece is not None,
        later=piece is not None and bool(piece.offset),
        good=True,
    )
