"""The clauses of nftables' own syntax as sets of packets (nft_meta.c, nft_payload.c, nft_ct.c, nft_fib.c).

An expression that finds nothing to read ends the rule, negated or not. What is not read here is a free variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from testbed.analysis import connection_clauses, numbers
from testbed.analysis.clauses import flag_bits
from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueKind
from testbed.analysis.packets import ICMP, ICMPV6, in_prefix, in_range
from testbed.analysis.vector import PacketSet, Vector
from testbed.rules import icmp
from testbed.rules.clauses import Clause
from testbed.rules.values import protocol_number

Sets = Mapping[str, Sequence[str]]  # of a table, those that nothing changes
One = Callable[[Context, str], "PacketSet | None"]

_PROTOCOLS = {"tcp": (6,), "udp": (17,), "udplite": (136,), "sctp": (132,), "dccp": (33,)}
_COUNTING = ("limit", "quota", "ct count", "add ", "update ", "meter")
_RANDOM = ("numgen",)


def depends_on_others(text: str) -> bool:
    """Return whether a rule draws, or counts other packets too."""
    return any(word in text for word in (*_COUNTING, *_RANDOM))


_CONTENTS = ("@", "meta time", "meta hour", "meta day", "meta skuid", "meta skgid", "tcp option", "ip option")


def packets_of(context: Context, clauses: Sequence[Clause], sets: Sets) -> PacketSet:
    """The packets that meet all clauses of a rule, one after the other."""
    found, reaching = context.space.all, context.reaching
    for clause in clauses:
        context.reaching = reaching & found
        one = _clause(context, clause, sets)
        found = found & (_unread(context, clause) if one is None else one)
        if not found.satisfiable():
            break
    return found


def _unread(context: Context, clause: Clause) -> PacketSet:
    text = clause.text
    kind = OpaqueKind.UNREAD
    if text.startswith(_RANDOM) or any(word in text for word in _RANDOM):
        kind = OpaqueKind.RANDOM
    elif text.startswith(_COUNTING):
        kind = OpaqueKind.COUNTING
    return context.unread(text, kind, on_header=not text.startswith(_CONTENTS))


def _clause(context: Context, clause: Clause, sets: Sets) -> PacketSet | None:
    """The packets that meet a clause; None: it is not read."""
    name = clause.module, clause.option.removesuffix(" vmap")
    there = _there(context, clause)
    special = _SPECIAL.get(name)
    if special is not None:
        found = special(context, clause.values)
    elif (number := _ORDERED.fullmatch(clause.option)) is not None:
        found = _ordered(context, clause.module, number[1], number[2], clause.values)
    else:
        found = _any_value(context, _VALUES.get(name), clause.values, sets)
    if found is None:
        return None
    return there & (~found if clause.negated else found)


def _any_value(context: Context, one: One | None, wanted: Sequence[str], sets: Sets) -> PacketSet | None:
    """Where one of the values is the packet's; a named set stands for its elements."""
    if one is None:
        return None
    values: list[str] = []
    for value in wanted:
        if value.startswith("@"):
            if value[1:] not in sets:
                return None
            values += [_key(element) for element in sets[value[1:]]]
        else:
            values.append(value)
    found = [one(context, value.strip().strip('"')) for value in values]
    known = [each for each in found if each is not None]
    return context.space.any_of(known) if len(known) == len(found) else None


def _key(element: str) -> str:
    """An element without what a map gives for it, and without counters and comments."""
    return re.split(r"\s+(?::|counter|comment|expires)\s*", element)[0].strip()


def _there(context: Context, clause: Clause) -> PacketSet:
    """The packets that have what a clause reads."""
    module = clause.module
    if module in ("ip", "ip6"):
        return context.packet.six if module == "ip6" else ~context.packet.six
    if module in _PROTOCOLS:
        return context.of_protocol(*_PROTOCOLS[module])
    if module == "icmp":
        return context.of_protocol(ICMP) & ~context.packet.six
    if module == "icmpv6":
        return context.of_protocol(ICMPV6) & context.packet.six
    if module == "th":
        return ~context.packet.fragment
    if module == "ether":
        return ~context.space.equal(context.packet.entered, 0)
    if module == "ct" and not clause.option.startswith("state"):
        version = {"ip": ~context.packet.six, "ip6": context.packet.six}
        words = clause.option.split()
        family = version.get(words[1], context.space.all) if len(words) > 2 else context.space.all
        return context.tracked & family
    return context.space.all


