"""Whether a kernel has sent ICMP errors or redirects, by its own count (net/ipv4/proc.c, net/ipv6/proc.c)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SNMP, _SNMP6 = Path("/proc/thread-self/net/snmp"), Path("/proc/thread-self/net/snmp6")
_ERRORS = ("DestUnreachs", "PktTooBigs", "TimeExcds", "ParmProbs", "ParmProblems", "Redirects")


def sent_any() -> bool:
    """In the calling thread's namespace, since that was made; a packet filter may have dropped them on their way."""
    return any(count for name, count in _counted() if name.partition("Out")[2] in _ERRORS)


def _counted() -> Iterator[tuple[str, int]]:
    names, counts = (line.split()[1:] for line in _SNMP.read_text().splitlines() if line.startswith("Icmp:"))
    yield from zip(names, map(int, counts), strict=True)
    if _SNMP6.exists():  # a kernel without IPv6 has none
        for line in _SNMP6.read_text().splitlines():
            name, count = line.split()
            if name.startswith("Icmp6"):
                yield name, int(count)
