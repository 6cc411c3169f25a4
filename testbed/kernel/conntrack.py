"""The kernel's connection table: read and flushed over netlink."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from pyroute2 import NFCTSocket

from testbed.kernel.namespace import Namespace

# enum ip_conntrack_status, include/uapi/linux/netfilter/nf_conntrack_common.h
_STATUS = {"SEEN_REPLY": 1 << 1, "ASSURED": 1 << 2, "CONFIRMED": 1 << 3, "SRC_NAT": 1 << 4, "DST_NAT": 1 << 5}
# enum tcp_conntrack, include/uapi/linux/netfilter/nf_conntrack_tcp.h
_TCP_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
_FAMILIES = (2, 10)  # IPv4, IPv6


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection; ports are 0 where the protocol has none."""

    source: str
    destination: str
    source_port: int
    destination_port: int

    def __str__(self) -> str:
        source, destination = (f"[{a}]" if ":" in a else a for a in (self.source, self.destination))
        return f"{source}:{self.source_port} > {destination}:{self.destination_port}"


@dataclass(frozen=True, slots=True)
class Connection:
    """An entry of the table: how the first packet went, how replies are expected, what has been seen of it.

    `state` is TCP's own (SYN_SENT, ESTABLISHED, ...), empty for other protocols.
    """

    protocol: str
    original: Tuple
    reply: Tuple
    state: str
    status: frozenset[str]

    @property
    def translated(self) -> bool:
        """Whether NAT changes its packets."""
        return bool(self.status & {"SRC_NAT", "DST_NAT"})

    def __str__(self) -> str:
        return f"{self.protocol} {self.state} {self.original} | reply {self.reply}".replace("  ", " ")


class ConnectionTable:
    """The connections of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._socket: NFCTSocket | None = None

    def entries(self) -> list[Connection]:
        """Every connection that the kernel tracks now, IPv4's and IPv6's."""

        def dump() -> list[Connection]:
            return [_connection(message) for message in self._opened().dump() if message["nfgen_family"] in _FAMILIES]

        return self._namespace.run(dump)

    def flush(self) -> None:
        """Forget all connections; the next packet of each is a new one."""
        self._namespace.run(lambda: self._opened().flush())

    def close(self) -> None:
        if self._socket is not None:
            self._namespace.run(self._socket.close)
            self._socket = None

    def _opened(self) -> NFCTSocket:
        """The socket, opened and used in the namespace's thread alone."""
        if self._socket is None:
            self._socket = NFCTSocket(socket.AF_UNSPEC)
        return self._socket


def _connection(message: NFCTSocket) -> Connection:
    original = message.get_attr("CTA_TUPLE_ORIG")
    protocol = original.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM")
    status = int(message.get_attr("CTA_STATUS") or 0)
    info = message.get_attr("CTA_PROTOINFO")
    tcp = info.get_attr("CTA_PROTOINFO_TCP") if info is not None else None
    return Connection(
        _PROTOCOLS.get(protocol, str(protocol)),
        _tuple(original),
        _tuple(message.get_attr("CTA_TUPLE_REPLY")),
        _TCP_STATES[tcp.get_attr("CTA_PROTOINFO_TCP_STATE")] if tcp is not None else "",
        frozenset(name for name, bit in _STATUS.items() if status & bit),
    )


def _tuple(nested: NFCTSocket) -> Tuple:
    addresses, protocol = nested.get_attr("CTA_TUPLE_IP"), nested.get_attr("CTA_TUPLE_PROTO")
    return Tuple(
        addresses.get_attr("CTA_IP_V4_SRC") or addresses.get_attr("CTA_IP_V6_SRC"),
        addresses.get_attr("CTA_IP_V4_DST") or addresses.get_attr("CTA_IP_V6_DST"),
        protocol.get_attr("CTA_PROTO_SRC_PORT") or 0,
        protocol.get_attr("CTA_PROTO_DST_PORT") or 0,
    )