def _interface(of: str) -> One:
    return lambda context, name: context.interfaces.named(context.space, getattr(context.packet, of), name, "*")


def _address(of: str) -> One:
    return lambda context, text: _in_addresses(context, getattr(context.packet, of), text)


def _original(of: str) -> One:
    return lambda context, text: _in_addresses(context, getattr(context.packet.original, of), text)


def _in_addresses(context: Context, vector: Vector, text: str) -> PacketSet | None:
    six = context.packet.six
    if "-" in text:
        span = numbers.address_range(text)
        return None if span is None else in_range(context.space, six, vector, *span)
    network = numbers.network(text)
    return None if network is None else in_prefix(context.space, six, vector, *network)


def _number(of: str) -> One:
    return lambda context, text: _in_span(context, getattr(context.packet, of), text)


def _original_port(of: str) -> One:
    return lambda context, text: _in_span(context, getattr(context.packet.original, of), text)


def _in_span(context: Context, vector: Vector, text: str) -> PacketSet | None:
    span = numbers.span(text, "-")
    return None if span is None else context.space.between(vector, *span)


def _protocol(context: Context, text: str) -> PacketSet | None:
    number = protocol_number(text)
    if number is None:
        return _in_span(context, context.packet.protocol, text)
    return context.space.equal(context.packet.protocol, number)


def _family(context: Context, text: str) -> PacketSet | None:
    return {"ipv4": ~context.packet.six, "ipv6": context.packet.six}.get(text)


def _message(names: Mapping[str, str]) -> One:
    def read(context: Context, text: str) -> PacketSet | None:
        kind, _, code = names.get(text, text).partition("/")
        if code:
            return None
        return _in_span(context, context.packet.first[:8], kind)

    return read


def _code(context: Context, text: str) -> PacketSet | None:
    return _in_span(context, context.packet.first[8:], text)


def _masked(of: str) -> One:
    def read(context: Context, text: str) -> PacketSet | None:
        if "-" in text:
            return _in_span(context, getattr(context.packet, of), text)
        known = numbers.masked(text, 32)
        return None if known is None else context.space.equal(getattr(context.packet, of), *known)

    return read


def _service_class(context: Context, text: str) -> PacketSet | None:
    found = numbers.code_point(text)
    return None if found is None else context.space.equal(context.packet.tos[:6], found)


def _hardware(context: Context, text: str) -> PacketSet | None:
    digits = text.replace(":", "")
    return (
        context.space.equal(context.packet.mac, int(digits, 16)) if re.fullmatch(r"[0-9a-fA-F]{12}", digits) else None
    )


def _state(context: Context, text: str) -> PacketSet | None:
    return connection_clauses.in_states(context, [text]) if text not in ("snat", "dnat") else None


def _status(context: Context, text: str) -> PacketSet | None:
    return connection_clauses.with_status(context, [text])


def _direction(context: Context, text: str) -> PacketSet | None:
    return {"original": ~context.packet.reply, "reply": context.packet.reply}.get(text)


def _type(of: str) -> One:
    def read(context: Context, text: str) -> PacketSet | None:
        vector, six, routing = getattr(context.packet, of), context.packet.six, context.routing
        local, multicast = routing.local(six, vector), routing.multicast(six, vector)
        broadcast = routing.broadcast(six, vector) & ~local
        kinds = {"local": local, "broadcast": broadcast, "multicast": multicast}
        kinds["unicast"] = ~(local | broadcast | multicast)
        return kinds.get(text)

    return read


def _flags(context: Context, wanted: Sequence[str]) -> PacketSet | None:
    """One of the flags is set."""
    bits = flag_bits(wanted)
    return None if bits is None else ~context.space.equal(context.packet.flags, 0, bits)


