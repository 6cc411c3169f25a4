"""Whether a packet matches a rule's clauses, as far as it can be computed: True, False, or None for unknown.

The semantics are those of the kernel's matches: net/ipv4/netfilter/ip_tables.c (basic options) and
net/netfilter/xt_*.c, such as xt_tcpudp.c. Clauses that depend on time, chance, stored state or payload are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from testbed.rules import icmp, nft_matching, values
from testbed.rules.clauses import Clause
from testbed.rules.packet_context import Judge, PacketContext, Values
from testbed.rules.values import Answer

_WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
_TRANSPORTS = {"icmp6": ("icmpv6",), "icmpv6": ("icmpv6",), "icmp": ("icmp",), "multiport": _WITH_PORTS}
_TRANSPORTS.update({protocol: (protocol,) for protocol in _WITH_PORTS})
_STATES = {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}
_UNTRACKED = ("INVALID", "UNTRACKED")  # states of a packet without a connection
_STATUS = {"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"}
_NAMED_FLAGS = {"ALL": frozenset("FSRPAU"), "NONE": frozenset("")}
_SYN = ("FIN,SYN,RST,ACK", "SYN")
_ANY = {"any", "255"}  # xt_tcpudp.c: type 0xFF is any


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """Whether a rule matches, and why not: the first clause that certainly fails, or the unknown clauses.

    `failing` are all clauses that certainly fail.
    """

    matches: Answer
    clause: Clause | None = None
    unknown: tuple[Clause, ...] = ()
    failing: tuple[Clause, ...] = ()


def holds(clause: Clause, facts: PacketContext) -> Answer:
    """Return whether a packet matches a single clause; None if it is unknown."""
    judge = _JUDGES.get((clause.module, clause.option))
    if judge is None:
        return None
    if (there := _is_there(clause, facts)) is not True:
        return there
    answer = judge(clause.values, facts)
    return values.opposite(answer) if clause.negated else answer


def first_failing(clauses: Sequence[Clause], facts: PacketContext) -> RuleMatch:
    """Return whether a packet matches all clauses of a rule, and the first clause that it certainly misses."""
    answers = _answers(clauses, facts)
    failing = tuple(clause for clause, answer in answers if answer is False)
    unknown = tuple(clause for clause, answer in answers if answer is None)
    return RuleMatch(False if failing else None if unknown else True, failing[0] if failing else None, unknown, failing)


def culprit(clauses: Sequence[Clause], facts: PacketContext) -> Clause | None:
    """Return the reason why the kernel did not match a rule.

    It is the first clause that certainly fails. If none fails, it is the only unknown clause, or the unknown options of
    a single match. None if several clauses are possible. None too if all clauses hold; then the facts or this module
    are wrong.
    """
    verdict = first_failing(clauses, facts)
    return verdict.clause or _together(verdict.unknown)


def only_reason(clauses: Sequence[Clause], facts: PacketContext) -> tuple[Clause | None, tuple[Clause, ...]]:
    """Return the clause that was the only reason for a miss, and the clauses that leave this open.

    A rule with a protocol may also have clauses about that protocol's header (ports). For a packet of another protocol
    these are judged as if it had the first protocol, since no rule can have them without the protocol.
    """
    verdict = first_failing(clauses, facts)
    protocol = next((clause for clause in verdict.failing if clause.option == "-p" and not clause.negated), None)
    if protocol is not None and len(verdict.failing) > 1 and facts.destination_port is not None:
        others = [clause for clause in clauses if clause is not protocol]
        verdict = first_failing(others, replace(facts, protocol=protocol.values[0]))
        verdict = replace(verdict, failing=(protocol, *verdict.failing))
    blamed = verdict.failing + verdict.unknown
    if len(blamed) == 1:
        return blamed[0], ()
    return None, verdict.unknown if len(verdict.failing) < 2 else ()


def _answers(clauses: Sequence[Clause], facts: PacketContext) -> list[tuple[Clause, Answer]]:
    """Return every clause with its answer; a clause whose meaning depends on other clauses is unknown."""
    limited = any(clause.option.startswith("--limit-iface") for clause in clauses)
    return [
        (clause, None if limited and clause.option in ("--dst-type", "--src-type") else holds(clause, facts))
        for clause in clauses
    ]


def _together(unknown: Sequence[Clause]) -> Clause | None:
    """Return the unknown clauses as one, if there is one or if all are options of the same match; else None."""
    if len(unknown) == 1:
        return unknown[0]
    one_match = len({clause.module for clause in unknown}) == 1 and all(c.option.startswith("--") for c in unknown)
    if not one_match or not unknown[0].module:
        return None
    first, last = unknown[0], unknown[-1]
    text = " ".join(clause.text for clause in unknown)
    if last.end - first.start != len(text):  # other words are between them
        return None
    return replace(first, text=text, end=last.end, values=tuple(text.split()[1:]))


def _is_there(clause: Clause, facts: PacketContext) -> Answer:
    """Return whether the packet has the header or connection that a clause reads; without it a clause never matches."""
    if clause.module in ("ip", "ip6"):
        return (":" in facts.source) == (clause.module == "ip6")
    if clause.module == "ct":
        return clause.option == "state" or facts.state not in _UNTRACKED
    if clause.module not in _TRANSPORTS:
        return True
    if facts.fragment:
        return False
    return values.any_of(values.same_protocol(facts.protocol, name) for name in _TRANSPORTS[clause.module])


def _address(of: str) -> Judge:
    return lambda wanted, facts: values.within(getattr(facts, of), wanted[0]) if len(wanted) == 1 else None


def _interface(of: str) -> Judge:
    return lambda wanted, facts: values.interface_named(getattr(facts, of), wanted[0]) if wanted else None


def _protocol(wanted: Values, facts: PacketContext) -> Answer:
    if not wanted:
        return None
    return wanted[0] in ("all", "0") or values.same_protocol(facts.protocol, wanted[0])


def _port(*of: str) -> Judge:
    """Return a judge: one of these ports is in one of the comma-separated ranges."""

    def judge(wanted: Values, facts: PacketContext) -> Answer:
        if not wanted:
            return None
        return values.any_of(values.between(getattr(facts, name), port) for port in wanted[0].split(",") for name in of)

    return judge


def _range(of: str) -> Judge:
    return lambda wanted, facts: values.between(getattr(facts, of), wanted[0]) if wanted else None


def _below(wanted: Values, facts: PacketContext) -> Answer:
    limit = values.number(wanted[0]) if wanted else None
    return None if limit is None or facts.ttl is None else facts.ttl < limit


def _above(wanted: Values, facts: PacketContext) -> Answer:
    limit = values.number(wanted[0]) if wanted else None
    return None if limit is None or facts.ttl is None else facts.ttl > limit


def _address_range(of: str) -> Judge:
    return lambda wanted, facts: values.address_between(getattr(facts, of), wanted[0]) if wanted else None


def _flags(wanted: Values, facts: PacketContext) -> Answer:
    """Judge `MASK SET`: of the flags in the mask exactly those in the set are set."""
    if len(wanted) != 2 or facts.tcp_flags is None:
        return None
    mask, flags = (_flag_letters(names) for names in wanted)
    return None if mask is None or flags is None else frozenset(facts.tcp_flags) & mask == flags


def _flag_letters(names: str) -> frozenset[str] | None:
    return _NAMED_FLAGS[names] if names in _NAMED_FLAGS else values.flag_letters(names.split(","))


def _icmp(names: Mapping[str, str]) -> Judge:
    def judge(wanted: Values, facts: PacketContext) -> Answer:
        if not wanted or facts.icmp is None:
            return None
        return wanted[0] in _ANY or icmp.is_kind(facts.icmp, names.get(wanted[0], wanted[0]))

    return judge


def _state(wanted: Values, facts: PacketContext) -> Answer:
    """Judge a list of states; DNAT and SNAT are states of a translated connection (xt_conntrack.c)."""
    names = set(wanted[0].split(",")) if wanted else set()
    if not names or not names <= _STATES | {"DNAT", "SNAT"}:
        return None
    state = None if facts.state is None else facts.state in names
    return values.any_of((state, _translated(names & {"DNAT", "SNAT"}, facts)))


def _translated(names: set[str], facts: PacketContext) -> Answer:
    if not names or facts.state in _UNTRACKED:
        return False
    return None if facts.status is None else bool(names & facts.status)


def _connections(judge: Judge) -> Judge:
    """Return a judge that is unknown without a connection: the result depends on --ctstate (conntrack_mt,
    xt_conntrack.c).
    """
    return lambda wanted, facts: None if not wanted or facts.state in (None, *_UNTRACKED) else judge(wanted, facts)


def _status(wanted: Values, facts: PacketContext) -> Answer:
    names = set(wanted[0].split(","))
    return None if facts.status is None or not names <= _STATUS else bool(names & facts.status)


def _direction(wanted: Values, facts: PacketContext) -> Answer:
    return None if facts.direction is None else facts.direction == wanted[0]


def _connection_protocol(wanted: Values, facts: PacketContext) -> Answer:
    """Judge the connection's protocol; unknown for an ICMP error, whose connection has another protocol."""
    return None if facts.state == "RELATED" else values.same_protocol(facts.protocol, wanted[0])


