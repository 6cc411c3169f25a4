"""The clauses of iptables' rules as sets of packets, as the kernel's matches have them (net/netfilter/xt_*.c).

What is not read here is a free variable with the clause's words (opaque.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from testbed.analysis import connection_clauses, numbers
from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueKind
from testbed.analysis.packets import FLAGS, ICMP, ICMPV6, LOCAL, WITH_PORTS, in_prefix, in_range
from testbed.analysis.vector import PacketSet, Vector
from testbed.rules import icmp
from testbed.rules.clauses import Clause
from testbed.rules.values import protocol_number

Reader = Callable[[Context, tuple[str, ...]], PacketSet | None]

_TRANSPORTS = {"tcp": (6,), "udp": (17,), "udplite": (136,), "sctp": (132,), "dccp": (33,), "multiport": WITH_PORTS}
_TRANSPORTS.update({"icmp": (ICMP,), "icmp6": (ICMPV6,), "icmpv6": (ICMPV6,), "ah": (51,), "esp": (50,)})
_ALL_FLAGS = ("URG", "ACK", "PSH", "RST", "SYN", "FIN")  # what iptables calls ALL
_SYN = ("FIN,SYN,RST,ACK", "SYN")
_RANDOM = {"statistic"}
_COUNTING = {
    *("limit", "hashlimit", "recent", "quota", "quota2", "connlimit", "connbytes", "rateest", "nfacct", "cluster"),
    "condition",
}
_BY_HEADER = {"set", "u32", "bpf", "socket", "ipvs", "physdev", "rpfilter", "ipv6header", "policy"}
_LOCAL_ONLY = {"owner", "cgroup"}


def packets_of(context: Context, clauses: Sequence[Clause]) -> PacketSet:
    """The packets that meet all clauses of a rule; a match is asked only of packets that those before it let by."""
    found, reaching = context.space.all, context.reaching
    for group in _instances(clauses):
        context.reaching = reaching & found
        found = found & _instance(context, group)
        if not found.satisfiable():
            break
    return found


def _instances(clauses: Sequence[Clause]) -> Iterator[tuple[Clause, ...]]:
    """The options of one match together: those that follow each other without another -m between them."""
    group: list[Clause] = []
    for clause in clauses:
        joined = group and clause.module == group[-1].module != "" and _adjacent(group[-1], clause)
        if group and not joined:
            yield tuple(group)
            group = []
        group.append(clause)
    if group:
        yield tuple(group)


def _adjacent(one: Clause, other: Clause) -> bool:
    return other.start - one.end <= 1


def _instance(context: Context, group: tuple[Clause, ...]) -> PacketSet:
    first = group[0]
    if first.module in ("conntrack", "state"):
        found = connection_clauses.packets_of(context, group)
        return _unread(context, group) if found is None else found
    if first.module == "addrtype":
        found = _address_types(context, group)
        return _unread(context, group) if found is None else found
    if first.module in _LOCAL_ONLY:
        return _of_sockets(context, group)
    sets = [_clause(context, clause) for clause in group]
    known = [one for one in sets if one is not None]
    return context.space.all_of(known) if len(known) == len(sets) else _unread(context, group)


def _clause(context: Context, clause: Clause) -> PacketSet | None:
    """The packets that meet a clause; None: it is not read."""
    reader = _READERS.get((clause.module, clause.option))
    found = reader(context, clause.values) if reader is not None else None
    if found is None:
        return None
    numbers_of = _TRANSPORTS.get(clause.module)
    there = context.of_protocol(*numbers_of) if numbers_of is not None else _carried(context, clause.module)
    return there & (~found if clause.negated else found)


def _carried(context: Context, module: str) -> PacketSet:
    """The packets that have what a match reads; without it the match fails, negated or not."""
    if module == "mac":
        return ~context.space.equal(context.packet.entered, context.interfaces.number(LOCAL))
    if module == "connmark":
        return context.tracked
    return context.space.all


def _unread(context: Context, group: tuple[Clause, ...]) -> PacketSet:
    """A free variable for a match; the same match negated is its complement."""
    module = group[0].module
    negated = len(group) == 1 and group[0].negated
    text = " ".join(clause.text.removeprefix("! ") if negated else clause.text for clause in group)
    kind = _kind(module, group)
    variable = context.unread(f"-m {module} {text}" if module else text, kind, module in _BY_HEADER)
    transports = _TRANSPORTS.get(module)
    there = context.of_protocol(*transports) if transports else context.space.all
    return there & (~variable if negated else variable)


def depends_on_others(rule: Sequence[Clause]) -> bool:
    """Return whether a clause of a rule draws, or counts other packets too."""
    return any(clause.module in _RANDOM or clause.module in _COUNTING for clause in rule)


def _kind(module: str, group: tuple[Clause, ...]) -> OpaqueKind:
    if module in _RANDOM:
        counted = any("nth" in clause.values for clause in group)
        return OpaqueKind.COUNTING if counted else OpaqueKind.RANDOM
    return OpaqueKind.COUNTING if module in _COUNTING else OpaqueKind.UNREAD


def _of_sockets(context: Context, group: tuple[Clause, ...]) -> PacketSet:
    """Of the host's own packets it depends on the socket; others have none (owner_mt, xt_owner.c)."""
    own = context.space.equal(context.packet.entered, context.interfaces.number(LOCAL))
    without = context.space.all if all(clause.negated for clause in group) else context.space.none
    return own & _unread(context, group) | ~own & without


