"""Send many probes at once, each as a flow of its own, and collect their traces and arrivals.

A flow is identified by a port, or an echo identifier, that no other flow has. Rules cannot make one flow depend on
another, except rules that count packets. With such rules the probes are sent one by one (see probing.py).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address

from testbed.bed import Testbed
from testbed.behaviour import packets
from testbed.behaviour.probes import ICMP, NEW, Probe
from testbed.behaviour.referenced_values import Ports, free_port
from testbed.errors import TestbedError, TopologyError
from testbed.kernel.packets import on_cpu
from testbed.kernel.programs import LEGACY
from testbed.kernel.tracer import Tracer
from testbed.observe.crosscheck import agree
from testbed.observe.demultiplexer import Cookie, Passage, TraceDemultiplexer
from testbed.observe.header import TracedHeader
from testbed.observe.hook_summary import HookReader, HookSummary
from testbed.rules.counters import ZERO, Counters
from testbed.rules.reading import CounterLine, CounterReading

ECHO_REPLIES = ((0, 0), (129, 0))  # of ICMP and ICMPv6
_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """A packet as it arrived at an endpoint; `quoted` is the header that an ICMP error quotes."""

    node: str
    header: TracedHeader
    data: bytes
    quoted: TracedHeader | None


@dataclass(frozen=True, slots=True)
class Passed:
    """A packet's passage through the host, with a summary of each hook."""

    passage: Passage
    briefs: tuple[HookSummary, ...]

    @property
    def ends_in(self) -> str:
        """Return the hook that the packet left last; empty if it did not leave its last hook."""
        last = self.passage.hooks[-1]
        return last.name if last.after is not None else ""


@dataclass(slots=True)
class ProbeFlow:
    """A probe with the packets of its flow.

    `asked`, `answered` and `erred` are the question, the answer, and an error about the question, as they were sent.
    The last two exist only if the question arrived and can have them. `doubtful`: packets of the flow could not be told
    from another flow's. `copied`: rules sent copies of packets of the flow. `mute`: the node that received the question
    has no route to its sender.
    """

    probe: Probe
    number: int
    asked: TracedHeader | None = None
    answered: TracedHeader | None = None
    erred: TracedHeader | None = None
    refused: bool = False
    doubtful: bool = False
    copied: bool = False
    mute: bool = False
    arrivals: list[CapturedPacket] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)

    def ways_of(self, sent: TracedHeader) -> list[Passed]:
        """Return the passages of one of the flow's packets through the host, in order."""
        return [own for own in self.passed if own.passage.cookie == sent.cookie]

    def arrival_of(self, sent: TracedHeader) -> CapturedPacket | None:
        """Return where one of the flow's packets was delivered; None if it was not."""
        return next((own for own in self.arrivals if own.header.cookie == sent.cookie), None)

    @property
    def question_arrived(self) -> CapturedPacket | None:
        """Return where the question was delivered, if an answer is possible.

        A node does not answer a packet that carries its own address as source.
        """
        if self.asked is None or self.probe.state != NEW or self.probe.source or self.mute:
            return None
        came = self.arrival_of(self.asked)
        own = came is not None and (came.node, came.header.source) == (self.probe.origin, self.asked.source)
        return None if own else came

    @property
    def unanswered(self) -> bool:
        """Return whether the question arrived too late to be answered."""
        due = (self.answered,) if self.probe.protocol == ICMP else (self.answered, self.erred)
        return self.question_arrived is not None and None in due


