"""Whether a kernel has sent spontaneous ICMP: errors, redirects, or address resolution that is still unanswered.

The kernel limits the rate of errors and redirects. When address resolution has had no answer for three seconds, the
kernel sends errors about that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_NET = Path("/proc/thread-self/net")
_UNASKED = ("DestUnreachs", "PktTooBigs", "TimeExcds", "ParmProbs", "ParmProblems", "Redirects", "NeighborSolicits")
_FLAGS = 2  # a column of net/arp
_UNKNOWN = "0x0"


def sent_errors() -> bool:
    """Return whether the calling thread's namespace has ever sent any, even if a packet filter dropped it."""
    counted = any(count for name, count in _counted() if name.partition("Out")[2] in _UNASKED)
    return counted or any(line.split()[_FLAGS] == _UNKNOWN for line in _neighbours())


def _counted() -> Iterator[tuple[str, int]]:
    """Yield the number of ICMP messages of each kind that the kernel has sent (net/ipv4/proc.c, net/ipv6/proc.c)."""
    lines = (_NET / "snmp").read_text().splitlines()
    names, counts = (line.split()[1:] for line in lines if line.startswith("Icmp:"))
    yield from zip(names, map(int, counts), strict=True)
    if (six := _NET / "snmp6").exists():  # a kernel without IPv6 has no such file
        pairs = (line.split() for line in six.read_text().splitlines() if line.startswith("Icmp6"))
        yield from ((name, int(count)) for name, count in pairs)


def _neighbours() -> list[str]:
    """Return one line per IPv4 address that was resolved, with its state (arp_format_neigh_entry, net/ipv4/arp.c)."""
    return (_NET / "arp").read_text().splitlines()[1:]
