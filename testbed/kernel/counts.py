"""What both packet filters of the kernel answer when their counters are read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from testbed.rules.counters import Counters


@dataclass(frozen=True, slots=True)
class ChainCounts:
    """A chain's rules in order, and its policy (None where there is none that counts).

    `handles` are the numbers by which nf_tables knows these rules; empty where the rules are known by their place.
    """

    policy: Counters | None
    rules: tuple[Counters, ...]
    handles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """All chains by (table, chain). `identity` changes whenever a rule is added, replaced or taken away.

    Where the same rule set was loaded twice and changed by hand afterwards, equal identities mean equal rules.
    """

    identity: Hashable
    chains: Mapping[tuple[str, str], ChainCounts]
