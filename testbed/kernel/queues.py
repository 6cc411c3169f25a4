"""Packet queues for programs (NFQUEUE, `queue`): the queues that a rule names and those that a program reads."""

from __future__ import annotations

import re
from pathlib import Path

_READ = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")  # one line for each queue that a program reads
_NUMBERS = re.compile(r"--queue-(?:num|balance) (\d+)(?::(\d+))?|\bqueue\b.*?\b(?:to|num) (\d+)(?:-(\d+))?")


def read() -> frozenset[int]:
    """Return the numbers of the queues that a program reads, in the calling thread's network namespace."""
    if not _READ.exists():
        return frozenset()
    return frozenset(int(line.split()[0]) for line in _READ.read_text().splitlines() if line.strip())


def numbers_in(spec: str) -> range:
    """Return the queues that a rule names, in the syntax of iptables or nft; queue 0 if it names none."""
    found = _NUMBERS.search(spec)
    if found is None:
        return range(1)
    first, last = found[1] or found[3], found[2] or found[4]
    return range(int(first), int(last or first) + 1)
