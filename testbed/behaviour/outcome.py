"""Derive the outcome of a flow, as text, from its trace and its arrivals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from testbed.bed import Testbed
from testbed.behaviour.behaviour import ANSWER, ERROR, LET_THROUGH, Behaviour, spoken
from testbed.behaviour.flows import ECHO_REPLIES, Passed, ProbeFlow
from testbed.kernel import routes
from testbed.observe.header import TracedHeader
from testbed.topology import Port

_REDIRECT = 5  # a redirect is no verdict, and a router omits some (ip_rt_send_redirect, net/ipv4/route.c)


class Outcomes:
    """Describes the outcomes of one bed's flows."""

    def __init__(self, bed: Testbed) -> None:
        self._topology = bed.topology
        self._host = bed.topology.host
        self._devices = {index: name for name, index in bed.topology.node(self._host).indexes.items()} | {1: "lo"}
        self._scripted = {str(a.ip) for n in bed.topology.nodes for i in n.interfaces for a in i.scripted}
        self._refusal = lru_cache(maxsize=None)(lambda arrival: routes.refusal(bed.host, arrival))
        self._alone = lru_cache(maxsize=None)(self._without_a_router)

    def of(self, flow: ProbeFlow) -> Behaviour | None:
        """Return the behaviour; None if it needs more than was observed."""
        if flow.doubtful or flow.copied:
            return None
        if flow.asked is None:
            return Behaviour(flow.probe, "is not sent: the kernel has no way there", ()) if flow.refused else None
        ways = flow.ways_of(flow.asked)
        outcome = self._outcome(flow, flow.asked, ways)
        if outcome is None:
            return None
        by = tuple(decided for way in ways for brief in way.briefs for decided in brief.deciding)
        entered = frozenset(chain for way in flow.passed for brief in way.briefs for chain in brief.entered)
        met = frozenset(rule for way in flow.passed for brief in way.briefs for rule in brief.met)
        return Behaviour(flow.probe, outcome, (*by, *_dropped_answers(flow)), entered, met)

    def astray(self, flow: ProbeFlow) -> bool:
        """Return whether a packet left for an existing node and did not arrive, or arrived too late to be answered.

        A network loses and delays packets now and then.
        """
        if flow.copied:
            return False
        if flow.unanswered:
            return True
        by_scripts = (flow.answered, flow.erred, flow.asked if flow.probe.origin != self._host else None)
        for sent in filter(None, by_scripts):
            if not flow.ways_of(sent) and flow.arrival_of(sent) is None:
                return True
        last = ((way.passage.hooks[-1], way.passage) for way in flow.passed if way.ends_in == "POSTROUTING")
        there = {arrival.header.cookie for arrival in flow.arrivals}
        return any(
            hook.after is not None and hook.after.destination in self._scripted and passage.cookie not in there
            for hook, passage in last
        )

    def _outcome(self, flow: ProbeFlow, asked: TracedHeader, ways: list[Passed]) -> str | None:
        dropped, arrival = _dropped_by(ways), flow.arrival_of(asked)
        if arrival is not None and not dropped:
            hidden = "" if arrival.header.source == asked.source else f" from {arrival.header.source}"
            return f"reaches {arrival.node} at {arrival.header.to}{hidden}{self._reply(flow)}"
        came_back = list(self._came_back(flow, asked, ways))
        said = spoken(came_back)
        if dropped:
            return f"is rejected with {said}" if said else "is dropped"
        if ways and ways[-1].ends_in == "INPUT":
            return f"reaches {self._host} itself, {f'answered by {said}' if said else 'not answered'}"
        if ways and (missing := self._missing(asked, ways[-1])):
            return f"{LET_THROUGH}; no container with {missing} in this bed (give --host)"
        why = self._lost(ways[-1]) if ways else ""
        answers = " and ".join(f"{packet.kind} from {packet.from_}" for packet in came_back)
        return f"is lost: {why}{f' and answered by {answers}' if answers else ''}" if why else None

    def _reply(self, flow: ProbeFlow) -> str:
        """Describe the answer's outcome, and that of errors about the question if it differs."""
        if flow.answered is None:
            return ""
        answer, error = self._heard(flow, flow.answered), self._heard(flow, flow.erred) if flow.erred else None
        told = f", answered from {answer.from_}" if answer else f", its answer is {self._fate(flow, flow.answered)}"
        if flow.erred is None or (answer and answer.source) == (error and error.source):
            return told
        fate = f"come from {error.source}" if error else f"are {self._fate(flow, flow.erred)}"
        return f"{told}, errors {fate}"

    def _heard(self, flow: ProbeFlow, sent: TracedHeader) -> TracedHeader | None:
        """Return an answer as the sender of the question received it; None if it did not."""
        arrival, ways = flow.arrival_of(sent), flow.ways_of(sent)
        if arrival is not None and arrival.node == flow.probe.origin:
            return arrival.header
        if arrival is None and ways and ways[-1].ends_in == "INPUT" and flow.probe.origin == self._host:
            last = ways[-1].passage.hooks[-1]
            return last.after or last.header
        return None

    def _fate(self, flow: ProbeFlow, sent: TracedHeader) -> str:
        """Describe the outcome of an answer that the sender of the question did not receive."""
        arrival, ways = flow.arrival_of(sent), flow.ways_of(sent)
        if _dropped_by(ways):
            return "dropped"
        if arrival is not None:
            return f"delivered to {arrival.node}"
        return "taken in" if ways and ways[-1].ends_in == "INPUT" else "lost"

    def _came_back(self, flow: ProbeFlow, asked: TracedHeader, ways: list[Passed]) -> Iterator[TracedHeader]:
        """Yield the packets that the sender of the question received in return."""
        if flow.probe.origin != self._host:
            for arrival in flow.arrivals:
                if arrival.node == flow.probe.origin and _answers(arrival.header, arrival.quoted, [asked], flow):
                    yield arrival.header
            return
        seen = [asked, *(hook.after for way in ways for hook in way.passage.hooks if hook.after is not None)]
        for passed in flow.passed:
            header = passed.passage.hooks[0].header
            if passed not in ways and passed.ends_in == "INPUT" and _answers(header, None, seen, flow):
                yield header

    def _missing(self, asked: TracedHeader, last: Passed) -> str:
        """Return the address that a packet was translated to and left for if no node has it; else an empty string."""
        hook = last.passage.hooks[-1]
        left = self._devices.get(hook.left, "")
        if hook.after is None or hook.name != "POSTROUTING" or hook.after.destination == asked.destination:
            return ""
        return hook.after.destination if self._alone(left) else ""

    def _lost(self, last: Passed) -> str:
        hook = last.passage.hooks[-1]
        device = self._devices.get(hook.left or hook.entered, "")
        if hook.after is None:
            return ""
        if hook.name == "POSTROUTING" and self._alone(device):
            return f"it left by {device}, and no node there has {hook.after.destination}"
        if hook.name == "PREROUTING":
            source, destination = hook.after.source, hook.after.destination
            return self._refusal(routes.RouteLookup(source, destination, hook.entered, device, hook.mark))
        return ""

    def _without_a_router(self, device: str) -> bool:
        """Return whether the host is the only router on a device's segment: packets that leave there end there."""
        beside = self._topology.segment(Port(self._host, device)) if device != "lo" else ()
        return not any(node.passes_on and node.name != self._host for node, _ in beside)


