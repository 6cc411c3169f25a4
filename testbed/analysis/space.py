"""Sets of packets as binary decision diagrams, and numbers of several bits as vectors of Boolean functions.

A set is a Boolean function over the bits of a packet as it first came. Each bit of a vector is such a function too, so
a field that a rule has changed is a vector like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from oxidd.bcdd import BCDDManager
from oxidd.util import DDMemoryError

from testbed.analysis.vector import Base, Bits, PacketSet, Vector
from testbed.errors import AnalysisError

_Key = TypeVar("_Key")
_NODES, _CACHE = 1 << 24, 1 << 20  # at most; the memory is taken when it is used


class Space:
    """All packets: the variables, and sets made of them. Sets of one space only go together."""

    def __init__(self, nodes: int = _NODES) -> None:
        self._manager = BCDDManager(nodes, _CACHE, 1)
        self._constants: dict[tuple[int, int], Vector] = {}
        self._equal: dict[tuple[Vector | Base, int, int], PacketSet] = {}
        self.all: PacketSet = self._manager.true()
        self.none: PacketSet = self._manager.false()

    @property
    def size(self) -> int:
        """The number of variables."""
        return self._manager.num_vars()

    @property
    def nodes(self) -> int:
        """The number of nodes that all sets together take."""
        return self._manager.num_inner_nodes()

    def variables(self, width: int) -> Vector:
        """A vector of new variables, below all others in the order."""
        return self.vector(tuple(self._manager.var(number) for number in self._manager.add_vars(width)))

    def vector(self, bits: Bits) -> Vector:
        return Vector(Base(bits), {}, self.none, {})

    def constant(self, value: int, width: int) -> Vector:
        key = value, width
        if key not in self._constants:
            bits = tuple(self.all if value >> place & 1 else self.none for place in reversed(range(width)))
            self._constants[key] = Vector(Base(bits), {value: self.all}, self.all, {})
        return self._constants[key]

    def by_value(self, pieces: Mapping[int, Sequence[PacketSet]], width: int) -> Vector:
        """A vector that is a constant on each of some disjoint sets, and 0 elsewhere."""
        joined = {value: self.any_of(sets) for value, sets in pieces.items()}
        return Vector(self.constant(0, width).base, joined, self.any_of(joined.values()), {})

    def equal(self, vector: Vector, value: int, mask: int = -1) -> PacketSet:
        """Where the bits of the mask are those of the value."""
        key = vector, value, mask
        if key not in self._equal:
            pieces = (where for known, where in vector.pieces.items() if not (known ^ value) & mask)
            parts = (where & self._equal_bits(base, value, mask) for base, where in vector.parts.items())
            found = self._equal_bits(vector.base, value, mask) & ~vector.covered
            self._equal[key] = self.any_of((found, *pieces, *parts))
        return self._equal[key]

    def _equal_bits(self, base: Base, value: int, mask: int) -> PacketSet:
        key = base, value, mask
        if key not in self._equal:
            found = self.all
            for place, bit in enumerate(reversed(base.bits)):
                if mask >> place & 1:
                    found = (bit if value >> place & 1 else ~bit) & found
            self._equal[key] = found
        return self._equal[key]

    def at_most(self, vector: Vector, limit: int) -> PacketSet:
        """Where the number is not above the limit."""
        if limit < 0:
            return self.none
        if limit >> len(vector):
            return self.all
        pieces = (where for known, where in vector.pieces.items() if known <= limit)
        parts = (where & self._at_most(base, limit) for base, where in vector.parts.items())
        return self.any_of((self._at_most(vector.base, limit) & ~vector.covered, *pieces, *parts))

    def _at_most(self, base: Base, limit: int) -> PacketSet:
        found = self.all
        for place, bit in enumerate(reversed(base.bits)):
            found = ~bit | found if limit >> place & 1 else ~bit & found
        return found

    def between(self, vector: Vector, low: int, high: int) -> PacketSet:
        """Where the number is from `low` to `high`, both included."""
        if low == high:
            return self.equal(vector, low) if not low >> len(vector) else self.none
        return self.at_most(vector, high) & ~self.at_most(vector, low - 1)

    def same(self, one: Vector, other: Vector, within: PacketSet | None = None) -> PacketSet:
        """Where two vectors are the same number, of the packets within a set."""
        within = self.all if within is None else within
        if one is other:
            return within
        found = [
            mine & self.equal(other, value)
            for value, where in one.pieces.items()
            if (mine := where & within).satisfiable()
        ]
        for base, where in (*one.parts.items(), (one.base, ~one.covered)):
            mine = where & within
            if mine.satisfiable():
                found += self._same_as_base(base, other, mine)
        return self.any_of(found)

    def _same_as_base(self, base: Base, other: Vector, within: PacketSet) -> Iterator[PacketSet]:
        """Where a vector has these bits, of the packets within a set, piece by piece."""
        for value, where in other.pieces.items():
            if (both := where & within).satisfiable():
                yield both & self._equal_bits(base, value, -1)
        for part, where in (*other.parts.items(), (other.base, ~other.covered)):
            if (both := where & within).satisfiable():
                yield self._same_bits(base, part, both)

    @staticmethod
    def _same_bits(one: Base, other: Base, within: PacketSet) -> PacketSet:
        found = within
        if one is not other:
            for mine, theirs in zip(reversed(one.bits), reversed(other.bits), strict=True):
                if mine != theirs:
                    found = mine.equiv(theirs) & found
        return found

    def choose(self, where: PacketSet, one: Vector, other: Vector) -> Vector:
        """The first vector in a set, the second outside it."""
        if one is other or not where.satisfiable():
            return other
        pieces, parts = dict(other.pieces), dict(other.parts)
        if (where & other.covered).satisfiable():
            pieces, parts = self._without(pieces, where), self._without(parts, where)
        for value, piece in one.pieces.items():
            self._add(pieces, value, piece & where)
        uncovered = self.none
        for base, part in (*one.parts.items(), (one.base, ~one.covered)):
            if base is other.base:
                uncovered = uncovered | part
            else:
                self._add(parts, base, part & where)
        return Vector(other.base, pieces, other.covered & ~where | where & ~uncovered, parts)

    @staticmethod
    def _without(sets: dict[_Key, PacketSet], where: PacketSet) -> dict[_Key, PacketSet]:
        """Sets without the packets of another, and without those that are empty then."""
        kept = ((key, one & ~where) for key, one in sets.items())
        return {key: one for key, one in kept if one.satisfiable()}

    @staticmethod
    def _add(sets: dict[_Key, PacketSet], key: _Key, one: PacketSet) -> None:
        if one.satisfiable():
            sets[key] = sets[key] | one if key in sets else one

    def decremented(self, vector: Vector) -> Vector:
        """One less; of zero the greatest number."""
        borrow, found = self.all, []
        for bit in reversed(vector.bits):
            found.append(bit ^ borrow)
            borrow = ~bit & borrow
        return self.vector(tuple(reversed(found)))

    def any_of(self, sets: Iterable[PacketSet]) -> PacketSet:
        """The union of several sets, pairs first: so that what is added to is small for long."""
        found = list(sets)
        while len(found) > 1:
            pairs = [one | other for one, other in zip(found[::2], found[1::2], strict=False)]
            found = pairs + found[len(pairs) * 2 :]
        return found[0] if found else self.none

    def all_of(self, sets: Iterable[PacketSet]) -> PacketSet:
        found = self.all
        for one in sets:
            found = found & one
        return found

    def one_for_all(self, variables: Iterable[PacketSet]) -> PacketSet:
        """The cube of variables, as `exists` and `forall` take it."""
        return self.all_of(sorted(variables, key=_level, reverse=True))

    def count(self, packets: PacketSet, variables: Iterable[PacketSet]) -> int:
        """How many values of these variables a set has; the others do not matter."""
        kept = {_level(variable) for variable in variables}
        others = [self._manager.var(number) for number in range(self.size) if number not in kept]
        return packets.exists(self.one_for_all(others)).sat_count(self.size) >> len(others)

    def value(self, vector: Vector, packet: PacketSet) -> int:
        """The number that a vector is for one packet, given as a set that decides every bit of it."""
        found = 0
        for bit in vector:
            found = found << 1 | (packet & bit).satisfiable()
        return found


@contextmanager
def limited() -> Iterator[None]:
    """Say in the user's words that the sets became too large."""
    try:
        yield
    except DDMemoryError as error:
        raise AnalysisError(
            f"the packets that these rules tell apart need more than {_NODES} nodes.",
            "Compare parts of the rule sets, a table or a chain at a time.",
        ) from error


def empty(packets: PacketSet) -> bool:
    return not packets.satisfiable()


def _level(variable: PacketSet) -> int:
    found = variable.node_level()
    assert found is not None
    return found
