"""Whether a kernel has spoken unasked: sent ICMP errors or redirects, or asked who has an address, in vain so far.

Of errors and redirects it sends a limited number, and when nobody has answered for three seconds who has an address, it
sends errors about that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_NET = Path("/proc/thread-self/net")
_UNASKED = ("DestUnreachs", "PktTooBigs", "TimeExcds", "ParmProbs", "ParmProblems", "Redirects", "NeighborSolicits")
_FLAGS = 2  # a column of net/arp
_UNKNOWN = "0x0"


def sent_errors() -> bool:
    """In the calling thread's namespace, since that was made; whether or not a packet filter has dropped it."""
    counted = any(count for name, count in _counted() if name.partition("Out")[2] in _UNASKED)
    return counted or any(line.split()[_FLAGS] == _UNKNOWN for line in _neighbours())


def _counted() -> Iterator[tuple[str, int]]:
    """How many ICMP messages of each kind it has sent (net/ipv4/proc.c, net/ipv6/proc.c)."""
    lines = (_NET / "snmp").read_text().splitlines()
    names, counts = (line.split()[1:] for line in lines if line.startswith("Icmp:"))
    yield from zip(names, map(int, counts), strict=True)
    if (six := _NET / "snmp6").exists():  # a kernel without IPv6 has none
        pairs = (line.split() for line in six.read_text().splitlines() if line.startswith("Icmp6"))
        yield from ((name, int(count)) for name, count in pairs)


def _neighbours() -> list[str]:
    """Each address of IPv4 that was looked for, and what is known of it (arp_format_neigh_entry, net/ipv4/arp.c)."""
    return (_NET / "arp").read_text().splitlines()[1:]
