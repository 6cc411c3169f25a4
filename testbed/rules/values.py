"""Comparisons of a clause's values with a packet's, in three-valued logic: True, False, or None for unknown."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

Answer = bool | None

PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "sctp": 132,
    "udplite": 136,
}
TCP_FLAGS = {"FIN": "F", "SYN": "S", "RST": "R", "PSH": "P", "ACK": "A", "URG": "U", "ECE": "E", "CWR": "C"}


def opposite(answer: Answer) -> Answer:
    return None if answer is None else not answer


def any_of(answers: Iterable[Answer]) -> Answer:
    """Return True if one answer is True, else None if one is unknown, else False."""
    seen = set(answers)
    return True if True in seen else None if None in seen else False


def number(text: str) -> int | None:
    """Return a decimal number, or a hexadecimal one with 0x; None for another text."""
    try:
        return int(text, 0)
    except ValueError:
        return None


def equal(value: int | None, text: str) -> Answer:
    """Return whether a number equals the written one."""
    written = number(text)
    return None if value is None or written is None else value == written


def between(value: int | None, text: str, separator: str = ":") -> Answer:
    """Return whether a number is in a range `low:high`, with optional ends, or equals the only one named."""
    low, several, high = text.partition(separator)
    if not several:
        return equal(value, text)
    bounds = number(low or "0"), number(high or "0xffffffff")
    if value is None or bounds[0] is None or bounds[1] is None:
        return None
    return bounds[0] <= value <= bounds[1]


def protocol_number(name: str) -> int | None:
    return PROTOCOLS.get(name.lower(), number(name))


def same_protocol(protocol: str, name: str) -> Answer:
    """Return whether a packet's protocol has that name or number."""
    numbers = protocol_number(protocol), protocol_number(name)
    return None if None in numbers else numbers[0] == numbers[1]


def flag_letters(names: Iterable[str]) -> frozenset[str] | None:
    """Return the letters of TCP flags; None if a name is unknown."""
    letters = [TCP_FLAGS.get(name.strip().upper(), "") for name in names]
    return frozenset(letters) if all(letters) else None


def within(address: str, network: str) -> Answer:
    """Return whether an address is in a network: an address alone, with a prefix length or with any mask."""
    base, _, mask = network.partition("/")
    try:
        asked, wanted = ip_address(address), ip_address(base)
        bits = _mask(mask, wanted.max_prefixlen)
    except ValueError:
        return None
    return asked.version == wanted.version and int(asked) & bits == int(wanted) & bits


def _mask(text: str, width: int) -> int:
    if not text:
        return (1 << width) - 1
    if not text.isdigit():
        return int(ip_address(text))
    if int(text) > width:
        raise ValueError(text)
    return ((1 << int(text)) - 1) << width - int(text)


def address_between(address: str, text: str) -> Answer:
    """Return whether an address is in a range `first-last`, or equals the only one named."""
    first, _, last = text.partition("-")
    try:
        asked, low, high = (ip_address(part) for part in (address, first, last or first))
    except ValueError:
        return None
    return asked.version == low.version == high.version and int(low) <= int(asked) <= int(high)


def interface_named(name: str, pattern: str, wildcard: str = "+") -> bool:
    """Return whether an interface has that name, or the prefix before a wildcard; '' is no interface."""
    if pattern.endswith(wildcard):
        return name.startswith(pattern.removesuffix(wildcard))
    return name == pattern
