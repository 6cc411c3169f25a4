"""Send lost or copied probes again one by one with a full trace, to find where they ended and why."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.bed import Testbed
from testbed.behaviour.behaviour import ANSWER, NOT_JUDGED, Behaviour, spoken
from testbed.behaviour.behaviour import LET_THROUGH as PASSED
from testbed.behaviour.probes import Probe
from testbed.behaviour.referenced_values import Ports
from testbed.behaviour.witness import ProbeJourneys, ways
from testbed.observe.hook_summary import deciding, met
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, LOST, Journey

_COPIES_CAME_BACK = f"{NOT_JUDGED}: copies that a rule sent came back to the host"


def behaviours(bed: Testbed, probes: Sequence[Probe], taken: Ports) -> list[Behaviour]:
    """Return the behaviour of each probe; raise what tracing raises."""
    found = ways(bed, probes, taken)
    return [_behaviour(probe, found[str(probe)]) for probe in probes]


def _behaviour(probe: Probe, way: ProbeJourneys) -> Behaviour:
    if way.copies_came_back:
        return Behaviour(probe, _COPIES_CAME_BACK, ())
    question, answer = way.journeys
    if question is None:
        return Behaviour(probe, "is not sent: the kernel has no way there", ())
    by = tuple(decided for _, hook in question.hooks for decided in deciding(hook.chains))
    chains = [chain for _, hook in question.hooks for chain in hook.chains]
    if answer is not None and answer.end.kind == DROPPED:
        by = (*by, f"{ANSWER}{answer.end.by}")
    return Behaviour(probe, f"{_outcome(question)}{_reply(answer, question.origin)}", by, met=met(chains))


def _outcome(journey: Journey) -> str:
    end, arrived = journey.end, journey.arrived
    said = spoken(journey.answers)
    if end.kind == DELIVERED and arrived is not None:
        hidden = "" if arrived.source == journey.sent.source else f" from {arrived.source}"
        return f"reaches {end.where} at {arrived.to}{hidden}"
    if end.kind == DROPPED:
        return f"is rejected with {said}" if said else "is dropped"
    if end.kind == LET_THROUGH and any(change.startswith("destination ") for change in journey.translations):
        return f"{PASSED}; {end.why}"
    if end.kind == LET_THROUGH:
        last = journey.passes[-1].hooks[-1]
        return f"is lost: it left by {last.left}, and no node there has {(last.after or last.header).destination}"
    if end.kind == LOST:
        return f"is lost: {end.why}"
    return f"reaches {end.where} itself, {f'answered by {said}' if said else 'not answered'}"


def _reply(answer: Journey | None, asker: str) -> str:
    """Describe the outcome of the answer as outcome.py does; empty if none was given."""
    if answer is None:
        return ""
    seen = answer.arrived
    if answer.end.kind == LOCAL_INPUT and answer.end.where == asker:
        last = answer.passes[-1].hooks[-1]
        return f", answered from {(last.after or last.header).from_}"
    if answer.end.kind == DELIVERED and seen is not None:
        return f", answered from {seen.from_}" if answer.end.where == asker else f", its answer is {answer.end.place}"
    return f", its answer is {answer.end.kind if answer.end.kind in (DROPPED, LOCAL_INPUT) else LOST}"