def _dropped_answers(flow: ProbeFlow) -> Iterator[str]:
    """Yield the rules that dropped the answer and the errors; a rule that dropped both only once."""
    answer, error = (_dropped_by(flow.ways_of(sent)) if sent else "" for sent in (flow.answered, flow.erred))
    if answer:
        yield f"{ANSWER}{answer}"
    if error and error != answer:
        yield f"{ERROR}{error}"


def _dropped_by(ways: Iterable[Passed]) -> str:
    return next((brief.dropped_by for way in ways for brief in way.briefs if brief.dropped_by), "")


def _answers(header: TracedHeader, quoted: TracedHeader | None, asked: Iterable[TracedHeader], flow: ProbeFlow) -> bool:
    """Return whether a packet answers a question: it is the first packet in reply direction, or an error about it."""
    if header.icmp is not None and header.icmp[0] == _REDIRECT and header.protocol == "icmp":
        return False
    if header.is_error:
        about = quoted.identification if quoted is not None else header.quoted
        return any(about == sent.identification for sent in asked)
    if (header.from_, header.to) not in [(sent.to, sent.from_) for sent in asked]:
        return False
    if header.icmp is not None:
        return header.icmp in ECHO_REPLIES and header.echo == flow.number
    return header.protocol != "tcp" or "R" in header.flags or header.flags == "SA"
