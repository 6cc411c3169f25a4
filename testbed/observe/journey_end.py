"""The end of a journey, from the trace, the captures and the node's routing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from testbed.errors import Disagreement
from testbed.kernel import queues
from testbed.kernel.namespace import Namespace
from testbed.kernel.routes import RouteLookup, refusal
from testbed.observe.demultiplexer import Passage
from testbed.observe.header import TracedHeader
from testbed.observe.journey import (
    DELIVERED,
    DROPPED,
    LET_THROUGH,
    LOCAL_INPUT,
    LOST,
    ChainTraversal,
    HookTraversal,
    JourneyEnd,
    NodeTraversal,
)
from testbed.observe.verdict import ChainEnd
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Rule
from testbed.traffic.packet import ICMP_ERRORS, Packet


def end(
    origin: str,
    sent: Packet,
    passes: Sequence[tuple[Passage, NodeTraversal]],
    arrived: tuple[str, Packet] | None,
    answers: Sequence[Packet],
    namespaces: Mapping[str, Namespace],
    bridges: Mapping[str, Collection[str]],
    addresses: Collection[str],
) -> JourneyEnd:
    """Return the end of a packet's journey; raises Disagreement if trace and capture contradict each other.

    `bridges` are the bridges of each router; containers are attached to them. `addresses` are those of all nodes.
    """
    dropped = _drop(passes) or _unread(passes, namespaces)
    if arrived is not None:
        if dropped is not None:
            raise Disagreement(f"{sent} was dropped as the trace says ({dropped.by}), but it arrived at {arrived[0]}.")
        _compare(passes, arrived)
        return JourneyEnd(DELIVERED, arrived[0])
    if dropped is not None:
        return dropped
    if not passes:
        return JourneyEnd(LOST, origin, why=f"no node took it on; no node there has {sent.destination}")
    passage, node = passes[-1]
    hook, last = passage.hooks[-1], node.hooks[-1]
    if hook.after is None and (taken := held_by(last.chains, ChainEnd.STOLEN)) is not None:
        return JourneyEnd(LOCAL_INPUT, node.node, taken, _answered(answers))
    if hook.after is None:
        return JourneyEnd(
            DROPPED, node.node, why=f"in {hook.name}, by no rule: connection tracking or NAT could not go on"
        )
    if hook.name == "INPUT":
        return JourneyEnd(LOCAL_INPUT, node.node, why=_answered(answers))
    if hook.name in ("POSTROUTING", "EGRESS") and last.left in bridges.get(node.node, ()):
        return _let_through(node, hook.after.destination)
    if (translating := _translated_to_none(passes, addresses)) is not None:
        return _let_through(*translating)
    if hook.name in ("POSTROUTING", "EGRESS"):
        why = f"it left by {last.left}, and no node there has {hook.after.destination}"
    elif hook.name in ("PREROUTING", "INGRESS"):
        why = _unrouted(namespaces[node.node], passage, last, hook.after)
    else:
        why = f"behind {hook.name}"
    return JourneyEnd(LOST, node.node, why=" and ".join(filter(None, (why, _answered(answers)))))


def answers(sent: Packet, arrivals: Iterable[Packet]) -> Iterator[Packet]:
    """Yield the packets that came back for a packet: from its destination, or an ICMP error that quotes it."""
    for packet in arrivals:
        if packet.icmp is not None and packet.icmp[0] in ICMP_ERRORS.get(packet.protocol, ()):
            if _quotes(packet, sent):
                yield packet
        elif (packet.from_, packet.to) == (sent.to, sent.from_) and _may_answer(packet, sent):
            yield packet


def _may_answer(packet: Packet, sent: Packet) -> bool:
    """Return whether a packet in the reply direction answers one sent packet.

    In TCP only a SYN/ACK to a SYN and a reset do. Echoes are distinguished by their identifiers.
    """
    if None not in (packet.echo, sent.echo) and packet.echo != sent.echo:
        return False
    return "R" in packet.flags or packet.protocol != "tcp" or (sent.flags, packet.flags) == ("S", "SA")


def _quotes(error: Packet, sent: Packet) -> bool:
    quoted = TracedHeader.of(error.payload)
    return (quoted.identification, quoted.destination) == (sent.identification, sent.destination)


def _drop(passes: Sequence[tuple[Passage, NodeTraversal]]) -> JourneyEnd | None:
    for _, node in passes:
        for hook in node.hooks:
            for chain in hook.chains:
                if chain.end.drops:
                    return JourneyEnd(DROPPED, node.node, chain.decided_by, _without_a_listener(chain))
    return None


def _unread(passes: Sequence[tuple[Passage, NodeTraversal]], namespaces: Mapping[str, Namespace]) -> JourneyEnd | None:
    """Return the drop by a queue that the packet did not return from, or None."""
    if not passes or passes[-1][0].hooks[-1].after is not None:
        return None
    node = passes[-1][1]
    chains = node.hooks[-1].chains
    if (by := held_by(chains, ChainEnd.QUEUE)) is None:
        return None
    read = namespaces[node.node].run(queues.read)
    wanted = queues.numbers_in(_last(chains[-1]).spec)
    listening = sorted(number for number in read if number in wanted)
    if listening:
        return JourneyEnd(DROPPED, node.node, by, f"the program that reads queue {listening[0]} has not let it go on")
    named = f"{wanted[0]}" if len(wanted) == 1 else f"{wanted[0]} to {wanted[-1]}"
    return JourneyEnd(DROPPED, node.node, by, f"no program reads queue {named}")


def _let_through(node: NodeTraversal, destination: str) -> JourneyEnd:
    return JourneyEnd(
        LET_THROUGH, node.node, _let_through_by(node), f"no container with {destination} in this bed (give --host)"
    )


def _translated_to_none(
    passes: Sequence[tuple[Passage, NodeTraversal]], addresses: Collection[str]
) -> tuple[NodeTraversal, str] | None:
    """Return the node that sent the packet on, translated to an address that no node has, and this address."""
    for passage, node in passes:
        first, last = passage.hooks[0].header, passage.hooks[-1]
        if last.name not in ("POSTROUTING", "EGRESS") or last.after is None:
            continue
        if first.destination != last.after.destination and last.after.destination not in addresses:
            return node, last.after.destination
    return None


def _let_through_by(node: NodeTraversal) -> RuleReference | None:
    """Return the rule or policy by which the node's last filter chain let the packet pass; None if there is none."""
    accepting = None
    for hook in node.hooks:
        for chain in hook.chains if hook.hook in ("FORWARD", "OUTPUT") else ():
            if chain.end in (ChainEnd.ACCEPT, ChainEnd.POLICY_ACCEPT):
                accepting = chain.decided_by
    return accepting


