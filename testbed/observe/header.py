"""A packet's headers at one moment, parsed from the bytes that the kernel copies into its trace."""

from __future__ import annotations

import socket
import struct
from typing import Any, NamedTuple

from testbed.traffic.packet import ICMP_ERRORS, Packet, kind, place

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP_START = struct.Struct("!HHIIBB")
_PORTS = struct.Struct("!HH")
_FLAGS = "FSRPAUEC"
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
_WITH_PORTS = {6, 17, 132}
# Position and mask of the identification, or flow label, of the header that an ICMP error quotes.
_QUOTED = {1: (slice(12, 14), 0xFFFF), 58: (slice(8, 12), 0xFFFFF)}
# Extension headers of IPv6 (IANA's list): the trace does not copy them, so the headers behind them stay unknown.
_EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
_ERROR = 8  # bytes of an ICMP error before the quoted packet
_ICMP_START, _ICMP_ECHO = 2, 6  # bytes up to the code, and up to the identifier of an echo
NOT_PARSED = "not parsed"  # the protocol of a packet whose IP header is too short, or of no known version
_ECHOES = {1: (0, 8), 58: (128, 129)}  # of ICMP and ICMPv6: reply and request


class TracedHeader(NamedTuple):
    """Addresses, ports and identifying fields; `length` is that of the IP packet, in bytes.

    `identification` is IPv4's field of that name, or IPv6's flow label. Ports are 0 and `icmp` is None if the protocol
    has none. `echo` is the identifier of an ICMP echo. `quoted` is the identification of the packet that an ICMP error
    quotes. `fragment` says whether this is a later fragment, which has no ports. `whole` is False if the IP or
    transport header is too short for its protocol, or is behind an extension header of IPv6. Its fields are then empty.
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
    echo: int | None = None
    quoted: int | None = None
    fragment: bool = False
    whole: bool = True

    @classmethod
    def read(cls, network: bytes, transport: bytes) -> TracedHeader:
        """Parse the first bytes of the IP header and of the header behind it; never raises."""
        version = network[0] >> 4 if network else 0
        if version == 6 and len(network) >= _IPV6.size:
            word, payload, protocol, ttl, source, destination = _IPV6.unpack_from(network)
            length, identification, later, family = 40 + payload, word & 0xFFFFF, False, socket.AF_INET6
        elif version == 4 and len(network) >= _IPV4.size:
            _, _, length, identification, offset, ttl, protocol, _, source, destination = _IPV4.unpack_from(network)
            later, family = bool(offset & 0x1FFF), socket.AF_INET
        else:
            return cls("", "", NOT_PARSED, 0, 0, len(network) + len(transport), whole=False)
        extended = version == 6 and protocol in _EXTENSIONS
        return cls(
            socket.inet_ntop(family, source),
            socket.inet_ntop(family, destination),
            _PROTOCOLS.get(protocol, str(protocol)),
            identification,
            ttl,
            length,
            fragment=later,
            **({} if later else {"whole": False} if extended else _behind(protocol, transport)),
        )

    @classmethod
    def of(cls, packet: bytes) -> TracedHeader:
        """Parse the bytes of an IP packet; never raises."""
        return cls.read(packet, packet[behind_ip(packet) :])

    @classmethod
    def quoted_in(cls, error: bytes) -> TracedHeader:
        """Parse the header that an ICMP error quotes; never raises."""
        return cls.of(error[behind_ip(error) + _ERROR :])

    @property
    def kind(self) -> str:
        """The name of the packet: SYN, RST/ACK, udp, icmp 8/0; `tcp (not parsed)` if a header is not whole."""
        if not self.whole:
            return self.protocol if self.protocol == NOT_PARSED else f"{self.protocol} ({NOT_PARSED})"
        return kind(self.protocol, self.flags, self.icmp)

    @property
    def transport(self) -> str:
        """The protocol behind the IP header; NOT_PARSED behind an extension header of IPv6."""
        return NOT_PARSED if not self.whole and self.protocol.isdigit() else self.protocol

    @property
    def is_error(self) -> bool:
        """Whether it is an ICMP error, which quotes another packet."""
        return self.icmp is not None and self.icmp[0] in ICMP_ERRORS.get(self.protocol, ())

    @property
    def from_(self) -> str:
        """The source address and port."""
        return place(self.source, self.source_port)

    @property
    def to(self) -> str:
        """The destination address and port."""
        return place(self.destination, self.destination_port)

    @property
    def cookie(self) -> tuple[object, ...]:
        """The fields that neither NAT, a router nor a target changes; they identify the packet everywhere."""
        return cookie_of(self)

    def translations(self, later: TracedHeader) -> tuple[str, ...]:
        """Return the changes in a later header: `source A > B`, `destination A > B`."""
        pairs = (("source", self.from_, later.from_), ("destination", self.to, later.to))
        return tuple(f"{what} {before} > {after}" for what, before, after in pairs if before != after)

    def as_dict(self) -> dict[str, Any]:
        return {"from": self.from_, "to": self.to, "protocol": self.protocol, "ttl": self.ttl, "bytes": self.length}


def cookie_of(packet: TracedHeader | Packet) -> tuple[object, ...]:
    """Return the fields that identify a packet.

    The length of a SYN is left out, since TCPMSS may lengthen it. The flags ECE and CWR are left out, since ECN removes
    them.
    """
    length = 0 if "S" in packet.flags else packet.length
    known = packet.protocol, packet.identification, packet.flags.rstrip("EC"), packet.seq, packet.ack, packet.icmp
    return *known, length, packet.quoted


def behind_ip(packet: bytes) -> int:
    """Return the offset where the IP header ends, by its own fields."""
    if not packet:
        return 0
    return _IPV6.size if packet[0] >> 4 == 6 else (packet[0] & 0xF) * 4


def _behind(protocol: int, transport: bytes) -> dict[str, Any]:
    """Parse the header behind the IP header, as far as it was copied; `whole` is False if it is too short."""
    if protocol == socket.IPPROTO_TCP and len(transport) >= _TCP_START.size:
        source, destination, seq, ack, _, flags = _TCP_START.unpack_from(transport)
        letters = "".join(letter for bit, letter in enumerate(_FLAGS) if flags >> bit & 1)
        return {"source_port": source, "destination_port": destination, "flags": letters, "seq": seq, "ack": ack}
    if protocol in _WITH_PORTS:
        if protocol == socket.IPPROTO_TCP or len(transport) < _PORTS.size:
            return {"whole": False}
        source, destination = _PORTS.unpack_from(transport)
        return {"source_port": source, "destination_port": destination}
    if protocol in _ECHOES:
        return _icmp(protocol, transport) if len(transport) >= _ICMP_START else {"whole": False}
    return {}


def _icmp(protocol: int, transport: bytes) -> dict[str, Any]:
    is_echo = transport[0] in _ECHOES[protocol] and len(transport) >= _ICMP_ECHO
    echo = int.from_bytes(transport[4:_ICMP_ECHO], "big") if is_echo else None
    name, (place_of_it, bits) = _PROTOCOLS[protocol], _QUOTED[protocol]
    about = transport[0] in ICMP_ERRORS[name] and len(transport) >= place_of_it.stop
    quoted = int.from_bytes(transport[place_of_it], "big") & bits if about else None
    return {"icmp": (transport[0], transport[1]), "echo": echo, "quoted": quoted}
