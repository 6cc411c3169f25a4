"""What cases about other programs' rules ask, and how they read what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from testbed import Testbed
from testbed.observe.journey import Journey
from testbed.traffic.layers import IP, TCP

HOST, CLIENT = "192.168.66.100", "192.168.66.1"
BedOf = Callable[..., Testbed]


def client_asks(bed: Testbed, port: int) -> Journey:
    """The journey of the client's SYN to a port of the host's address."""
    syn = IP(src=CLIENT, dst=HOST) / TCP(sport=bed.free_port(), dport=port, flags="S")
    with bed.tracing() as tracing:
        return tracing.journey(bed.send(syn, "client"))


def hooks(journey: Journey) -> list[str]:
    """The hooks that a packet passed."""
    return [hook.hook for _, hook in journey.hooks]


def matched(journey: Journey) -> list[str]:
    """The rules that a packet matched, with their tables, in order."""
    return [f"{table} {rule}" for table, _, rule in _asked(journey) if rule]


def chains(journey: Journey) -> list[str]:
    """The chains in which rules were held against a packet."""
    return [chain for _, chain, _ in _asked(journey)]


def _asked(journey: Journey) -> Iterator[tuple[str, str, str]]:
    """Table, chain and, where it matched, text of each rule."""
    for _, hook in journey.hooks:
        for base in hook.chains:
            for chain, asked in base.every:
                yield chain.table, chain.chain, asked.rule.text if asked.matched else ""
