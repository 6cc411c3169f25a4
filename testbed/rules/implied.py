"""What follows from iptables' clauses without any packet: one implies another, or both cannot hold at once.

Only what is certain is said: clauses that are not understood imply themselves and exclude their opposite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from testbed.rules.clauses import Clause

_ADDRESSES = {("", "-s"), ("", "-d")}
_INTERFACES = {("", "-i"), ("", "-o")}
_ONE_OF = {("conntrack", "--ctstate"), ("state", "--state"), ("addrtype", "--dst-type"), ("addrtype", "--src-type")}
# What is asked of the packet alone, so that the same packet always gets the same answer (a limit and a mark change)
_LASTING = {
    *("", "tcp", "udp", "udplite", "sctp", "dccp", "multiport", "icmp", "icmp6"),
    *("conntrack", "state", "addrtype", "iprange", "length", "ttl", "hl"),
}
_SINGLE = {("", "-p"), ("tcp", "--dport"), ("tcp", "--sport"), ("udp", "--dport"), ("udp", "--sport")}


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
        inner, outer = ip_network(narrow.values[0], strict=False), ip_network(wide.values[0], strict=False)
        return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
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
        return not ip_network(first, strict=False).overlaps(ip_network(second, strict=False))
    if kind in _SINGLE:
        return ":" not in first + second and first != second and "all" not in (first, second)
    return kind in _ONE_OF and kind[0] != "addrtype" and not set(first.split(",")) & set(second.split(","))
