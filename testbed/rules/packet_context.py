"""The facts about a packet at a hook, for comparison with rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Original = tuple[str, int | None, str, int | None]
AddressTypes = Callable[[str], str | None] | Mapping[str, str]
SetPredicate = Callable[["PacketContext", tuple[str, ...]], bool | None]


@dataclass(frozen=True)
class PacketContext:
    """A packet at a hook; None means unknown.

    `protocol` is tcp, udp, icmp, icmpv6, sctp, else its number. `tcp_flags` has one letter each (`SA`). `icmp` is
    (type, code). `ttl` is also IPv6's hop limit. `length` includes the IP header. `entered` and `left` are interfaces,
    '' if there is none at this hook.

    `state` is the connection's state (NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED). `status` are its bits (DNAT,
    SNAT, SEEN_REPLY, ASSURED, CONFIRMED, EXPECTED). `original` is the source, source port, destination and destination
    port of its first packet. `direction` is this packet's direction in it (ORIGINAL, REPLY).

    `local_types` gives the type of an address for this host (LOCAL, UNICAST, BROADCAST, MULTICAST). `fragment` marks a
    later fragment, which has no transport header. `sets` are predicates of the known sets. Their arguments are the
    facts and the fields that the rule looks up (`src`, `dst`; in nftables' syntax `ip saddr`).
    """

    source: str
    destination: str
    protocol: str
    source_port: int | None = None
    destination_port: int | None = None
    tcp_flags: str | None = None
    icmp: tuple[int, int] | None = None
    entered: str = ""
    left: str = ""
    state: str | None = None
    status: frozenset[str] | None = None
    mark: int | None = None
    ttl: int | None = None
    length: int | None = None
    original: Original | None = None
    direction: str | None = None
    local_types: AddressTypes | None = None
    fragment: bool = False
    sets: Mapping[str, SetPredicate] | None = None

    def type_of(self, address: str) -> str | None:
        """Return the type of an address, or None if it is unknown."""
        if self.local_types is None:
            return None
        return self.local_types(address) if callable(self.local_types) else self.local_types.get(address)


Values = tuple[str, ...]
Judge = Callable[[Values, PacketContext], bool | None]
