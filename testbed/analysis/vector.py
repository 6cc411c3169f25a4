"""Numbers of several bits that depend on the packet: constants on some sets, other numbers on others.

Most of what rules make of a field is constant on a set of packets (an address after translation, an interface). A
vector keeps these sets by value: a comparison is a look-up then, and no function over every bit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import overload

from oxidd.bcdd import BCDDFunction

PacketSet = BCDDFunction
Bits = tuple[PacketSet, ...]
Part = tuple[int, int]


class Base:
    """The bits of a number, the highest first; its parts are made once, so that they are found in caches."""

    __slots__ = ("_parts", "bits")

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self._parts: dict[Part, Base] = {}

    def part(self, start: int, stop: int) -> Base:
        if (start, stop) not in self._parts:
            self._parts[start, stop] = Base(self.bits[start:stop])
        return self._parts[start, stop]


class Vector:
    """A number: `pieces` are sets by the value it has there, `parts` sets by other bits, `base` its bits elsewhere.

    All sets are disjoint, and `covered` is their union. Vectors are the same only if they are one object.
    """

    __slots__ = ("_bits", "_slices", "base", "covered", "parts", "pieces")

    def __init__(
        self, base: Base, pieces: Mapping[int, PacketSet], covered: PacketSet, parts: Mapping[Base, PacketSet]
    ) -> None:
        self.base = base
        self.pieces = pieces
        self.parts = parts
        self.covered = covered
        self._bits: Bits | None = None if pieces or parts else base.bits
        self._slices: dict[Part, Vector] = {}

    @property
    def bits(self) -> Bits:
        """The bits as functions, the highest first."""
        if self._bits is None:
            self._bits = tuple(self._bit(place, bit) for place, bit in enumerate(self.base.bits))
        return self._bits

    def _bit(self, place: int, base: PacketSet) -> PacketSet:
        shift = len(self) - 1 - place
        found = base & ~self.covered
        for value, where in self.pieces.items():
            if value >> shift & 1:
                found = found | where
        for other, where in self.parts.items():
            found = found | where & other.bits[place]
        return found

    @property
    def content(self) -> Hashable:
        """What two vectors have in common that were made in the same way."""
        parts = frozenset((base.bits, where) for base, where in self.parts.items())
        return self.base.bits, frozenset(self.pieces.items()), parts

    def __len__(self) -> int:
        return len(self.base.bits)

    def __iter__(self) -> Iterator[PacketSet]:
        return iter(self.bits)

    @overload
    def __getitem__(self, place: int) -> PacketSet: ...

    @overload
    def __getitem__(self, place: slice) -> Vector: ...

    def __getitem__(self, place: int | slice) -> PacketSet | Vector:
        if isinstance(place, int):
            return self.bits[place]
        start, stop, _ = place.indices(len(self))
        if (start, stop) not in self._slices:
            self._slices[start, stop] = self._sliced(start, stop)
        return self._slices[start, stop]

    def _sliced(self, start: int, stop: int) -> Vector:
        shift, mask = len(self) - stop, (1 << (stop - start)) - 1
        pieces: dict[int, PacketSet] = {}
        for value, where in self.pieces.items():
            part = value >> shift & mask
            pieces[part] = pieces[part] | where if part in pieces else where
        parts: dict[Base, PacketSet] = {}
        for other, where in self.parts.items():
            own = other.part(start, stop)
            parts[own] = parts[own] | where if own in parts else where
        return Vector(self.base.part(start, stop), pieces, self.covered, parts)