def _without_a_listener(chain: ChainTraversal) -> str:
    """Return why a TPROXY rule dropped the packet: no socket listens. Empty for other rules."""
    if chain.end is not ChainEnd.DROP or (rule := _last(chain)).target != "TPROXY":
        return ""
    port = re.search(r"--on-port (\d+)", rule.spec)
    return f"no program listens on port {port[1]} of the proxy" if port else "no program listens for the proxy"


def _last(chain: ChainTraversal) -> Rule:
    """Return the rule that was evaluated last, here or in a chain that a jump led to."""
    _, asked = list(chain.every)[-1]
    return asked.rule


def held_by(chains: Sequence[ChainTraversal], end: ChainEnd) -> RuleReference | None:
    """Return the rule with which the last chain ended in this way (QUEUE, STOLEN), or None."""
    return chains[-1].last_rule if chains and chains[-1].end is end else None


def _compare(passes: Sequence[tuple[Passage, NodeTraversal]], arrived: tuple[str, Packet]) -> None:
    """Raise Disagreement unless the packet that left the last node is the captured packet."""
    if not passes:
        return
    node, packet = arrived
    last = passes[-1][0].hooks[-1]
    if last.after is None or (last.after.from_, last.after.to) != (packet.from_, packet.to):
        left = f"{last.after.from_} > {last.after.to}" if last.after is not None else f"nothing behind {last.name}"
        raise Disagreement(f"the trace of {passes[-1][1].node} ends with {left}, but {packet} arrived at {node}.")


def _answered(packets: Sequence[Packet]) -> str:
    return f"answered by {' and '.join(f'{p.kind} from {p.from_}' for p in packets)}" if packets else ""


def _unrouted(namespace: Namespace, passage: Passage, hook: HookTraversal, header: TracedHeader) -> str:
    """Return why a packet that PREROUTING let pass was neither forwarded nor local input, by the node's routing."""
    last = passage.hooks[-1]
    arrival = RouteLookup(header.source, header.destination, last.entered, hook.entered, last.mark)
    if refused := refusal(namespace, arrival):
        return refused
    if header.ttl <= 1:
        return "its time to live ran out"
    return f"the route to {header.destination} is good, but it was not forwarded"