def _prefix(of: str) -> Reader:
    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        known = [numbers.network(text) for text in wanted[0].split(",")] if len(wanted) == 1 else [None]
        vector, six = getattr(context.packet, of), context.packet.six
        sets = [in_prefix(context.space, six, vector, *one) for one in known if one is not None]
        return context.space.any_of(sets) if len(sets) == len(known) else None

    return read


def _interface(of: str) -> Reader:
    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        vector = getattr(context.packet, of)
        return context.interfaces.named(context.space, vector, wanted[0]) if wanted else None

    return read


def _protocol(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    number = protocol_number(wanted[0]) if wanted else None
    if wanted and (wanted[0] == "all" or number == 0):
        return context.space.all
    return None if number is None else context.space.equal(context.packet.protocol, number)


def _spans(*of: str, greatest: int = 0xFFFF) -> Reader:
    """One of these fields in one of the ranges."""

    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        known = numbers.spans(wanted[0], greatest=greatest) if wanted else None
        if known is None:
            return None
        vectors: list[Vector] = [getattr(context.packet, name) for name in of]
        return context.space.any_of(context.space.between(vector, *one) for vector in vectors for one in known)

    return read


def _below(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    limit = numbers.number(wanted[0]) if wanted else None
    return None if limit is None else context.space.at_most(context.packet.ttl, limit - 1)


def _above(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    limit = numbers.number(wanted[0]) if wanted else None
    return None if limit is None else ~context.space.at_most(context.packet.ttl, limit)


def _address_range(of: str) -> Reader:
    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        known = numbers.address_range(wanted[0]) if wanted else None
        if known is None:
            return None
        return in_range(context.space, context.packet.six, getattr(context.packet, of), *known)

    return read


def _flags(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    """`MASK SET`: of the flags of the mask exactly those of the set."""
    masks = [flag_bits(names.split(",")) for names in wanted]
    if len(masks) != 2 or masks[0] is None or masks[1] is None:
        return None
    if masks[1] & ~masks[0]:
        return context.space.none
    return context.space.equal(context.packet.flags, masks[1], masks[0])


def flag_bits(names: Sequence[str]) -> int | None:
    """The bits of TCP flags; None where a name is none of theirs."""
    found = 0
    for name in (flag.strip().upper() for flag in names):
        if name == "ALL":
            found |= _bits(_ALL_FLAGS)
        elif name in FLAGS:
            found |= _bits((name,))
        elif name != "NONE":
            return None
    return found


def _bits(names: Sequence[str]) -> int:
    return sum(1 << (7 - FLAGS.index(name)) for name in names)


def _message(names: Mapping[str, str], six: bool) -> Reader:
    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        family = context.packet.six if six else ~context.packet.six
        if not wanted:
            return None
        if wanted[0] in ("any", "255") and not six:
            return family
        kind, _, code = names.get(wanted[0], wanted[0]).partition("/")
        spans = numbers.span(kind, greatest=0xFF), numbers.span(code or "0:255", greatest=0xFF)
        if spans[0] is None or spans[1] is None:
            return None
        within = context.space.between(context.packet.first[:8], *spans[0])
        return family & within & context.space.between(context.packet.first[8:], *spans[1])

    return read


def _masked(of: str, width: int) -> Reader:
    def read(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
        known = numbers.masked(wanted[0], width) if wanted else None
        if known is None:
            return None
        if known[0] & ~known[1]:
            return context.space.none
        return context.space.equal(getattr(context.packet, of), *known)

    return read


def _service_class(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    found = numbers.code_point(wanted[0]) if wanted else None
    return None if found is None else context.space.equal(context.packet.tos[:6], found)


def _congestion(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    found = numbers.number(wanted[0]) if wanted else None
    return None if found is None else context.space.equal(context.packet.tos[6:], found)


def _hardware(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    digits = wanted[0].replace(":", "") if wanted else ""
    try:
        return context.space.equal(context.packet.mac, int(digits, 16))
    except ValueError:
        return None


def _set(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    return context.sets(context, wanted[0], tuple(wanted[1].split(","))) if len(wanted) == 2 else None


def _address_types(context: Context, group: tuple[Clause, ...]) -> PacketSet | None:
    """The types of addresses as the host sees them; with --limit-iface only one interface's own are its own."""
    limits = {clause.option for clause in group} & {"--limit-iface-in", "--limit-iface-out"}
    found = context.space.all
    for clause in group:
        if clause.option in limits:
            continue
        of = {"--src-type": "source", "--dst-type": "destination"}.get(clause.option)
        if of is None or not clause.values:
            return None
        inside = _of_types(context, of, frozenset(clause.values[0].split(",")), limits)
        if inside is None:
            return None
        found = found & (~inside if clause.negated else inside)
    return found


def _of_types(context: Context, of: str, names: frozenset[str], limits: set[str]) -> PacketSet | None:
    vector, six, routing = getattr(context.packet, of), context.packet.six, context.routing
    if not names <= {"LOCAL", "UNICAST", "BROADCAST", "MULTICAST"}:
        return None
    local = _limited_local(context, vector, limits)
    broadcast, multicast = routing.broadcast(six, vector), routing.multicast(six, vector)
    if limits:
        broadcast = broadcast & ~six  # which device a broadcast address is of is not asked: no rule is known to
    kinds = {"LOCAL": local, "BROADCAST": broadcast & ~local, "MULTICAST": multicast}
    kinds["UNICAST"] = ~(local | broadcast | multicast)
    four = context.space.any_of(kinds[name] for name in names)
    return ~six & four | six & _of_types6(context, vector, names, local)


def _of_types6(context: Context, vector: Vector, names: frozenset[str], local: PacketSet) -> PacketSet:
    """All types but LOCAL are asked together of IPv6 (match_type6, xt_addrtype.c)."""
    multicast = context.routing.multicast(context.packet.six, vector)
    unspecified = context.space.equal(vector, 0)
    found = context.space.all
    if "MULTICAST" in names:
        found = found & multicast
    if "UNICAST" in names:
        found = found & ~multicast & ~unspecified
    return found & local if "LOCAL" in names else found


def _limited_local(context: Context, vector: Vector, limits: set[str]) -> PacketSet:
    six, routing = context.packet.six, context.routing
    if not limits:
        return routing.local(six, vector)
    of = context.packet.entered if "--limit-iface-in" in limits else context.packet.left
    return context.space.any_of(
        context.space.equal(of, number) & routing.local(six, vector, name)
        for number, name in enumerate(context.interfaces.names)
        if name != LOCAL
    )


def _always(context: Context, _wanted: tuple[str, ...]) -> PacketSet:
    return context.space.all


def _tunnelled(context: Context, wanted: tuple[str, ...]) -> PacketSet | None:
    """Beds have no IPsec: no packet came or goes by it."""
    return {"none": context.space.all, "ipsec": context.space.none}.get(wanted[0]) if wanted else None


_PORTED = ("tcp", "udp", "udplite", "sctp", "dccp")
_READERS: dict[tuple[str, str], Reader] = {
    ("", "-s"): _prefix("source"),
    ("", "-d"): _prefix("destination"),
    ("", "-i"): _interface("entered"),
    ("", "-o"): _interface("left"),
    ("", "-p"): _protocol,
    ("", "-f"): lambda context, _: context.packet.fragment,
    **{(module, option): _spans("first") for module in _PORTED for option in ("--sport",)},
    **{(module, option): _spans("second") for module in _PORTED for option in ("--dport",)},
    **{(module, ""): _always for module in (*_PORTED, "icmp", "icmp6", "comment")},
    ("multiport", "--sports"): _spans("first"),
    ("multiport", "--dports"): _spans("second"),
    ("multiport", "--ports"): _spans("first", "second"),
    ("tcp", "--tcp-flags"): _flags,
    ("tcp", "--syn"): lambda context, _: _flags(context, _SYN),
    ("icmp", "--icmp-type"): _message(icmp.NAMES, six=False),
    ("icmp6", "--icmpv6-type"): _message(icmp.NAMES6, six=True),
    ("mark", "--mark"): _masked("mark", 32),
    ("connmark", "--mark"): _masked("connection_mark", 32),
    **{(module, f"--{module}-eq"): _spans("ttl", greatest=0xFF) for module in ("ttl", "hl")},
    **{(module, f"--{module}-lt"): _below for module in ("ttl", "hl")},
    **{(module, f"--{module}-gt"): _above for module in ("ttl", "hl")},
    ("length", "--length"): _spans("length"),
    ("iprange", "--src-range"): _address_range("source"),
    ("iprange", "--dst-range"): _address_range("destination"),
    ("dscp", "--dscp"): _service_class,
    ("dscp", "--dscp-class"): _service_class,
    ("tos", "--tos"): _masked("tos", 8),
    ("ecn", "--ecn-ip-ect"): _congestion,
    ("mac", "--mac-source"): _hardware,
    ("set", "--match-set"): _set,
    ("policy", "--dir"): _always,
    ("policy", "--pol"): _tunnelled,
}
