"""scapy's layers, to build and dissect bytes; nothing else of scapy is used.

scapy's routes are turned off before any import: they describe the machine, not a namespace, and take time to read. Its
send and sniff functions look up interfaces by name for the whole process, so they are not used either.
"""

from scapy.config import conf

conf.route_autoload = False
conf.route6_autoload = False

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror  # noqa: E402
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.layers.sctp import SCTP, SCTPChunkInit, crc32c  # noqa: E402
from scapy.packet import Packet as ScapyPacket  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import checksum  # noqa: E402

__all__ = [
    "ICMP",
    "IP",
    "SCTP",
    "TCP",
    "UDP",
    "Ether",
    "ICMPv6DestUnreach",
    "ICMPv6EchoReply",
    "ICMPv6EchoRequest",
    "IPerror",
    "IPv6",
    "IPv6ExtHdrFragment",
    "Raw",
    "SCTPChunkInit",
    "ScapyPacket",
    "TCPerror",
    "UDPerror",
    "checksum",
    "of",
    "sctp_checksum",
]


def sctp_checksum(data: bytes) -> int:
    """Return the CRC32c of an SCTP packet whose own checksum is 0."""
    found: int = crc32c(data)  # type: ignore[no-untyped-call]
    return found


def of(data: bytes) -> IP | IPv6:
    """Return the layers of an IP packet, from its bytes."""
    return IPv6(data) if data[0] >> 4 == 6 else IP(data)
