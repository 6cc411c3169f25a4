"""What both packet filters of the kernel answer when their counters are read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from testbed.rules.counters import Counters


@dataclass(frozen=True, slots=True)
class ChainCounts:
    """A chain's rules in order, and its policy (None for a user-defined chain)."""

    policy: Counters | None
    rules: tuple[Counters, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """All chains by (table, chain). `identity` changes whenever a rule is added, replaced or taken away."""

    identity: Hashable
    chains: Mapping[tuple[str, str], ChainCounts]
