"""What follows from iptables' clauses without any packet: one implies another, or both cannot hold at once.

Only what is certain is said: clauses that are not understood imply themselves and exclude their opposite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.rules import values
from testbed.rules.clauses import Clause

_ADDRESSES = {("", "-s"), ("", "-d")}
_INTERFACES = {("", "-i"), ("", "-o")}
_STATES = {("conntrack", "--ctstate"), ("state", "--state")}
_ONE_OF = {*_STATES, ("addrtype", "--dst-type"), ("addrtype", "--src-type")}
_EXCLUSIVE = {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}  # a packet has one of them, and others beside
# What is asked of the packet alone, so that the same packet always gets the same answer (a limit and a mark change)
_LASTING = {
    *("", "tcp", "udp", "udplite", "sctp", "dccp", "multiport", "icmp", "icmp6"),
    *("conntrack", "state", "addrtype", "iprange", "length", "ttl", "hl"),
}
_PORTS = {(protocol, option) for protocol in ("tcp", "udp", "sctp") for option in ("--sport", "--dport")}


def opposite(clause: Clause) -> Clause:
    """What holds for just those packets for which the clause does not."""
    return replace(clause, negated=not clause.negated)


def implies(one: Clause, other: Clause) -> bool:
    """Whether every packet that meets one clause certainly meets the other."""
    if (one.module, one.option) != (other.module, other.option) or one.module not in _LASTING:
        return False
    if one.negated == other.negated:
        narrow, wide = (other, one) if one.negated else (one, other)
        return one.values == other.values or _within(narrow, wide)
    return not one.negated and _disjoint(one, other)


def contradicts(one: Clause, other: Clause) -> bool:
    """Whether no packet certainly meets both."""
    return implies(one, opposite(other)) or implies(other, opposite(one))


def follows(clause: Clause, known: Iterable[Clause]) -> bool:
    """Whether one of the known clauses implies it."""
    return any(implies(one, clause) for one in known)


def _within(narrow: Clause, wide: Clause) -> bool:
    """Of two that are not negated: whether all that the first lets through the second does."""
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
    """Of two that are looked at as if they were not negated: whether no packet meets both."""
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
    """A network as it is written; None for one with a mask that has gaps."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
