"""Clauses as sets of packets: whether one clause implies or excludes another.

Every answer is certain. An unsupported clause (a limit, a mark that rules change) implies nothing and excludes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.rules.clauses import Clause
from testbed.rules.implied import asked, lasting
from testbed.rules.values import interface_named, protocol_number

_STATES = frozenset({"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"})
_PORTS = {"--sport": "sport", "--dport": "dport", "--sports": "sport", "--dports": "dport"}
_ALL_PORTS = frozenset(range(65536))

Network = IPv4Network | IPv6Network
Meant = str | Network | int | frozenset[int] | frozenset[str]


@dataclass(frozen=True, slots=True)
class Literal:
    """A set of packets by one aspect, or its complement; `meant` and `aspect` are '' for an unknown set."""

    aspect: str
    meant: Meant
    negated: bool = False

    @property
    def complement(self) -> Literal | None:
        """Return the set of all other packets; None if some packets have no such aspect."""
        if self.aspect in ("sport", "dport", "") or self.aspect.startswith("as written"):
            return None
        if self.aspect == "state":
            return Literal("state", _STATES - self.meant) if isinstance(self.meant, frozenset) else None
        return Literal(self.aspect, self.meant, not self.negated)

    def implies(self, other: Literal) -> bool:
        """Return whether every packet of this set is certainly in the other."""
        if self.aspect != other.aspect or not self.aspect:
            return False
        if not self.negated:
            return _apart(self.meant, other.meant) if other.negated else _contains(other.meant, self.meant)
        return other.negated and _contains(self.meant, other.meant)

    def excludes(self, other: Literal) -> bool:
        """Return whether certainly no packet is in both sets."""
        if self.aspect != other.aspect or not self.aspect:
            return False
        if self.negated and other.negated:
            return False
        if self.negated or other.negated:
            whole, part = (self, other) if self.negated else (other, self)
            return _contains(whole.meant, part.meant)
        return _apart(self.meant, other.meant)


UNKNOWN = Literal("", "")


def literal(clause: Clause) -> Literal:
    """Return the set of a clause; UNKNOWN if it is uncertain."""
    if not lasting(clause):
        return UNKNOWN
    value = clause.values[0] if clause.values else ""
    if clause.option in ("-i", "-o") and value:
        return Literal(clause.option, value, clause.negated)
    if clause.option in ("-s", "-d"):
        network = _network(value)
        return Literal(clause.option, network, clause.negated) if network is not None else UNKNOWN
    if clause.option == "-p":
        number = protocol_number(value)
        return Literal("-p", number, clause.negated) if number else UNKNOWN
    if clause.option in _PORTS:
        ports = _ports(value)
        meant = _ALL_PORTS - ports if clause.negated and ports is not None else ports
        return Literal(_PORTS[clause.option], meant) if meant is not None else UNKNOWN
    if clause.option in ("--ctstate", "--state"):
        return _state(clause, value)
    return Literal(f"as written {clause.module} {clause.option} {clause.values}", "", clause.negated)


@lru_cache(maxsize=4096)
def box(spec: str, table: str) -> tuple[Literal, ...]:
    """Return the sets of a rule's clauses; clauses that change each other's meaning are unknown."""
    return tuple(map(literal, asked(spec, table)))


def empty(box: Iterable[Literal]) -> bool:
    """Return whether certainly no packet is in all of these sets."""
    known = list(box)
    return any(
        (isinstance(one.meant, frozenset) and not one.meant) or any(one.excludes(other) for other in known[place:])
        for place, one in enumerate(known)
    )


def implied(box: Iterable[Literal], wanted: Literal) -> bool:
    """Return whether every packet in all of these sets is certainly in another one too."""
    return any(one.implies(wanted) for one in box)


def _state(clause: Clause, value: str) -> Literal:
    states = frozenset(value.split(","))
    if not states <= _STATES:
        return UNKNOWN
    return Literal("state", _STATES - states if clause.negated else states)


def _network(value: str) -> Network | None:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        return None


def _ports(value: str) -> frozenset[int] | None:
    """Return all ports of a list; None if one is a service name."""
    found: set[int] = set()
    for part in value.split(","):
        low, several, high = part.partition(":")
        bounds = (low or "0", (high or "65535") if several else low)
        if not all(bound.isdigit() for bound in bounds):
            return None
        found.update(range(int(bounds[0]), int(bounds[1]) + 1))
    return frozenset(found)


def _contains(whole: Meant, part: Meant) -> bool:
    if isinstance(whole, frozenset) and isinstance(part, frozenset):
        return part <= whole
    if isinstance(whole, str) and isinstance(part, str):
        return _names_all(whole, part)
    if isinstance(whole, IPv4Network) and isinstance(part, IPv4Network):
        return part.subnet_of(whole)
    if isinstance(whole, IPv6Network) and isinstance(part, IPv6Network):
        return part.subnet_of(whole)
    return whole == part


def _apart(one: Meant, other: Meant) -> bool:
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return not one & other
    if isinstance(one, str) and isinstance(other, str):
        return not _names_all(one, other) and not _names_all(other, one)
    if isinstance(one, IPv4Network | IPv6Network) and isinstance(other, IPv4Network | IPv6Network):
        return one.version != other.version or not one.overlaps(other)
    return one != other


def _names_all(whole: str, part: str) -> bool:
    """Return whether an interface's name or pattern covers another."""
    if part.endswith("+"):
        return whole.endswith("+") and part.removesuffix("+").startswith(whole.removesuffix("+"))
    return interface_named(part, whole)
