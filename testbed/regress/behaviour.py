"""What became of each probe: where it came out and as what, how it was answered, or what dropped it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.kernel.devices import write_sysctls
from testbed.observe.journey import DELIVERED, DROPPED, TAKEN_IN, ChainPass, Journey
from testbed.observe.tracing import Tracing
from testbed.regress.nobody import stand_for_nobody
from testbed.regress.probes import ICMP, INVALID, TCP, Probe
from testbed.topology import Port, Topology
from testbed.traffic import layers
from testbed.traffic.packet import Packet

_FINAL = ("accept", "drop")
# A kernel sends few errors a second to one address; here each question is to be answered as if it were the only one.
_ANSWER_ALWAYS = (("net.ipv4.icmp_ratemask", "0"),)  # Documentation/networking/ip-sysctl.rst
_SPOKEN = {"icmp 3/3": "port unreachable", "icmp 3/1": "host unreachable", "icmp 3/0": "network unreachable"}
_REDIRECT = "icmp 5/"  # no verdict, and a router does not send it every time (ip_rt_send_redirect, net/ipv4/route.c)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A probe and its outcome in words; `journey` is the witness's way.

    `by` are the rules and policies that decided, and behind `answer: ` the one that dropped the answer.
    """

    probe: Probe
    outcome: str
    by: tuple[str, ...]
    journey: Journey | None = None

    @property
    def reaches(self) -> bool:
        """Whether it comes through: to an end, or to a node's own kernel."""
        return self.outcome.startswith("reaches")


def behaviours(bed: Testbed, probes: Iterable[Probe], step: Callable[[], object] = lambda: None) -> list[Behaviour]:
    """Ask a bed each probe, one after the other; `step` is called after each.

    Raises what tracing raises: KernelRefused for a lost event, Disagreement when two witnesses differ.
    """
    found = []
    asked = tuple(probes)
    for router in (node.name for node in bed.topology.nodes if node.passes_on):
        bed.node(router).run(write_sysctls, _ANSWER_ALWAYS)
    stand_for_nobody(bed.host, bed.topology, {address for p in asked for address in (p.address, p.source) if address})
    with bed.tracing() as tracing:
        for probe in asked:
            found.append(_asked(bed, tracing, probe))
            step()
    return found


def _asked(bed: Testbed, tracing: Tracing, probe: Probe) -> Behaviour:
    number = bed.free_port()
    if bed.topology.node(probe.origin).passes_on:
        return _asked_by_kernel(bed, tracing, probe, number)
    journey = _by_script(bed, tracing, probe, number)
    return _behaviour(probe, journey, journey.answers, _answer(bed, tracing, probe, journey, number))


