"""Regions of packets in words: the clauses that bound them, with the names of nodes and interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range

from testbed.analysis.describe import Description, Term
from testbed.analysis.difference import Region
from testbed.analysis.packets import FLAGS, ICMP, ICMPV6, LOCAL, Interfaces
from testbed.analysis.plain import PlainHeader
from testbed.analysis.routing import interfaces_of
from testbed.analysis.world import PacketKind
from testbed.rules.reference import RuleReference
from testbed.rules.values import PROTOCOLS
from testbed.topology import Topology

_MOST = 3  # values of a field that are named
_PREFIXES = 2  # that a range of addresses is written as
_KINDS = {
    PacketKind.FIRST: "",
    PacketKind.REPEATED: "more packets before any reply: ",
    PacketKind.REPLY: "replies: ",
    PacketKind.LATER: "later packets of connections: ",
    PacketKind.ERROR: "ICMP errors about packets: ",
    PacketKind.REPLY_ERROR: "ICMP errors about replies: ",
}
_NUMBERS = {number: name for name, number in reversed(PROTOCOLS.items())}
_FAMILY = {4: "IPv4", 6: "IPv6"}
_ORDER = ("protocol", "error", "entered", "source", "sender", "destination")


def in_words(region: Region, topology: Topology) -> str:
    """Return the description of a region: `tcp from ens33 to web (172.17.0.2), port 80`."""
    version = region.witness.packet.first.source.version
    return f"{_KINDS[region.packet]}{Words(region.description, version, topology)}"


def rule_in_words(reference: RuleReference | None) -> str:
    """Return a rule or a policy with its table; empty if no rule decided."""
    if reference is None:
        return ""
    text = reference.text
    if not text.startswith((":", "-A ")):
        text = f":{reference.chain} {text.removeprefix('policy ').upper()}" if reference.number is None else text
        text = text if text.startswith(":") else f"-A {reference.chain} {text}"
    return f"{reference.table} {text}"


def place_of(reference: RuleReference | None) -> str:
    """Return `FILE:LINE` of a rule; the name of the rule set where it has no line, empty without a rule."""
    if reference is None:
        return ""
    return f"{reference.source}:{reference.line}" if reference.line else reference.source


def packet_in_words(header: PlainHeader) -> str:
    """Return what of a witness its addresses, ports and flags do not say."""
    said = ["with a wrong checksum"] if header.damaged else []
    said += ["a later fragment"] if header.fragment else []
    said += [f"TTL {header.ttl}"] if header.ttl != 64 else []
    said += [f"TOS {header.tos:#04x}"] if header.tos else []
    return "".join(f", {one}" for one in said)


@dataclass(frozen=True, slots=True)
class Words:
    """A description of packets of one version of IP, as one line."""

    description: Description
    version: int
    topology: Topology

    def __str__(self) -> str:
        terms = sorted(self.description.terms, key=_place)
        known = {term.field: term for term in terms}
        said = ["" if self._implied(term) else self._of_term(term, known) for term in terms]
        start = [] if "protocol" in known else [f"any {_FAMILY[self.version]}"]
        return " ".join([*start, *filter(None, said)]).replace(" ,", ",")

    def _implied(self, term: Term) -> bool:
        """Whether a term says what holds for nearly all packets, or what routing alone asks for."""
        if term.negated or term.spans is None:
            return False
        if term.field in ("source", "destination", "sender"):
            numbers = sum(high - low + 1 for low, high in term.spans)
            return len(term.spans) > _MOST and numbers > 1 << term.width - 1
        return _USUAL.get(term.field) == term.spans

    def _of_term(self, term: Term, known: dict[str, Term]) -> str:
        if term.field == "protocol":
            return self._protocol(term)
        if term.field in ("entered", "source", "sender", "destination"):
            return f"{_AFTER[term.field]} {self._values(term, self._place(term.field))}"
        if term.field in ("first", "second") and self._is_message(known):
            return "" if term.field == "second" else f"type {self._values(term, _message)}"
        return f", {_NAMES[term.field]} {self._values(term, _SHOWN.get(term.field, str))}"

    def _is_message(self, known: dict[str, Term]) -> bool:
        protocol = known.get("protocol")
        if protocol is None or protocol.negated:
            return False
        return protocol.spans in (((ICMP, ICMP),), ((ICMPV6, ICMPV6),))

    def _protocol(self, term: Term) -> str:
        said = self._values(term, lambda number: _NUMBERS.get(number, f"protocol {number}"))
        return said if not term.negated else f"any {_FAMILY[self.version]} protocol, {said}"

    def _values(self, term: Term, shown: Callable[[int], str]) -> str:
        if term.spans is None:
            return "of many values"
        if term.field in ("source", "destination", "sender"):
            parts = [part for span in term.spans for part in self._addresses(*span)]
        else:
            parts = [shown(low) if low == high else f"{shown(low)}-{shown(high)}" for low, high in term.spans]
        if term.field == "entered":
            parts = [shown(number) for low, high in term.spans for number in range(low, high + 1)]
        if len(parts) > _MOST:
            return f"{'all but ' if term.negated else ''}{len(parts)} {_SEVERAL.get(term.field, 'values')}"
        return f"{'not ' if term.negated else ''}{' or '.join(parts)}"

    def _place(self, field: str) -> Callable[[int], str]:
        if field == "entered":
            return self._interface
        return str

    def _interface(self, number: int) -> str:
        interfaces: Interfaces = interfaces_of(self.topology)
        return self.topology.host if interfaces.names[number] == LOCAL else interfaces.names[number]

    def _addresses(self, low: int, high: int) -> Iterator[str]:
        four = self.version == 4
        ends = (IPv4Address(low), IPv4Address(high)) if four else (IPv6Address(low), IPv6Address(high))
        if low == high:
            yield self._node(ends[0])
            return
        prefixes: list[IPv4Network | IPv6Network] = [*summarize_address_range(*ends)]
        if len(prefixes) <= _PREFIXES:
            yield from map(str, prefixes)
        else:
            yield f"{ends[0]}-{ends[1]}"

    def _node(self, address: IPv4Address | IPv6Address) -> str:
        names = (node.name for node in self.topology.nodes if address in {own.ip for own in node.addresses})
        name = next(names, "")
        return f"{name} ({address})" if name else str(address)


def _place(term: Term) -> int:
    return _ORDER.index(term.field) if term.field in _ORDER else len(_ORDER)


def _message(number: int) -> str:
    return f"{number >> 8}/{number & 0xFF}"


def _flags(number: int) -> str:
    names = [name for place, name in enumerate(FLAGS) if number >> (7 - place) & 1]
    return "/".join(names) or "none"


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))


_SEVERAL = {
    "entered": "interfaces",
    **dict.fromkeys(("source", "destination", "sender"), "ranges of addresses"),
    **dict.fromkeys(("first", "second"), "ranges of ports"),
}
_AFTER = {"entered": "from", "source": "by", "sender": "sent by", "destination": "to"}
_NAMES = {
    "first": "source port",
    "second": "port",
    "flags": "flags",
    "length": "bytes",
    "ttl": "TTL",
    "tos": "TOS",
    "mac": "MAC",
    "bridged": "passed on by the bridge:",
    "damaged": "wrong checksum:",
    "fragment": "later fragment:",
    "error": "type",
}
_USUAL = {"ttl": ((2, 255),), **dict.fromkeys(("bridged", "damaged", "fragment"), ((0, 0),))}
_YES = {0: "no", 1: "yes"}
_SHOWN: dict[str, Callable[[int], str]] = {
    "flags": _flags,
    "mac": _mac,
    "tos": hex,
    "error": _message,
    **dict.fromkeys(("bridged", "damaged", "fragment"), _YES.__getitem__),
}
