"""Clauses that the model cannot read: free variables with names, shared where the kernel cannot tell a difference.

Two evaluations share a variable when their words are equal, and, of clauses that are random or count packets, when the
same packets come to them as often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector
from testbed.rules.reference import RuleReference


class OpaqueKind(Enum):
    """Why a clause is a free variable."""

    UNREAD = "unread"  # it reads what the model does not have: contents, time, options of headers
    RANDOM = "random"
    COUNTING = "counting"  # what it says depends on other packets
    CHOICE = "choice"  # the kernel chooses one of several addresses or ports


@dataclass(frozen=True, slots=True, eq=False)
class OpaqueClause:
    """A free variable and the words it stands for; `reference` is the rule that first asked."""

    text: str
    kind: OpaqueKind
    reference: RuleReference
    variables: Vector


class OpaqueClauses:
    """All free variables of a comparison. `packet` names the packet of the connection that is looked at."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: dict[Hashable, OpaqueClause] = {}
        self._asked: Counter[Hashable] = Counter()
        self.packet: str = ""
        self.evaluations: list[tuple[OpaqueClause, PacketSet]] = []

    def start(self, packet: str) -> None:
        """Begin with another packet or another rule set."""
        self.packet = packet
        self._asked.clear()
        self.evaluations = []

    def ask(
        self,
        text: str,
        kind: OpaqueKind,
        reference: RuleReference,
        reaching: PacketSet,
        read: Hashable = None,
        width: int = 1,
    ) -> Vector:
        """The variables of an evaluation; `read` are the fields of the packet that it depends on, if any."""
        key: Hashable = self.packet, text, kind, read, width
        if kind in (OpaqueKind.RANDOM, OpaqueKind.COUNTING):
            key = key, reaching
            self._asked[key] += 1
            key = key, self._asked[key]
        if key not in self._known:
            self._known[key] = OpaqueClause(text, kind, reference, self._space.variables(width))
        self.evaluations.append((self._known[key], reaching))
        return self._known[key].variables

    @property
    def known(self) -> tuple[OpaqueClause, ...]:
        return tuple(self._known.values())

    @property
    def variables(self) -> list[PacketSet]:
        return [variable for clause in self._known.values() for variable in clause.variables]