def _original_address(place: int) -> Judge:
    return lambda wanted, facts: values.within(str(facts.original[place]), wanted[0]) if facts.original else None


def _original_port(place: int) -> Judge:
    def judge(wanted: Values, facts: PacketContext) -> Answer:
        port = facts.original[place] if facts.original else None
        return values.between(port, wanted[0]) if isinstance(port, int) else None

    return judge


def _type(of: str) -> Judge:
    """Return a judge of an address type; any IPv6 type but MULTICAST is UNICAST too (match_type6, xt_addrtype.c)."""

    def judge(wanted: Values, facts: PacketContext) -> Answer:
        address = getattr(facts, of)
        kind, names = facts.type_of(address), set(wanted[0].split(",")) if wanted else set()
        if kind is None or not names or (":" in address and len(names) > 1):
            return None
        kinds = {kind, "UNICAST"} if ":" in address and kind != "MULTICAST" else {kind}
        return bool(kinds & names)

    return judge


def _mark(wanted: Values, facts: PacketContext) -> Answer:
    value, _, mask = wanted[0].partition("/") if wanted else ("", "", "")
    bits = values.number(mask or "0xffffffff")
    return None if facts.mark is None or bits is None else values.equal(facts.mark & bits, value)


def _set(wanted: Values, facts: PacketContext) -> Answer:
    predicate = (facts.sets or {}).get(wanted[0]) if len(wanted) == 2 else None
    return predicate(facts, tuple(wanted[1].split(","))) if predicate else None