def _asked_by_kernel(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> Behaviour:
    """What the host's own kernel asks; what it answers itself is traced too."""
    before = len(tracing.journeys())
    try:
        bed.speak(probe.origin, probe.protocol, (probe.address, probe.port))
    except OSError:
        return Behaviour(probe, "is not sent: the kernel has no way there", ())
    first, *others = tracing.journeys()[before:]
    came_back = [other.sent for other in others if other.end.kind == TAKEN_IN and _answers(other, first)]
    return _behaviour(probe, first, came_back, _answer(bed, tracing, probe, first, number))


def _answers(other: Journey, first: Journey) -> bool:
    """Whether a packet answers another, as that left or as it came out: it goes the other way, or is about it."""
    asked, said = (list(journey.hooks) for journey in (first, other))
    if not asked or not said:
        return False
    header, left = said[0][1].header, (asked[0][1].header, asked[-1][1].after or asked[-1][1].header)
    if header.quoted is not None:
        return header.quoted == left[0].identification
    return (header.from_, header.to) in [(seen.to, seen.from_) for seen in left]


def _behaviour(probe: Probe, journey: Journey, came_back: Sequence[Packet], answered: Journey | None) -> Behaviour:
    dropping = [f"answer: {answered.end.by}"] if answered is not None and answered.end.kind == DROPPED else []
    by = (*_deciding(journey), *dropping)
    return Behaviour(probe, _outcome(probe, journey, came_back, answered), by, journey)


def _by_script(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> Journey:
    source = probe.source or bed.endpoint(probe.origin).address_towards(probe.address)
    packet = layers.IP(src=source, dst=probe.address) / _contents(probe, number)
    via = _host_beside(bed.topology, probe.origin) if probe.direct else None
    return tracing.journey(bed.send(probe.origin, packet, to=probe.origin, via=via))


def _host_beside(topology: Topology, node: str) -> str:
    """The host's address on the segment of a node's first interface."""
    return str(topology.nearest_kernel(Port(node, topology.node(node).interfaces[0].name)))


def _contents(probe: Probe, port: int) -> Any:
    if probe.protocol == TCP:
        return layers.TCP(sport=port, dport=probe.port, flags="SF" if probe.state == INVALID else "S", seq=1000)
    return layers.ICMP(type=8, id=port, seq=1) if probe.protocol == ICMP else layers.UDP(sport=port, dport=probe.port)


def _answer(bed: Testbed, tracing: Tracing, probe: Probe, journey: Journey, number: int) -> Journey | None:
    """What becomes of the answer of an end that the probe came to, where one can be given."""
    seen = journey.arrived
    if seen is None or journey.end.kind != DELIVERED or probe.state == INVALID or probe.source:
        return None
    back = layers.IP(src=seen.destination, dst=seen.source) / _answering(seen, number)
    return tracing.journey(bed.send(journey.end.where, back, to=journey.end.where))


def _answering(seen: Packet, number: int) -> Any:
    if seen.protocol == TCP:
        return layers.TCP(sport=seen.destination_port, dport=seen.source_port, flags="SA", seq=2000, ack=seen.seq + 1)
    if seen.protocol == ICMP:
        return layers.ICMP(type=0, id=number if seen.echo is None else seen.echo, seq=1)
    return layers.UDP(sport=seen.destination_port, dport=seen.source_port)


def _outcome(probe: Probe, journey: Journey, came_back: Sequence[Packet], answered: Journey | None) -> str:
    if journey.end.kind == DELIVERED and journey.arrived is not None:
        seen = journey.arrived
        hidden = "" if seen.source == journey.sent.source else f" from {seen.source}"
        return f"reaches {journey.end.where} at {seen.to}{hidden}{_reply(probe, answered)}"
    answers = (packet.kind for packet in came_back if not packet.kind.startswith(_REDIRECT))
    said = " and ".join(_SPOKEN.get(kind, kind) for kind in answers)
    if journey.end.kind == TAKEN_IN:
        return f"reaches {journey.end.where} itself, {f'answered by {said}' if said else 'not answered'}"
    if journey.end.kind == DROPPED:
        return f"is rejected with {said}" if said else "is dropped"
    return f"is lost: {journey.end.why}"


def _reply(probe: Probe, answered: Journey | None) -> str:
    if answered is None:
        return ""
    if answered.end.kind == DELIVERED and answered.end.where == probe.origin and answered.arrived is not None:
        return f", answered from {answered.arrived.from_}"
    if answered.end.kind == TAKEN_IN and answered.end.where == probe.origin:
        return f", answered from {_as_seen(answered)}"
    return f", its answer is {answered.end.kind}"


def _as_seen(answered: Journey) -> str:
    """From whom a node's own kernel sees an answer come, that no end captured."""
    last = answered.passes[-1].hooks[-1]
    return (last.after or last.header).from_


def _deciding(journey: Journey) -> Iterator[str]:
    """The rules with which chains ended, and the policies that dropped: by them the packet got where it did."""
    for _, hook in journey.hooks:
        for chain in hook.chains:
            yield from _ending(chain)


def _ending(chain: ChainPass) -> Iterator[str]:
    if chain.dropped_by_policy:
        yield f"{chain.table} :{chain.chain} DROP"
    elif chain.end in _FINAL:
        last, asked = list(chain.every)[-1]
        yield f"{last.table} {asked.rule.text}"
