"""The syntaxes of rule sets: iptables-save text, and nftables' own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.rules import clauses, nft_clauses
from testbed.rules.clauses import Clause


@dataclass(frozen=True, slots=True)
class Syntax:
    """A syntax of rules; `clauses` parses the clauses of a rule's specification.

    `counts_before_the_end`: a rule may count a packet that a statement behind the counter does not match.
    """

    name: str
    clauses: Callable[[str], tuple[Clause, ...]]
    counts_before_the_end: bool

    def __str__(self) -> str:
        return self.name


IPTABLES = Syntax("iptables", clauses.clauses, counts_before_the_end=False)
NFTABLES = Syntax("nftables", nft_clauses.clauses, counts_before_the_end=True)
