"""ipsets by their content, as `ipset save` prints it: the packets that an element is of (ipset(8))."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from testbed.analysis import numbers
from testbed.analysis.context import Context, SetReader
from testbed.analysis.packets import in_prefix, in_range
from testbed.analysis.vector import PacketSet
from testbed.rules.values import protocol_number

_CREATE = re.compile(r"create (?P<name>\S+) (?P<kind>\S+)(?P<options>.*)")
_ADD = re.compile(r"add (?P<name>\S+) (?P<element>\S+)(?P<options>.*)")
_CHANGING = ("timeout", "skbinfo")  # a set with such options is another after a while


@dataclass(frozen=True, slots=True)
class SavedSet:
    """A set: the kinds of its dimensions (ip, net, port, mac, iface, mark, set) and its elements."""

    kinds: tuple[str, ...]
    six: bool
    elements: tuple[str, ...]
    exceptions: tuple[str, ...]
    changing: bool


def reader(saved: str) -> SetReader:
    """What finds the packets of a set by its name; None: the set, or its kind, is not read."""

    def read(context: Context, name: str, directions: tuple[str, ...]) -> PacketSet | None:
        known = parse(saved).get(name)
        if known is None or known.changing:
            return None
        inside = [_element(context, known, element, directions, read) for element in known.elements]
        outside = [_element(context, known, element, directions, read) for element in known.exceptions]
        sets = [one for one in inside if one is not None]
        holes = [one for one in outside if one is not None]
        if len(sets) < len(inside) or len(holes) < len(outside):
            return None
        return context.space.any_of(sets) & ~context.space.any_of(holes)

    return read


@lru_cache(maxsize=16)
def parse(saved: str) -> dict[str, SavedSet]:
    """The sets of what `ipset save` printed."""
    made: dict[str, tuple[str, str]] = {}
    elements: dict[str, list[tuple[str, bool]]] = {}
    for line in saved.splitlines():
        if found := _CREATE.match(line):
            made[found["name"]] = found["kind"], found["options"]
        elif found := _ADD.match(line):
            elements.setdefault(found["name"], []).append((found["element"], "nomatch" in found["options"].split()))
    return {
        name: SavedSet(
            tuple(kind.partition(":")[2].split(",")),
            "inet6" in options.split(),
            tuple(element for element, excepted in elements.get(name, []) if not excepted),
            tuple(element for element, excepted in elements.get(name, []) if excepted),
            any(word in options.split() for word in _CHANGING),
        )
        for name, (kind, options) in made.items()
    }


def _element(
    context: Context, known: SavedSet, element: str, directions: tuple[str, ...], read: SetReader
) -> PacketSet | None:
    """The packets that an element is of; each of its parts is looked up at one end of the packet."""
    if known.kinds == ("set",):
        return read(context, element, directions)
    parts = element.split(",")
    if len(parts) != len(known.kinds) or len(directions) < len(parts):
        return None
    found = context.packet.six if known.six else ~context.packet.six
    if not set(known.kinds) & {"ip", "net"}:
        found = context.space.all
    for kind, part, direction in zip(known.kinds, parts, directions, strict=False):
        part_of = _KINDS.get(kind)
        one = part_of(context, part, direction) if part_of is not None else None
        if one is None:
            return None
        found = found & one
    return found


def _address(context: Context, part: str, direction: str) -> PacketSet | None:
    vector = context.packet.source if direction == "src" else context.packet.destination
    if "-" in part and (span := numbers.address_range(part)) is not None:
        return in_range(context.space, context.packet.six, vector, *span)
    network = numbers.network(part)
    return None if network is None else in_prefix(context.space, context.packet.six, vector, *network)


def _port(context: Context, part: str, direction: str) -> PacketSet | None:
    """`PROTOCOL:PORT`, or a port of TCP and UDP in a bitmap."""
    protocol, several, ports = part.rpartition(":")
    span = numbers.span(ports, "-")
    numbers_of = [protocol_number(protocol)] if several else [6, 17]
    if span is None or None in numbers_of or numbers_of[0] in (1, 58):
        return None
    vector = context.packet.first if direction == "src" else context.packet.second
    return context.of_protocol(*(n for n in numbers_of if n is not None)) & context.space.between(vector, *span)


def _hardware(context: Context, part: str, direction: str) -> PacketSet | None:
    if direction != "src":
        return None
    entered = ~context.space.equal(context.packet.entered, 0)
    return entered & context.space.equal(context.packet.mac, int(part.replace(":", ""), 16))


def _interface(context: Context, part: str, direction: str) -> PacketSet | None:
    vector = context.packet.entered if direction == "src" else context.packet.left
    return context.interfaces.named(context.space, vector, part, wildcard="")


def _mark(context: Context, part: str, _direction: str) -> PacketSet | None:
    known = numbers.number(part)
    return None if known is None else context.space.equal(context.packet.mark, known)


_KINDS: dict[str, Callable[[Context, str, str], PacketSet | None]] = {
    "ip": _address,
    "net": _address,
    "port": _port,
    "mac": _hardware,
    "iface": _interface,
    "mark": _mark,
}
