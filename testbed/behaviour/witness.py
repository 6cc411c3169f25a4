"""Send probes again, few at a time, and record their journeys rule by rule: the witnesses of differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from testbed.bed import Testbed
from testbed.behaviour import packets
from testbed.behaviour.probe_setup import made_ready
from testbed.behaviour.probes import NEW, Probe
from testbed.behaviour.referenced_values import Ports, free_port
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost, article
from testbed.kernel.namespace import quarantine
from testbed.observe import journey_end
from testbed.observe.journey import DELIVERED, LOCAL_INPUT, Journey
from testbed.observe.tracing import Tracing
from testbed.rules import environment
from testbed.traffic import layers


@dataclass(frozen=True, slots=True)
class ProbeJourneys:
    """The journeys of a probe's question and of its answer.

    `question` is None if the sending node's kernel had no route and sent nothing, `answer` if there was none.
    `copies_came_back`: copies that a rule sent (TEE, `dup to`) entered the host again. A copy is then
    indistinguishable from its packet, and the journeys may be the copies'.
    `earlier` are the journeys of the packets that the question's connection needed before it.
    """

    question: Journey | None
    answer: Journey | None = None
    copies_came_back: bool = False
    earlier: tuple[Journey, ...] = ()

    @property
    def reaches(self) -> bool:
        """Return whether the question was delivered."""
        return self.question is not None and self.question.end.kind in (DELIVERED, LOCAL_INPUT)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        question, answer = (journey.as_dict() if journey is not None else None for journey in self.journeys)
        return {"question": question, "answer": answer}

    @property
    def journeys(self) -> tuple[Journey | None, Journey | None]:
        return self.question, self.answer

    @property
    def gone(self) -> tuple[Journey, ...]:
        """Return the journeys of the packets that were sent."""
        return tuple(journey for journey in self.journeys if journey is not None)


Ways = Mapping[str, ProbeJourneys]  # by the probe's text


def witnesses(
    host: DockerHost, sides: Sequence[RulesetVariant], probes: Sequence[Probe], taken: Ports = ()
) -> tuple[Ways, ...]:
    """Return the journeys of these probes on each side, by the probes' text; raise what a bed and tracing raise."""
    topology = environment.with_missing_bridges(article.topology(host), [side.rules for side in sides])
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        return tuple(ways(bed, probes, taken) for bed in beds)


def ways(bed: Testbed, probes: Iterable[Probe], taken: Ports = ()) -> Ways:
    """Return the journeys of these probes on a bed, sent one after the other, from none of the `taken` ports."""
    asked = tuple(probes)
    made_ready(bed, asked)
    with bed.tracing() as tracing:
        return {str(probe): _way(bed, tracing, probe, free_port(bed.free_port, taken)) for probe in asked}


def _way(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> ProbeJourneys:
    before = len(tracing.journeys())
    if probe.origin == bed.topology.host:
        question = _by_kernel(bed, tracing, probe, number)
    else:
        data, via = packets.question(bed, probe, number)
        question = tracing.journey(bed.send(layers.of(data), probe.origin, via=via))
    answer = _answer(bed, tracing, probe, question, number) if question is not None else None
    return ProbeJourneys(question, answer, _copies_came_back(bed.topology.host, tracing.journeys()[before:]))


def _copies_came_back(host: str, journeys: Sequence[Journey]) -> bool:
    """Return whether one copied packet entered the host with two times to live: a router sent a copy back."""
    entered: dict[tuple[str, str, int], set[int]] = {}
    for journey in journeys:
        sent = journey.sent
        times = entered.setdefault((sent.from_, sent.to, sent.identification), set())
        times.update(hook.header.ttl for one, hook in journey.hooks if (one.node, hook.hook) == (host, "PREROUTING"))
    return any(journey.copies for journey in journeys) and any(len(times) > 1 for times in entered.values())


def _by_kernel(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> Journey | None:
    """Return the journey of what the host's own kernel sends, with its answers; None if it has no route."""
    before = len(tracing.journeys())
    asking = bed.host.run(packets.speak, [(probe, number)], bed.processor)
    bed.settle_everywhere()
    found = tracing.journeys()[before:]
    bed.host.run(packets.hang_up, [spoken.opened for spoken in asking], bed.processor)
    if not found:
        return None
    asked, *others = found
    return replace(asked, answers=tuple(other.sent for other in others if not other.is_copy and _answers(other, asked)))


def _answers(other: Journey, asked: Journey) -> bool:
    """Whether a packet that the host's kernel sent itself answers what it had asked."""
    header = next(hook.header for _, hook in other.hooks)
    if header.is_error:
        return header.quoted == asked.sent.identification
    return any(journey_end.answers(asked.sent, [other.sent]))


def _answer(bed: Testbed, tracing: Tracing, probe: Probe, asked: Journey, number: int) -> Journey | None:
    """Return the journey of the receiving endpoint's answer; None if an answer is impossible."""
    seen = asked.arrived
    if seen is None or asked.end.kind != DELIVERED or probe.state != NEW or probe.source:
        return None
    if (asked.end.where, seen.source) == (asked.origin, asked.sent.source):
        return None  # a node does not answer a packet with its own source address
    data = packets.answer(bed, probe, number, asked.end.where, seen)
    return tracing.journey(bed.send(layers.of(data), asked.end.where))
