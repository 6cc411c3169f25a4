"""Whether a packet matches clauses in nftables' syntax, as far as it can be computed.

A clause matches if one of its values is the packet's. The kernel's semantics are in net/netfilter/nft_meta.c,
nft_payload.c, nft_ct.c and net/ipv4/netfilter/nft_fib_ipv4.c. An expression without a value to read ends the rule
(NFT_BREAK), negated or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from testbed.rules import icmp, values
from testbed.rules.packet_context import Judge, PacketContext, Values
from testbed.rules.values import Answer

_STATES = {"new", "established", "related", "invalid", "untracked"}
_STATUS = {"expected", "seen-reply", "assured", "confirmed", "snat", "dnat"}
_WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")


def _each(option: str, judge: Callable[[PacketContext, str], Answer]) -> Judge:
    """Return a judge: one of the values matches, or an element of a named set with a known predicate."""

    def one(facts: PacketContext, value: str) -> Answer:
        if not value.startswith("@"):
            return judge(facts, value)
        predicate = (facts.sets or {}).get(value[1:])
        return predicate(facts, (option,)) if predicate else None

    return lambda wanted, facts: values.any_of(one(facts, value) for value in wanted)


def _interface(of: str) -> Callable[[PacketContext, str], Answer]:
    return lambda facts, name: values.interface_named(getattr(facts, of), name, wildcard="*")


def _address(of: str) -> Callable[[PacketContext, str], Answer]:
    def judge(facts: PacketContext, wanted: str) -> Answer:
        inside = values.address_between if "-" in wanted else values.within
        return inside(getattr(facts, of), wanted)

    return judge


def _number(of: str) -> Callable[[PacketContext, str], Answer]:
    return lambda facts, wanted: values.between(getattr(facts, of), wanted, "-")


def _any_port(of: str) -> Callable[[PacketContext, str], Answer]:
    """Return a judge for a port of any protocol with ports; unknown for other protocols, whose headers differ."""

    def judge(facts: PacketContext, wanted: str) -> Answer:
        if facts.fragment:
            return False
        return _number(of)(facts, wanted) if facts.protocol in _WITH_PORTS else None

    return judge


def _protocol(facts: PacketContext, name: str) -> Answer:
    return values.same_protocol(facts.protocol, name)


def _family(facts: PacketContext, name: str) -> Answer:
    return name == ("ipv6" if ":" in facts.source else "ipv4")


def _flags(wanted: Values, facts: PacketContext) -> Answer:
    """Judge whether one of the flags is set."""
    letters = values.flag_letters(wanted)
    return None if facts.tcp_flags is None or letters is None else bool(letters & set(facts.tcp_flags))


def _masked_flags(wanted: Values, facts: PacketContext) -> Answer:
    """Judge `MASK VALUE`: of the flags in the mask exactly those in the value are set."""
    mask, flags = (_letters(names) for names in wanted)
    return None if facts.tcp_flags is None or None in (mask, flags) else (mask or set()) & set(facts.tcp_flags) == flags


def _letters(names: str) -> frozenset[str] | None:
    return frozenset() if names in ("0x0", "0") else values.flag_letters(re.split(r"[|,]", names.strip("()")))


def _message(names: Mapping[str, str]) -> Callable[[PacketContext, str], Answer]:
    return lambda facts, kind: icmp.is_kind(facts.icmp, names.get(kind, kind)) if facts.icmp else None


def _code(facts: PacketContext, wanted: str) -> Answer:
    return values.between(facts.icmp[1], wanted, "-") if facts.icmp else None


def _mark(facts: PacketContext, wanted: str) -> Answer:
    value, _, mask = wanted.partition("/")
    bits = values.number(mask or "0xffffffff")
    return None if facts.mark is None or bits is None else values.between(facts.mark & bits, value, "-")


def _state(facts: PacketContext, wanted: str) -> Answer:
    return None if facts.state is None or wanted not in _STATES else facts.state == wanted.upper()


def _status(facts: PacketContext, wanted: str) -> Answer:
    if facts.status is None or wanted not in _STATUS:
        return None
    return wanted.upper().replace("-", "_") in facts.status


def _direction(facts: PacketContext, wanted: str) -> Answer:
    return None if facts.direction is None else facts.direction == wanted.upper()


def _original_address(place: int) -> Callable[[PacketContext, str], Answer]:
    return lambda facts, wanted: values.within(str(facts.original[place]), wanted) if facts.original else None


def _original_port(place: int) -> Callable[[PacketContext, str], Answer]:
    def judge(facts: PacketContext, wanted: str) -> Answer:
        port = facts.original[place] if facts.original else None
        return values.between(port, wanted, "-") if isinstance(port, int) else None

    return judge


def _type(of: str) -> Callable[[PacketContext, str], Answer]:
    def judge(facts: PacketContext, wanted: str) -> Answer:
        kind = facts.type_of(getattr(facts, of))
        return None if kind is None else kind == wanted.upper()

    return judge


_BY_VALUE: dict[tuple[str, str], Callable[[PacketContext, str], Answer]] = {
    **{("meta", option): _interface("entered") for option in ("iifname", "iif", "iifname vmap")},
    **{("meta", option): _interface("left") for option in ("oifname", "oif", "oifname vmap")},
    **{(family, "saddr"): _address("source") for family in ("ip", "ip6")},
    **{(family, "daddr"): _address("destination") for family in ("ip", "ip6")},
    ("ip", "protocol"): _protocol,
    ("ip", "ttl"): _number("ttl"),
    ("ip", "length"): _number("length"),
    ("ip6", "hoplimit"): _number("ttl"),
    ("meta", "l4proto"): _protocol,
    ("meta", "nfproto"): _family,
    ("meta", "mark"): _mark,
    ("meta", "length"): _number("length"),
    **{(protocol, "sport"): _number("source_port") for protocol in _WITH_PORTS},
    **{(protocol, "dport"): _number("destination_port") for protocol in _WITH_PORTS},
    ("th", "sport"): _any_port("source_port"),
    ("th", "dport"): _any_port("destination_port"),
    ("icmp", "type"): _message(icmp.NAMES),
    ("icmpv6", "type"): _message(icmp.NAMES6),
    **{(protocol, "code"): _code for protocol in ("icmp", "icmpv6")},
    ("ct", "state"): _state,
    ("ct", "status"): _status,
    ("ct", "direction"): _direction,
    **{("ct", f"original {ip}saddr"): _original_address(0) for ip in ("", "ip ", "ip6 ")},
    **{("ct", f"original {ip}daddr"): _original_address(2) for ip in ("", "ip ", "ip6 ")},
    ("ct", "original proto-src"): _original_port(1),
    ("ct", "original proto-dst"): _original_port(3),
    ("fib", "saddr type"): _type("source"),
    ("fib", "daddr type"): _type("destination"),
}

JUDGES: dict[tuple[str, str], Judge] = {
    **{(module, option): _each(f"{module} {option}", judge) for (module, option), judge in _BY_VALUE.items()},
    ("tcp", "flags"): _flags,
    ("tcp", "flags &"): _masked_flags,
}
