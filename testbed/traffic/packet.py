"""A packet as a value: its headers, as sent or captured."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from testbed.traffic import internet
from testbed.traffic.layers import TCP, UDP, Raw

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
_SCTP, _SCTP_HEADER = 132, 12  # ports, tag, checksum (RFC 9260)
_ICMP, _ICMP_HEADER = {internet.ICMP_PROTOCOL, internet.ICMPV6_PROTOCOL}, 8
_ECHOES = (0, 8, 128, 129)  # echo replies and requests of ICMP and ICMPv6 (RFC 792, RFC 4443)
_FLAG_NAMES = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "C": "CWR"}
ICMP_ERRORS = {"icmp": {3, 4, 5, 11, 12}, "icmpv6": {1, 2, 3, 4}}  # these quote a packet (RFC 792, RFC 4443)


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet; `length` is its total length in bytes, as rules count it.

    `flags` are TCP's, one letter each (`SA`). `icmp` is (type, code) of an ICMP message. Fields that the protocol lacks
    are zero or empty. `identification` is IPv6's flow label (internet.py), `ttl` its hop limit. `good` says whether its
    checksums are right. `echo` is the identifier of an ICMP echo.
    """

    source: str
    destination: str
    protocol: str
    identification: int
    ttl: int
    length: int
    source_port: int = 0
    destination_port: int = 0
    flags: str = ""
    seq: int = 0
    ack: int = 0
    icmp: tuple[int, int] | None = None
    payload: bytes = b""
    timestamp: int = 0
    good: bool = field(default=True, compare=False)
    echo: int | None = field(default=None, compare=False)

    @classmethod
    def dissect(cls, data: bytes) -> Packet:
        """Return the packet of an IP packet's bytes; padding behind it is left out."""
        header = internet.read(data)
        transport = header.layer
        facts: dict[str, Any] = {}
        if isinstance(transport, TCP):
            stamps = dict(option[:2] for option in transport.options).get("Timestamp", (0, 0))
            facts = {
                "source_port": transport.sport,
                "destination_port": transport.dport,
                "flags": str(transport.flags),
                "seq": transport.seq,
                "ack": transport.ack,
                "timestamp": stamps[0],
            }
        elif isinstance(transport, UDP):
            facts = {"source_port": transport.sport, "destination_port": transport.dport}
        elif header.protocol in _ICMP and not header.later and len(header.contents) >= _ICMP_HEADER:
            facts = {"icmp": (header.contents[0], header.contents[1])}
            if header.contents[0] in _ECHOES:
                facts["echo"] = int.from_bytes(header.contents[4:6], "big")
        elif header.protocol == _SCTP and not header.later and len(header.contents) >= _SCTP_HEADER:
            source_port, destination_port = struct.unpack_from("!HH", header.contents)
            facts = {"source_port": source_port, "destination_port": destination_port}
        return cls(
            source=header.source,
            destination=header.destination,
            protocol=_PROTOCOLS.get(header.protocol, str(header.protocol)),
            identification=header.identification,
            ttl=header.ttl,
            length=header.length,
            payload=_payload(header),
            good=header.checksums_good,
            **facts,
        )

    @property
    def from_(self) -> str:
        """The source address and port."""
        return place(self.source, self.source_port)

    @property
    def to(self) -> str:
        """The destination address and port."""
        return place(self.destination, self.destination_port)

    @property
    def kind(self) -> str:
        """The name of the packet: SYN, SYN/ACK, ACK, FIN/ACK, RST; else its protocol."""
        return kind(self.protocol, self.flags, self.icmp)

    @property
    def quoted(self) -> int | None:
        """The identification (IPv6: flow label) of the packet that an ICMP error quotes; None for other packets."""
        if self.icmp is None or self.icmp[0] not in ICMP_ERRORS.get(self.protocol, ()) or len(self.payload) < 20:
            return None
        if self.protocol == "icmpv6":
            return int.from_bytes(self.payload[:4], "big") & 0xFFFFF
        return int.from_bytes(self.payload[4:6], "big")

    def same_as(self, other: Packet) -> bool:
        """Return whether both are one packet at two capture points: NAT, routers and targets change none of these
        fields.

        The quoted packet of an ICMP error is left out, since NAT translates it too.
        """
        return self._unchanging == other._unchanging

    @property
    def _unchanging(self) -> tuple[object, ...]:
        payload = b"" if self.icmp and self.icmp[0] in ICMP_ERRORS.get(self.protocol, ()) else self.payload
        return self.protocol, self.identification, self.flags.rstrip("EC"), self.seq, self.ack, self.icmp, payload

    def __str__(self) -> str:
        return f"{self.kind} {self.from_} > {self.to}, {self.length} bytes"


def _payload(header: internet.IpHeader) -> bytes:
    """Return the bytes behind the header that NAT changes; all bytes if there is no such header, as in a later
    fragment.
    """
    if header.protocol == _SCTP and not header.later:
        return header.contents[_SCTP_HEADER:]
    if header.protocol in _ICMP and not header.later:
        return header.contents[_ICMP_HEADER:]
    return header.contents if isinstance(header.layer, Raw) else bytes(header.layer.payload)


def kind(protocol: str, flags: str, icmp: tuple[int, int] | None) -> str:
    """Return the name of a packet: SYN, SYN/ACK, ACK, FIN/ACK, RST; else its protocol, for ICMP with type and code."""
    if protocol == "tcp":
        return "/".join(_FLAG_NAMES[flag] for flag in "SFRPUA" if flag in flags) or "no flags"
    return f"{protocol} {icmp[0]}/{icmp[1]}" if icmp else protocol


def place(address: str, port: int) -> str:
    """Return address and port as one word; only the address for a protocol without ports (0)."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def translations(sent: Packet, arrived: Packet) -> tuple[str, ...]:
    """Return what NAT changed between two capture points: `source A > B`, `destination A > B`."""
    pairs = (("source", sent.from_, arrived.from_), ("destination", sent.to, arrived.to))
    return tuple(f"{what} {before} > {after}" for what, before, after in pairs if before != after)
