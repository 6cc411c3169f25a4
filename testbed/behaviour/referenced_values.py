"""The values that a rule set references: ports and prefixes, and whether it matches states, flags or counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.rules.clauses import Clause
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.syntax import Syntax

_PORTS = ("--dport", "--sport", "--dports", "--sports", "--ports", "dport", "sport")
_TRACKED_PORTS = ("--ctorigdstport", "--ctorigsrcport", "--ctreplsrcport", "--ctrepldstport")
_PREFIXES = ("-s", "-d", "saddr", "daddr", "--ctorigsrc", "--ctorigdst", "--src-range", "--dst-range")
_TRANSPORTS = ("tcp", "udp")
LAST_PORT = 65535
_ROOM = 4500  # ports that the probes of a bed need
_NUMBER = re.compile(r"\d+")
_TRANSLATED = re.compile(r"(?:DNAT --to-destination|dnat to|REDIRECT --to-ports|redirect to) \S*?:?(\d+)(?:\s|$)")
_STATEFUL = ("limit", "hashlimit", "recent", "connlimit", "quota", "statistic", "connbytes", "numgen", "ct count")
_FILLS = re.compile(r"--(add|del)-set |\b(add|update|delete) @|\blimit rate\b|\bquota\b")
_FLAGS = ("--syn", "--tcp-flags", "--tcp-option", "flags")
_SOURCE_PORTS = ("--sport", "--sports", "--ports", "sport")
_RANGE = re.compile(r"(\d*)[:-](\d*)")
Reader = Callable[[str], tuple[Clause, ...]]
Ports = tuple[tuple[int, int], ...]  # the first and the last port of each range


@dataclass(frozen=True, slots=True)
class ReferencedValues:
    """Ports with their protocols, prefixes, and ranges of source ports, which no probe may use by chance.

    `invalid`: the rules match packets that belong to no connection. `flags`: the rules match packets that begin a TCP
    connection. `counting`: the rules count packets, so that one packet may decide about the next.
    """

    ports: frozenset[tuple[str, int]] = frozenset()
    prefixes: frozenset[IPv4Network | IPv6Network] = frozenset()
    invalid: bool = False
    flags: bool = False
    counting: bool = False
    source_ports: Ports = ()

    def __or__(self, other: ReferencedValues) -> ReferencedValues:
        return ReferencedValues(
            self.ports | other.ports,
            self.prefixes | other.prefixes,
            self.invalid or other.invalid,
            self.flags or other.flags,
            self.counting or other.counting,
            tuple(dict.fromkeys((*self.source_ports, *other.source_ports))),
        )


def mentioned(book: LoadedRuleset, syntax: Syntax) -> ReferencedValues:
    """Return the values that the rules of that syntax reference."""
    read: Reader = syntax.clauses
    specs = [rule.spec for chain in book for rule in chain.rules]
    found = [(clause, read(spec)) for spec in specs for clause in read(spec)]
    return ReferencedValues(
        frozenset(port for clause, others in found for port in _ports(clause, others)) | frozenset(_targets(specs)),
        frozenset(prefix for clause, _ in found for prefix in _prefixes(clause)),
        any("INVALID" in clause.text.upper() for clause, _ in found),
        any(clause.option in _FLAGS for clause, _ in found),
        any(clause.module in _STATEFUL for clause, _ in found) or any(map(_FILLS.search, specs)),
        tuple(dict.fromkeys(ports for clause, _ in found for ports in _source_ports(clause))),
    )


def _ports(clause: Clause, others: Iterable[Clause]) -> Iterable[tuple[str, int]]:
    if clause.option not in (*_PORTS, *_TRACKED_PORTS):
        return
    protocols = [clause.module] if clause.module in _TRANSPORTS else _protocols_of(others)
    for value in clause.values:
        for number in _NUMBER.findall(value):
            yield from ((protocol, int(number)) for protocol in protocols)


def _source_ports(clause: Clause) -> Iterator[tuple[int, int]]:
    """Yield the port ranges that a clause requires of a packet's source."""
    for part in (part for value in clause.values for part in value.split(",")):
        if clause.option in _SOURCE_PORTS and (found := _RANGE.fullmatch(part)):
            yield int(found[1] or 0), int(found[2] or LAST_PORT)
        elif clause.option in _SOURCE_PORTS and part.isdigit():
            yield int(part), int(part)


def free_port(next_port: Callable[[], int], taken: Ports) -> int:
    """Return the next port outside the ranges; ignore ranges that leave too few ports after them."""
    left = [(first, last) for first, last in taken if last <= LAST_PORT - _ROOM]
    found = next_port()
    while any(first <= found <= last for first, last in left):
        found = next_port()
    return found


def _protocols_of(others: Iterable[Clause]) -> list[str]:
    """Return the protocols that the rest of a rule allows."""
    named = [value for other in others if other.option in ("-p", "--ctproto", "l4proto") for value in other.values]
    return [protocol for protocol in _TRANSPORTS if protocol in named] or list(_TRANSPORTS)


def _targets(specs: Iterable[str]) -> Iterable[tuple[str, int]]:
    """Yield the ports that packets are translated to."""
    for spec in specs:
        for port in _TRANSLATED.findall(spec):
            yield from ((protocol, int(port)) for protocol in _TRANSPORTS if f"{protocol} " in spec)


def _prefixes(clause: Clause) -> Iterable[IPv4Network | IPv6Network]:
    if clause.option not in _PREFIXES:
        return
    for value in clause.values:
        for part in value.split("-"):
            try:
                yield ip_network(part, strict=False)
            except ValueError:  # a name, or a set of nftables
                continue