def _always(_wanted: Values, _facts: PacketContext) -> Answer:
    return True


_JUDGES: dict[tuple[str, str], Judge] = {
    ("", "-s"): _address("source"),
    ("", "-d"): _address("destination"),
    ("", "-i"): _interface("entered"),
    ("", "-o"): _interface("left"),
    ("", "-p"): _protocol,
    ("", "-f"): lambda _wanted, facts: facts.fragment,
    **{(protocol, "--sport"): _port("source_port") for protocol in _WITH_PORTS},
    **{(protocol, "--dport"): _port("destination_port") for protocol in _WITH_PORTS},
    **{(protocol, ""): _always for protocol in (*_WITH_PORTS, "icmp", "icmp6")},
    ("multiport", "--sports"): _port("source_port"),
    ("multiport", "--dports"): _port("destination_port"),
    ("multiport", "--ports"): _port("source_port", "destination_port"),
    ("tcp", "--tcp-flags"): _flags,
    ("tcp", "--syn"): lambda _wanted, facts: _flags(_SYN, facts),
    ("icmp", "--icmp-type"): _icmp(icmp.NAMES),
    ("icmp6", "--icmpv6-type"): _icmp(icmp.NAMES6),
    ("state", "--state"): _state,
    ("conntrack", "--ctstate"): _state,
    ("conntrack", "--ctstatus"): _connections(_status),
    ("conntrack", "--ctdir"): _connections(_direction),
    ("conntrack", "--ctproto"): _connections(_connection_protocol),
    ("conntrack", "--ctorigsrc"): _connections(_original_address(0)),
    ("conntrack", "--ctorigsrcport"): _connections(_original_port(1)),
    ("conntrack", "--ctorigdst"): _connections(_original_address(2)),
    ("conntrack", "--ctorigdstport"): _connections(_original_port(3)),
    ("addrtype", "--src-type"): _type("source"),
    ("addrtype", "--dst-type"): _type("destination"),
    ("mark", "--mark"): _mark,
    **{(module, f"--{module}-eq"): _range("ttl") for module in ("ttl", "hl")},
    **{(module, f"--{module}-lt"): _below for module in ("ttl", "hl")},
    **{(module, f"--{module}-gt"): _above for module in ("ttl", "hl")},
    ("length", "--length"): _range("length"),
    ("iprange", "--src-range"): _address_range("source"),
    ("iprange", "--dst-range"): _address_range("destination"),
    ("set", "--match-set"): _set,
    **nft_matching.JUDGES,
}
