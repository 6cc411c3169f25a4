"""The kernel's connection table, read and flushed over netlink."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from testbed.kernel import netlink, nfnetlink
from testbed.kernel.namespace import Namespace
from testbed.kernel.netlink import attribute, nested

# include/uapi/linux/netfilter/nfnetlink_conntrack.h: messages, attributes, attributes of a tuple and its parts
_GET, _DELETE, _GET_STATISTICS = 1, 2, 5
_ORIGINAL, _REPLY, _STATUS_OF, _PROTOCOL_INFO = 1, 2, 3, 4
_ADDRESSES, _PROTOCOL = 1, 2
_SOURCES, _DESTINATIONS = (1, 3), (2, 4)  # IPv4, IPv6
_NUMBER, _SOURCE_PORT, _TO_PORT = 1, 2, 3
_TCP, _TCP_STATE = 1, 1
_HOW_MANY = 1  # CTA_STATS_GLOBAL_ENTRIES


_ECHOES = {"icmp": (4, 5, 6), "icmpv6": (7, 8, 9)}  # the attributes of identifier, type, code

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
    """One direction of a connection; ports are 0 for a protocol without ports."""

    source: str
    destination: str
    source_port: int
    destination_port: int

    def __str__(self) -> str:
        source, destination = (f"[{a}]" if ":" in a else a for a in (self.source, self.destination))
        return f"{source}:{self.source_port} > {destination}:{self.destination_port}"


@dataclass(frozen=True, slots=True)
class Connection:
    """An entry of the table: original direction, reply direction, and the status of the connection.

    `state` is the TCP state (SYN_SENT, ESTABLISHED, ...), empty for other protocols.
    """

    protocol: str
    original: Tuple
    reply: Tuple
    state: str
    status: frozenset[str]

    @property
    def translated(self) -> bool:
        """Whether NAT changes the packets of this connection."""
        return bool(self.status & {"SRC_NAT", "DST_NAT"})

    def __str__(self) -> str:
        return f"{self.protocol} {self.state} {self.original} | reply {self.reply}".replace("  ", " ")


class ConnectionTable:
    """The connections of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._socket: socket.socket | None = None

    def entries(self) -> list[Connection]:
        """Return every connection that the kernel tracks now, of IPv4 and IPv6."""
        while True:
            try:
                found = nfnetlink.dump(self._opened(), _GET, socket.AF_UNSPEC, nfnetlink.CONNECTIONS)
            except nfnetlink.Interrupted:
                continue
            return [_connection(message) for family, message in found if family in _FAMILIES]

    def count(self) -> int:
        """Return the number of connections, including those whose first packet is still on its way.

        The kernel keeps one table for the whole machine. Listing it takes 10 ms even if the namespace has no
        connection.
        """
        found = nfnetlink.ask(self._opened(), _GET_STATISTICS, socket.AF_UNSPEC, nfnetlink.CONNECTIONS)
        (entries,) = netlink.chosen(found or memoryview(b""), _HOW_MANY)
        return netlink.big_endian(entries)

    def find(self, protocol: str, way: Tuple, echo: tuple[int, int] | None = None) -> Connection | None:
        """Return the connection whose packets have this tuple, in either direction, or None.

        The lookup is by tuple, which is as quick as `count`. `echo` is the type and identifier of an ICMP echo, which
        stand in place of ports.
        """
        number = next((number for number, name in _PROTOCOLS.items() if name == protocol), None)
        if number is None or (echo is None and protocol in _ECHOES):
            return None
        try:
            found = nfnetlink.ask(
                self._opened(), _GET, _family(way), nfnetlink.CONNECTIONS, _as_attributes(number, way, echo)
            )
        except nfnetlink.Absent:
            return None
        return _connection(found) if found is not None else None

    def flush(self) -> None:
        """Delete all connections; the next packet of each starts a new connection."""
        nfnetlink.ask(self._opened(), _DELETE, socket.AF_UNSPEC, nfnetlink.CONNECTIONS)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        """Return the socket, opened in the namespace's thread."""
        if self._socket is None:
            self._socket = self._namespace.run(nfnetlink.open_socket)
        return self._socket


def _connection(message: memoryview) -> Connection:
    found = dict(netlink.attributes(message))
    protocol, original = _tuple(found[_ORIGINAL])
    _, reply = _tuple(found[_REPLY])
    status = netlink.big_endian(found[_STATUS_OF]) if _STATUS_OF in found else 0
    info = dict(netlink.attributes(found.get(_PROTOCOL_INFO, memoryview(b""))))
    tcp = dict(netlink.attributes(info[_TCP])) if _TCP in info else {}
    return Connection(
        _PROTOCOLS.get(protocol, str(protocol)),
        original,
        reply,
        _TCP_STATES[tcp[_TCP_STATE][0]] if _TCP_STATE in tcp else "",
        frozenset(name for name, bit in _STATUS.items() if status & bit),
    )


def _tuple(nested: memoryview) -> tuple[int, Tuple]:
    """Return the protocol number and the tuple of one direction."""
    parts = dict(netlink.attributes(nested))
    addresses, protocol = (dict(netlink.attributes(parts[part])) for part in (_ADDRESSES, _PROTOCOL))
    source, destination = (
        _address(addresses[four] if four in addresses else addresses[six]) for four, six in (_SOURCES, _DESTINATIONS)
    )
    ports = (netlink.big_endian(protocol[port]) if port in protocol else 0 for port in (_SOURCE_PORT, _TO_PORT))
    return protocol[_NUMBER][0], Tuple(source, destination, *ports)


def _family(way: Tuple) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in way.source else socket.AF_INET


def _as_attributes(protocol: int, way: Tuple, echo: tuple[int, int] | None) -> bytes:
    family = _family(way)
    six = family == socket.AF_INET6
    places = ((_SOURCES[six], way.source), (_DESTINATIONS[six], way.destination))
    addresses = nested(_ADDRESSES, *(attribute(kind, socket.inet_pton(family, address)) for kind, address in places))
    number = attribute(_NUMBER, bytes([protocol]))
    if echo is not None:
        kind, identifier = echo
        values = (identifier.to_bytes(2, "big"), bytes([kind]), b"\0")
        parts = tuple(zip(_ECHOES[_PROTOCOLS[protocol]], values, strict=True))
    else:
        ports = ((_SOURCE_PORT, way.source_port), (_TO_PORT, way.destination_port))
        parts = tuple((place, port.to_bytes(2, "big")) for place, port in ports)
    return nested(_ORIGINAL, addresses, nested(_PROTOCOL, number, *(attribute(*part) for part in parts)))


def _address(value: memoryview) -> str:
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
