"""Relations between iptables clauses: one implies another, or both contradict each other.

Only certain relations are reported. An opaque clause implies itself and excludes its opposite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.rules import values
from testbed.rules.clauses import Clause, clauses
from testbed.rules.ruleset import IPV6

_ADDRESSES = {("", "-s"), ("", "-d")}
_INTERFACES = {("", "-i"), ("", "-o")}
_STATES = {("conntrack", "--ctstate"), ("state", "--state")}
_ONE_OF = {*_STATES, ("addrtype", "--dst-type"), ("addrtype", "--src-type")}
_EXCLUSIVE = {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}  # a packet has exactly one of these
# Matches that read only the packet and its connection, which no rule changes while the packet is in a table. Matches
# that depend on time, chance or stored state are left out. So are marks, lengths and TTLs, which targets change.
_LASTING = {
    *("", "tcp", "udp", "udplite", "sctp", "dccp", "multiport", "icmp", "icmp6"),
    *("conntrack", "state", "addrtype", "iprange", "mac", "owner"),
}
_CHANGING = {"--tcp-option", "--ctexpire"}
# For other options a packet may match neither the clause nor its negation: it lacks the header or connection
_WITH_COMPLEMENT = {*_ADDRESSES, *_INTERFACES, *_STATES, ("", "-p"), ("", "-f")}
_WITH_COMPLEMENT |= {("addrtype", "--dst-type"), ("addrtype", "--src-type")}
_WITH_COMPLEMENT |= {("iprange", "--src-range"), ("iprange", "--dst-range")}
_NOT = "not "  # a clause of module "not X" holds for packets that do not match the clause of X
_WITH_STATE = "conntrack with --ctstate"
_PORTS = {(protocol, option) for protocol in ("tcp", "udp", "sctp") for option in ("--sport", "--dport")}


@lru_cache(maxsize=4096)
def asked(spec: str, table: str = "filter") -> tuple[Clause, ...]:
    """Return a rule's clauses; a clause whose meaning depends on other clauses or on the table gets another module
    name.

    In raw a target may change the connection tracking state. If the rule has --ctstate and it matches, a packet without
    a connection matches all other options of conntrack, else none (conntrack_mt, net/netfilter/xt_conntrack.c).
    """
    own = clauses(spec)
    options = {(clause.module, clause.option) for clause in own}
    limited = any(module == "addrtype" and option.startswith("--limit-iface") for module, option in options)

    def renamed(clause: Clause) -> Clause:
        if clause.module in ("conntrack", "state") and table.removeprefix(IPV6) == "raw":
            return replace(clause, module=f"{clause.module} in raw")
        if clause.module == "conntrack" and clause.option != "--ctstate" and ("conntrack", "--ctstate") in options:
            return replace(clause, module=_WITH_STATE)
        return replace(clause, module="addrtype with limit") if limited and clause.module == "addrtype" else clause

    return tuple(map(renamed, own))


def opposite(clause: Clause) -> Clause:
    """Return a clause that holds for exactly the packets for which this clause does not."""
    if (clause.module, clause.option) in _WITH_COMPLEMENT:
        return replace(clause, negated=not clause.negated)
    module = clause.module.removeprefix(_NOT) if clause.module.startswith(_NOT) else f"{_NOT}{clause.module}"
    return replace(clause, module=module, negated=not clause.negated)


def lasting(clause: Clause) -> bool:
    """Return whether a clause gives a packet the same answer everywhere in a table."""
    return clause.module in _LASTING and clause.option not in _CHANGING


def implies(one: Clause, other: Clause) -> bool:
    """Return whether every packet that matches one clause certainly matches the other."""
    if (one.module, one.option) != (other.module, other.option):
        return False
    if one.module == _WITH_STATE and one.option not in _CHANGING:
        return (one.negated, one.values) == (other.negated, other.values)
    if not lasting(one):
        return False
    if one.negated == other.negated:
        narrow, wide = (other, one) if one.negated else (one, other)
        return one.values == other.values or _within(narrow, wide)
    return not one.negated and _disjoint(one, other)


def contradicts(one: Clause, other: Clause) -> bool:
    """Return whether certainly no packet matches both."""
    return _excludes(one, other) or _excludes(other, one)


def _excludes(one: Clause, other: Clause) -> bool:
    """Return whether one clause implies that the other is not matched, or that its negation is."""
    if implies(one, opposite(other)):
        return True
    return other.module != _WITH_STATE and implies(one, replace(other, negated=not other.negated))


def follows(clause: Clause, known: Iterable[Clause]) -> bool:
    """Return whether one of the known clauses implies it."""
    return any(implies(one, clause) for one in known)


def _within(narrow: Clause, wide: Clause) -> bool:
    """Return, for two clauses without negation, whether every packet that matches `narrow` matches `wide`."""
    kind = narrow.module, narrow.option
    if not narrow.values or not wide.values:
        return False
    if kind in _INTERFACES:
        return wide.values[0].endswith("+") and narrow.values[0].startswith(wide.values[0][:-1])
    if kind in _ONE_OF:
        return set(narrow.values[0].split(",")) <= set(wide.values[0].split(","))
    if kind in _ADDRESSES:
        inner, outer = _network(narrow.values[0]), _network(wide.values[0])
        if inner is None or outer is None or inner.version != outer.version:
            return False
        return inner.subnet_of(outer)  # type: ignore[arg-type]
    return False


def _disjoint(one: Clause, other: Clause) -> bool:
    """Return, for two clauses read without negation, whether no packet matches both."""
    kind = one.module, one.option
    if not one.values or not other.values:
        return False
    first, second = one.values[0], other.values[0]
    if kind in _INTERFACES:
        return "+" not in first + second and first != second
    if kind in _ADDRESSES:
        networks = _network(first), _network(second)
        return networks[0] is not None and networks[1] is not None and not networks[0].overlaps(networks[1])
    if kind == ("", "-p"):
        return values.same_protocol(first, second) is False and "all" not in (first, second)
    if kind in _PORTS:
        numbers = values.number(first), values.number(second)
        return None not in numbers and numbers[0] != numbers[1]
    named = set(first.split(",")), set(second.split(","))
    return kind in _STATES and named[0] | named[1] <= _EXCLUSIVE and not named[0] & named[1]


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """Return the network of a text; None if its mask has gaps."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