class Flows:
    """A context manager that sends waves of probes, and traces and counts all packets of the host meanwhile.

    Raise KernelRefused for a lost trace message or frame, Disagreement if rules did not count what was traced.
    """

    def __init__(self, bed: Testbed, taken: Ports = ()) -> None:
        """`taken` are ranges of ports that no flow may have."""
        self._bed = bed
        self._taken = taken
        self._topology = bed.topology
        self._ends = [bed.endpoint(n.name) for n in bed.topology.nodes if not n.passes_on and n.name != self._host]
        self._book = bed.backend.book(bed.host)
        self._reader = HookReader(self._book)
        self._counts_early = bed.loaded.syntax.counts_before_the_end
        self._flows: dict[int, ProbeFlow] = {}
        self._sent: dict[Cookie, ProbeFlow] = {}
        self._passages: list[Passage] = []
        self._stack = ExitStack()

    @property
    def _host(self) -> str:
        return self._topology.host

    def __enter__(self) -> Flows:
        self._bed.settle_everywhere()
        list(self._frames())
        legacy = self._bed.backend.name == LEGACY
        tracer = Tracer(self._bed.host, legacy=legacy, tracking=False, devices=self._book.devices)
        self._stack.callback(tracer.close)
        self._sorter = TraceDemultiplexer(self._host, tracer, self._book.copies)
        self._before = self._counters()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, probes: Sequence[Probe]) -> list[ProbeFlow]:
        """Send all questions, then answers to those that arrived, then errors about them; return the flows in order."""
        flows = [ProbeFlow(probe, number) for probe, number in zip(probes, self._numbers(probes), strict=True)]
        self._flows = {flow.number: flow for flow in flows}
        self._sent.clear()
        self._passages.clear()
        with ExitStack() as speaking:
            with on_cpu(self._bed.processor):
                for flow in flows:
                    if flow.probe.origin != self._host:
                        self._put(flow)
            speaking.callback(self._bed.host.run, packets.hang_up, self._spoken(flows), self._bed.processor)
            self._look()
            for reply in (self._answer, self._err):
                with on_cpu(self._bed.processor):
                    for flow, came in [(flow, came) for flow in flows if (came := flow.question_arrived)]:
                        reply(flow, came)
                self._look()
        self._check(self._counters())
        return flows

    # Sending.

    def _numbers(self, probes: Iterable[Probe]) -> Iterator[int]:
        taken = {probe.port for probe in probes}
        for _ in probes:
            while (number := free_port(self._bed.free_port, self._taken)) in taken:
                pass
            yield number

    def _spoken(self, flows: Sequence[ProbeFlow]) -> list[socket.socket]:
        """Have the host's own kernel send its questions; return the sockets, to be kept until answers have come."""
        own = [flow for flow in flows if flow.probe.origin == self._host]
        asking = self._bed.host.run(packets.speak, [(flow.probe, flow.number) for flow in own], self._bed.processor)
        for flow, spoken in zip(own, asking, strict=True):
            flow.refused = spoken.refused
        return [spoken.opened for spoken in asking]

    def _put(self, flow: ProbeFlow) -> None:
        data, via = packets.question(self._bed, flow.probe, flow.number)
        flow.asked = self._known(flow, data)
        self._bed.endpoint(flow.probe.origin).put(data, flow.probe.address, via)

    def _answer(self, flow: ProbeFlow, came: CapturedPacket) -> None:
        if not self._has_way_back(came):
            flow.mute = True
            return
        data = packets.answer(self._bed, flow.probe, flow.number, came.node, came.header)
        flow.answered = self._known(flow, data)
        self._bed.endpoint(came.node).put(data, came.header.source)

    def _has_way_back(self, came: CapturedPacket) -> bool:
        """Return whether the node that received a question has a route to its sender."""
        try:
            self._topology.next_hop(came.node, ip_address(came.header.source))
        except TopologyError:
            return False
        return True

    def _err(self, flow: ProbeFlow, came: CapturedPacket) -> None:
        if flow.probe.protocol == ICMP:
            return
        data = packets.error(self._bed, came.node, came.header, came.data)
        flow.erred = self._known(flow, data)
        self._bed.endpoint(came.node).put(data, came.header.source)

    def _known(self, flow: ProbeFlow, data: bytes) -> TracedHeader:
        header = TracedHeader.of(data)
        self._sent[header.cookie] = flow
        return header

    # Receiving.

    def _look(self) -> bool:
        """Wait until no packet is on its way, and read traces and arrivals; return whether anything was traced."""
        self._bed.settle_everywhere()
        for passage in self._sorter.passages():
            self._passages.append(passage)
            if passage.hooks[0].name == "OUTPUT" and passage.copy_of is None:
                self._seen_leaving(passage.hooks[0].header)
        for arrival in self._frames():
            flow = self._flow_of(arrival.header) or (self._flow_of(arrival.quoted) if arrival.quoted else None)
            if flow is not None:
                flow.arrivals.append(arrival)
        return self._sorter.heard

    def _seen_leaving(self, header: TracedHeader) -> None:
        """Record a question that the host's own kernel sent, with the identifiers that the kernel chose."""
        flow = self._flows.get(header.source_port or header.echo or 0)
        if flow is None or flow.asked is not None or header.icmp in ECHO_REPLIES:
            return
        if (other := self._sent.get(header.cookie)) is not None:
            flow.doubtful = other.doubtful = True
        flow.asked = header
        self._sent[header.cookie] = flow

    def _flow_of(self, header: TracedHeader) -> ProbeFlow | None:
        if header.cookie in self._sent:
            return self._sent[header.cookie]
        for number in (header.source_port, header.destination_port, header.echo):
            if number in self._flows:
                return self._flows[number]
        if header.quoted is None:
            return None
        about = [flow for flow in self._flows.values() if flow.asked and flow.asked.identification == header.quoted]
        for flow in about[1:]:
            flow.doubtful = about[0].doubtful = True
        return about[0] if about else None

    def _frames(self) -> Iterator[CapturedPacket]:
        for end in self._ends:
            for data, outgoing in end.taken():
                if not outgoing:
                    header = TracedHeader.of(data)
                    yield CapturedPacket(
                        end.node, header, data, TracedHeader.quoted_in(data) if header.is_error else None
                    )

    # Counting.

    def _counters(self) -> CounterReading:
        """Read the counters at a moment when every counted packet has been traced."""
        for _ in range(_ATTEMPTS):
            self._look()
            counted = self._bed.raw_counters()
            if not self._look():
                return counted
        raise TestbedError("the host never stops passing packets on.", "Ask when nothing else uses the bed.")

    def _check(self, now: CounterReading) -> None:
        """Read the passages, and compare them with the counters."""
        traced: dict[CounterLine, Counters] = {}
        longer: set[CounterLine] = set()
        for passage in self._passages:
            briefs = tuple(self._reader.read(hook) for hook in passage.hooks)
            for hook, brief in zip(passage.hooks, briefs, strict=True):
                longer.update(brief.longer)
                for line in brief.counted:
                    traced[line] = traced.get(line, ZERO) + Counters(1, hook.header.length)
            flow = self._flow_of(passage.hooks[0].header)
            if flow is not None:
                flow.copied |= passage.copy_of is not None
                if passage.copy_of is None:
                    flow.passed.append(Passed(passage, briefs))
        agree(traced, now - self._before, self._counts_early, longer)
        self._before = now
