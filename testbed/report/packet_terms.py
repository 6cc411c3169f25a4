"""What bounds a set of packets, in words: prefixes, ports, protocols, lengths."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from testbed.analysis.describe import Term

_ADDRESSES = {"source": "from", "destination": "to"}
_NAMES = {"first": "source port", "second": "port", "length": "length", "ttl": "TTL", "tos": "TOS", "mac": "MAC"}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
_MOST = 4  # prefixes or numbers that are named


def in_words(terms: tuple[Term, ...]) -> str:
    """Return all terms in one line: `from 10.0.0.0/8, port 22`."""
    return ", ".join(_term(term) for term in terms)


def _term(term: Term) -> str:
    name = _ADDRESSES.get(term.field) or _NAMES.get(term.field, term.field)
    if term.spans is None:
        return f"{name} one of many"
    shown = list(_values(term))
    several = f"{', '.join(shown[:_MOST])} and {len(shown) - _MOST} more" if len(shown) > _MOST else ", ".join(shown)
    if term.field == "protocol":
        return f"not {several}" if term.negated else several
    return f"not {name} {several}" if term.negated else f"{name} {several}"


def _values(term: Term) -> Iterator[str]:
    for low, high in term.spans or ():
        if term.field in _ADDRESSES:
            yield from _prefixes(term, low, high)
        elif term.field == "protocol":
            yield from (_PROTOCOLS.get(number, str(number)) for number in range(low, high + 1))
        else:
            yield str(low) if low == high else f"{low}-{high}"


def _prefixes(term: Term, low: int, high: int) -> Iterator[str]:
    if term.width == 32:
        for network in summarize_address_range(IPv4Address(low), IPv4Address(high)):
            yield str(network).removesuffix("/32")
    else:
        for network6 in summarize_address_range(IPv6Address(low), IPv6Address(high)):
            yield str(network6).removesuffix("/128")
