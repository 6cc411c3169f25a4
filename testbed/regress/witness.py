"""Probes asked again, few at a time, to see their ways rule by rule: the witnesses of what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.kernel.devices import write_sysctls
from testbed.kernel.namespace import quarantine
from testbed.observe.journey import DELIVERED, TAKEN_IN, Journey
from testbed.observe.tracing import Tracing
from testbed.regress.campaign import Side
from testbed.regress.nobody import stand_for_nobody
from testbed.regress.probes import ICMP, INVALID, TCP, Probe
from testbed.topology import Port, Topology
from testbed.traffic import layers
from testbed.traffic.packet import Packet

_ANSWER_ALWAYS = (("net.ipv4.icmp_ratemask", "0"),)  # Documentation/networking/ip-sysctl.rst


@dataclass(frozen=True, slots=True)
class Way:
    """What became of a probe and of its answer, packet by packet.

    `question` is None where the asking node's kernel had no way there and sent nothing, `answer` where none was given.
    """

    question: Journey | None
    answer: Journey | None = None

    @property
    def reaches(self) -> bool:
        """Whether the question came through."""
        return self.question is not None and self.question.end.kind in (DELIVERED, TAKEN_IN)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        question, answer = (journey.as_dict() if journey is not None else None for journey in self.journeys)
        return {"question": question, "answer": answer}

    @property
    def journeys(self) -> tuple[Journey | None, Journey | None]:
        return self.question, self.answer

    @property
    def gone(self) -> tuple[Journey, ...]:
        """The journeys of what was sent."""
        return tuple(journey for journey in self.journeys if journey is not None)


Ways = Mapping[str, Way]  # by the probe's words


def witnesses(host: DockerHost, sides: Sequence[Side], probes: Sequence[Probe]) -> tuple[Ways, ...]:
    """The ways of these probes on each side, by the probes' words; raises what a bed and tracing raise."""
    topology = article.topology(host)
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        return tuple(ways(bed, probes) for bed in beds)


def ways(bed: Testbed, probes: Iterable[Probe]) -> Ways:
    """The ways of these probes on a bed, one after the other."""
    asked = tuple(probes)
    for router in (node.name for node in bed.topology.nodes if node.passes_on):
        bed.node(router).run(write_sysctls, _ANSWER_ALWAYS)
    stand_for_nobody(bed.host, bed.topology, {address for p in asked for address in (p.address, p.source) if address})
    with bed.tracing() as tracing:
        return {str(probe): _way(bed, tracing, probe) for probe in asked}


def _way(bed: Testbed, tracing: Tracing, probe: Probe) -> Way:
    number = bed.free_port()
    speaks = _by_kernel if bed.topology.node(probe.origin).passes_on else _by_script
    question = speaks(bed, tracing, probe, number)
    return Way(question, _answer(bed, tracing, probe, question, number) if question is not None else None)


def _by_kernel(bed: Testbed, tracing: Tracing, probe: Probe, _: int) -> Journey | None:
    """What a router's own kernel asks."""
    before = len(tracing.journeys())
    try:
        bed.speak(probe.origin, probe.protocol, (probe.address, probe.port))
    except OSError:
        return None
    return tracing.journeys()[before]


def _by_script(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> Journey:
    source = probe.source or bed.endpoint(probe.origin).address_towards(probe.address)
    via = _host_beside(bed.topology, probe.origin) if probe.direct else None
    packet = _between(source, probe.address) / question(probe, number)
    return tracing.journey(bed.send(probe.origin, packet, to=probe.origin, via=via))


def _host_beside(topology: Topology, node: str) -> str:
    """The host's address on the segment of a node's first interface."""
    return str(topology.nearest_kernel(Port(node, topology.node(node).interfaces[0].name)))


def question(probe: Probe, number: int) -> Any:
    """What a probe says, above IP; `number` is its port, or its identifier."""
    if probe.protocol == TCP:
        return layers.TCP(sport=number, dport=probe.port, flags="SF" if probe.state == INVALID else "S", seq=1000)
    return _echo(probe.address, number) if probe.protocol == ICMP else layers.UDP(sport=number, dport=probe.port)


def _answer(bed: Testbed, tracing: Tracing, probe: Probe, asked: Journey, number: int) -> Journey | None:
    """The way of the answer of an end that the probe came to, where one can be given."""
    seen = asked.arrived
    if seen is None or asked.end.kind != DELIVERED or probe.state == INVALID or probe.source:
        return None
    packet = _between(seen.destination, seen.source) / answer(seen, number)
    return tracing.journey(bed.send(asked.end.where, packet, to=asked.end.where))


def answer(seen: Packet, number: int) -> Any:
    """What an end answers to the packet that it saw, above IP."""
    if seen.protocol == TCP:
        return layers.TCP(sport=seen.destination_port, dport=seen.source_port, flags="SA", seq=2000, ack=seen.seq + 1)
    if seen.icmp is not None:
        return _echo(seen.source, number, reply=True)
    return layers.UDP(sport=seen.destination_port, dport=seen.source_port)


def _echo(address: str, number: int, reply: bool = False) -> Any:
    if ":" in address:
        return layers.ICMPv6EchoRequest(type=129 if reply else 128, id=number, seq=1)
    return layers.ICMP(type=0 if reply else 8, id=number, seq=1)


def _between(source: str, destination: str) -> Any:
    of_ip = layers.IPv6 if ":" in destination else layers.IP
    return of_ip(src=source, dst=destination)
