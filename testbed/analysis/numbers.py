"""What rules write for numbers: ranges, masks, names of protocols and of services."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from testbed.rules import values

Span = tuple[int, int]

# Code points by class (RFC 2474, RFC 2597, RFC 3246), as iptables and nft name them
_CLASSES = {"be": 0, "df": 0, "ef": 46, "le": 1, "va": 44, **{f"cs{number}": number << 3 for number in range(8)}}
_CLASSES.update({f"af{klass}{drop}": klass << 3 | drop << 1 for klass in range(1, 5) for drop in range(1, 4)})
_SERVICES = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "http": 80,
    "kerberos": 88,
    "pop3": 110,
    "sunrpc": 111,
    "ntp": 123,
    "netbios-ns": 137,
    "netbios-dgm": 138,
    "netbios-ssn": 139,
    "imap2": 143,
    "snmp": 161,
    "ldap": 389,
    "https": 443,
    "submission": 587,
    "ldaps": 636,
    "imaps": 993,
    "pop3s": 995,
    "mdns": 5353,
    "postgresql": 5432,
    "mysql": 3306,
    "http-alt": 8080,
    "microsoft-ds": 445,
    "ipp": 631,
    "domain-s": 853,
    "dhcpv6-client": 546,
    "dhcpv6-server": 547,
}


def number(text: str) -> int | None:
    """A number, or a port by the name of its service."""
    found = values.number(text)
    return _SERVICES.get(text.lower()) if found is None else found


def span(text: str, separator: str = ":", greatest: int = 0xFFFF) -> Span | None:
    """`low:high`, either of which may be left out, or one number."""
    low, several, high = text.partition(separator)
    found = number(low or "0"), number((high or str(greatest)) if several else low)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def spans(text: str, separator: str = ":", greatest: int = 0xFFFF) -> list[Span] | None:
    """Several of these with commas between; None where one is not understood."""
    found = [span(part.strip(), separator, greatest) for part in text.split(",")]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def masked(text: str, width: int) -> tuple[int, int] | None:
    """`value/mask` or a value alone."""
    value, several, mask = text.partition("/")
    found = values.number(value), values.number(mask) if several else (1 << width) - 1
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def network(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """An address and the bits of a mask of any form."""
    base, several, mask = text.partition("/")
    found = address(base)
    if found is None:
        return None
    width = found.max_prefixlen
    if not several:
        return found, (1 << width) - 1
    if mask.isdigit():
        return (found, ((1 << int(mask)) - 1) << (width - int(mask))) if int(mask) <= width else None
    bits = address(mask)
    return (found, int(bits)) if bits is not None and bits.version == found.version else None


def address_range(text: str) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address] | None:
    """`first-last`, or one address."""
    first, _, last = text.partition("-")
    low, high = address(first), address(last or first)
    return None if low is None or high is None or low.version != high.version else (low, high)


def code_point(text: str) -> int | None:
    """A DSCP by number or by class."""
    found = values.number(text)
    return _CLASSES.get(text.lower()) if found is None else found
