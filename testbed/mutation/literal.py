"""Values as Python expressions, to show and to paste. Text becomes a literal and never code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

_PLAIN = (str, int, bool, type(None))
_ADDRESSES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


def expression(value: Any) -> str:
    """Return an expression that is equal to a value; raise TypeError for an unsupported type."""
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    if kind in _ADDRESSES:
        return f"{kind.__name__}({str(value)!r})"
    if kind is tuple:
        items = [expression(item) for item in value]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if isinstance(value, Enum):
        return f"{kind.__name__}.{value.name}"
    if is_dataclass(value):
        return f"{kind.__name__}({', '.join(f'{name}={expression(held)}' for name, held in arguments(value))})"
    raise TypeError(f"there is no expression for a {kind.__name__}")


def imports(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every type that the expression of a value uses."""
    kind = type(value)
    if kind is tuple:
        for item in value:
            yield from imports(item)
    elif kind not in _PLAIN:
        yield kind.__module__, kind.__name__
        if is_dataclass(value):
            for _, held in arguments(value):
                yield from imports(held)


def arguments(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a dataclass that differ from their defaults."""
    for field in fields(value):
        held = getattr(value, field.name)
        if not _is_default(field, held):
            yield field.name, held


def _is_default(field: Field[Any], held: Any) -> bool:
    return field.default is not MISSING and held == field.default and type(held) is type(field.default)
