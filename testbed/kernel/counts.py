"""Counters as read from either packet filter of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from testbed.rules.counters import Counters


@dataclass(frozen=True, slots=True)
class ChainCounts:
    """Counters of a chain's rules in order, and of its policy (None if it has no counter).

    `handles` are the nf_tables handles of these rules; empty where the rules are known by position.
    """

    policy: Counters | None
    rules: tuple[Counters, ...]
    handles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of all chains by (table, chain); `identity` changes whenever a rule is added, replaced or deleted.

    If the same rule set was loaded twice and changed by hand afterwards, equal identities mean equal rules.
    """

    identity: Hashable
    chains: Mapping[tuple[str, str], ChainCounts]


@dataclass(frozen=True, slots=True)
class CounterReader:
    """Reads the counters of one namespace, from any thread, until `close` closes its sockets."""

    read: Callable[[], Counts]
    close: Callable[[], None]

    def __enter__(self) -> CounterReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
