"""What is known of a packet when a rule is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a packet at a hook; None: not known, so nothing is told of clauses that ask for it.

    `protocol` is tcp, udp, icmp, icmpv6, sctp or a number. `entered` and `left` are interfaces, empty where there is
    none. `tcp_flags` are letters (`SA`). `state` is connection tracking's word, `status` the virtual states DNAT and
    SNAT of the connection, `original` its first packet's source, port, destination, port, `direction` ORIGINAL or
    REPLY. `local_types` tells LOCAL, BROADCAST, MULTICAST or UNICAST of an address. `fragment`: not the first piece.
    """

    source: str
    destination: str
    protocol: str
    entered: str = ""
    left: str = ""
    source_port: int | None = None
    destination_port: int | None = None
    tcp_flags: str | None = None
    icmp: tuple[int, int] | None = None
    state: str | None = None
    status: frozenset[str] | None = None
    mark: int | None = None
    ttl: int | None = None
    length: int | None = None
    original: tuple[str, int, str, int] | None = None
    direction: str | None = None
    local_types: Callable[[str], str] | None = None
    fragment: bool = False
