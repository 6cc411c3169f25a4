"""What `-m conntrack` and `-m state` ask, as sets of packets (net/netfilter/xt_conntrack.c).

A packet without a connection is asked for its state alone; without that option the match fails, whatever is negated.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.analysis import numbers
from testbed.analysis.context import Context
from testbed.analysis.packets import State, in_prefix
from testbed.analysis.vector import PacketSet, Vector
from testbed.rules.clauses import Clause
from testbed.rules.values import protocol_number

_STATE_OPTIONS = ("--ctstate", "--state")


def packets_of(context: Context, options: Sequence[Clause]) -> PacketSet | None:
    """The packets that meet one match with these options; None where one of them is not read."""
    asked = context.space.all
    of_connection = context.space.all
    for option in options:
        found = _option(context, option)
        if found is None:
            return None
        found = ~found if option.negated else found
        if option.option in _STATE_OPTIONS:
            asked = asked & found
        else:
            of_connection = of_connection & found
    alone = context.space.all if any(o.option in _STATE_OPTIONS for o in options) else context.space.none
    return asked & (context.tracked & of_connection | ~context.tracked & alone)


def _option(context: Context, option: Clause) -> PacketSet | None:
    value = option.values[0] if option.values else ""
    original = context.packet.original
    if option.option in _STATE_OPTIONS:
        return in_states(context, value.split(","))
    if option.option == "--ctstatus":
        return with_status(context, value.split(","))
    if option.option == "--ctdir":
        return {"ORIGINAL": ~context.packet.reply, "REPLY": context.packet.reply}.get(value)
    if option.option == "--ctproto":
        return _protocol(context, value)
    addresses: dict[str, Vector] = {"--ctorigsrc": original.source, "--ctorigdst": original.destination}
    ports: dict[str, Vector] = {"--ctorigsrcport": original.first, "--ctorigdstport": original.second}
    if option.option in addresses:
        return _within(context, addresses[option.option], value)
    return _between(context, ports[option.option], value) if option.option in ports else None


def in_states(context: Context, names: Sequence[str]) -> PacketSet | None:
    """Packets of one of these states; SNAT and DNAT are states of a translated connection."""
    found = context.space.none
    for name in (name.strip().upper() for name in names):
        if name in ("SNAT", "DNAT"):
            status = with_status(context, [name])
            found = found | (context.tracked & status if status is not None else context.space.none)
        elif name in State.__members__:
            found = found | context.state_is(State[name])
        else:
            return None
    return found


def with_status(context: Context, names: Sequence[str]) -> PacketSet | None:
    """Packets of connections that have one of these bits."""
    packet = context.packet
    bits = {
        "SNAT": packet.source_translated,
        "DNAT": packet.destination_translated,
        "SEEN_REPLY": packet.seen_reply,
        "ASSURED": packet.assured,
        "CONFIRMED": packet.confirmed,
        "EXPECTED": context.space.none,
    }
    found = [bits.get(name.strip().upper().replace("-", "_")) for name in names]
    known = [one for one in found if one is not None]
    return context.space.any_of(known) if len(known) == len(found) else None


def _protocol(context: Context, name: str) -> PacketSet | None:
    number = protocol_number(name)
    return None if number is None else context.space.equal(context.packet.original.protocol, number)


def _within(context: Context, vector: Vector, text: str) -> PacketSet | None:
    known = numbers.network(text)
    return None if known is None else in_prefix(context.space, context.packet.six, vector, *known)


def _between(context: Context, vector: Vector, text: str) -> PacketSet | None:
    known = numbers.span(text)
    return None if known is None else context.space.between(vector, *known)