def _masked_flags(context: Context, wanted: Sequence[str]) -> PacketSet | None:
    """`MASK VALUE`: of the flags of the mask exactly those of the value."""
    bits = [_bits(names) for names in wanted]
    if len(bits) != 2 or bits[0] is None or bits[1] is None:
        return None
    inside = not bits[1] & ~bits[0]
    return context.space.equal(context.packet.flags, bits[1], bits[0]) if inside else context.space.none


def _exact_flags(context: Context, wanted: Sequence[str]) -> PacketSet | None:
    bits = [_bits(names) for names in wanted]
    known = [one for one in bits if one is not None]
    sets = (context.space.equal(context.packet.flags, one) for one in known)
    return context.space.any_of(sets) if len(known) == len(bits) else None


def _bits(names: str) -> int | None:
    return 0 if names in ("0x0", "0") else flag_bits(re.split(r"[|,]", names.strip("()")))


def _ordered(context: Context, module: str, option: str, sign: str, wanted: Sequence[str]) -> PacketSet | None:
    """Whether a number is below or above another."""
    of = {("ip", "ttl"): "ttl", ("ip6", "hoplimit"): "ttl", ("ip", "length"): "length", ("meta", "length"): "length"}
    of |= {(p, "sport"): "first" for p in (*_PROTOCOLS, "th")} | {(p, "dport"): "second" for p in (*_PROTOCOLS, "th")}
    of |= {("meta", "mark"): "mark"}
    name, limit = of.get((module, option)), numbers.number(wanted[0]) if len(wanted) == 1 else None
    if name is None or limit is None:
        return None
    vector: Vector = getattr(context.packet, name)
    below = context.space.at_most(vector, limit - 1)
    up_to = context.space.at_most(vector, limit)
    return {"<": below, "<=": up_to, ">": ~up_to, ">=": ~below}[sign]


_ORDERED = re.compile(r"(\S+) (<|>|<=|>=)")
_SPECIAL: dict[tuple[str, str], Callable[[Context, Sequence[str]], PacketSet | None]] = {
    ("tcp", "flags"): _flags,
    ("tcp", "flags &"): _masked_flags,
    ("tcp", "flags exactly"): _exact_flags,
}
_VALUES: dict[tuple[str, str], One] = {
    **{("meta", option): _interface("entered") for option in ("iifname", "iif")},
    **{("meta", option): _interface("left") for option in ("oifname", "oif")},
    **{(family, "saddr"): _address("source") for family in ("ip", "ip6")},
    **{(family, "daddr"): _address("destination") for family in ("ip", "ip6")},
    **{(family, "dscp"): _service_class for family in ("ip", "ip6")},
    ("ip", "protocol"): _protocol,
    ("meta", "l4proto"): _protocol,
    ("meta", "nfproto"): _family,
    ("ip", "ttl"): _number("ttl"),
    ("ip6", "hoplimit"): _number("ttl"),
    ("ip", "length"): _number("length"),
    ("meta", "length"): _number("length"),
    ("meta", "mark"): _masked("mark"),
    ("ct", "mark"): _masked("connection_mark"),
    **{(protocol, "sport"): _number("first") for protocol in (*_PROTOCOLS, "th")},
    **{(protocol, "dport"): _number("second") for protocol in (*_PROTOCOLS, "th")},
    ("icmp", "type"): _message(icmp.NAMES),
    ("icmpv6", "type"): _message(icmp.NAMES6),
    ("icmp", "code"): _code,
    ("icmpv6", "code"): _code,
    ("ether", "saddr"): _hardware,
    ("ct", "state"): _state,
    ("ct", "status"): _status,
    ("ct", "direction"): _direction,
    **{("ct", f"original {ip}saddr"): _original("source") for ip in ("", "ip ", "ip6 ")},
    **{("ct", f"original {ip}daddr"): _original("destination") for ip in ("", "ip ", "ip6 ")},
    ("ct", "original proto-src"): _original_port("first"),
    ("ct", "original proto-dst"): _original_port("second"),
    ("ct", "original protocol"): lambda context, text: _original_protocol(context, text),
    ("fib", "saddr type"): _type("source"),
    ("fib", "daddr type"): _type("destination"),
}


def _original_protocol(context: Context, text: str) -> PacketSet | None:
    number = protocol_number(text)
    return None if number is None else context.space.equal(context.packet.original.protocol, number)
