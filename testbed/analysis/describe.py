"""Regions described by what bounds them: for each field the values that it has there, where these are not all.

A region is the product of these terms, or lies within it (`exact` is false then).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.analysis.space import Space
from testbed.analysis.vector import PacketSet, Vector

_SPANS = 24  # of one field; what takes more is left out of the description

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A field and the numbers that it is, or is not; None: more spans than are worth naming."""

    field: str
    spans: Spans | None
    width: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """The terms of a region; `exact`: their product is the region."""

    terms: tuple[Term, ...]
    exact: bool

    def term(self, field: str) -> Term | None:
        return next((term for term in self.terms if term.field == field), None)


@dataclass(frozen=True, slots=True, eq=False)
class FieldVariables:
    """A field by the name that it has in descriptions, and its variables."""

    name: str
    vector: Vector


def describe(
    space: Space, region: PacketSet, possible: PacketSet, fields: Sequence[FieldVariables], ignored: PacketSet
) -> Description:
    """Bound a region of possible packets; `ignored` is the cube of variables that no description names."""
    region, rest = region.exists(ignored), possible.exists(ignored)
    everything = [bit for field in fields for bit in field.vector]
    terms: list[Term] = []
    for field in fields:
        if region == rest:
            break
        own = set(field.vector.bits)
        others = space.one_for_all(bit for bit in everything if bit not in own)
        values, free = region.exists(others), rest.exists(others)
        if values == free:
            continue
        terms.append(_term(field, values, free))
        rest = rest & values
    return Description(tuple(terms), region == rest)


def _term(field: FieldVariables, values: PacketSet, free: PacketSet) -> Term:
    """The values of a field, or those that it does not have of the possible ones, whichever is shorter."""
    width = len(field.vector)
    named, missing = spans(values, field.vector), spans(free & ~values, field.vector)
    if missing is not None and (named is None or len(missing) < len(named)):
        return Term(field.name, missing, width, negated=True)
    return Term(field.name, named, width)


def spans(values: PacketSet, vector: Vector) -> Spans | None:
    """The numbers of a set over a vector's variables, in order; None where there are too many pieces."""
    found: list[tuple[int, int]] = []
    pending: list[tuple[PacketSet, int, int]] = [(values, 0, 0)]
    width = len(vector)
    while pending:
        part, depth, prefix = pending.pop()
        if not part.satisfiable():
            continue
        if part.valid():
            low, high = prefix << (width - depth), ((prefix + 1) << (width - depth)) - 1
            if found and found[-1][1] + 1 == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
            if len(found) > _SPANS:
                return None
            continue
        bit = vector.base.bits[depth]
        one, zero = part, part
        if part.node_level() == bit.node_level():
            one, zero = _halves(part)
        pending.append((one, depth + 1, prefix << 1 | 1))
        pending.append((zero, depth + 1, prefix << 1))
    return tuple(found)


def _halves(part: PacketSet) -> tuple[PacketSet, PacketSet]:
    halves = part.cofactors()
    assert halves is not None
    return halves
