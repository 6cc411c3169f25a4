"""Send lost probes again one by one with a full trace, to find where they ended and why."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.bed import Testbed
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probes import Probe
from testbed.behaviour.referenced_values import Ports
from testbed.behaviour.witness import ways
from testbed.observe.hook_summary import deciding, met
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOST, Journey


def behaviours(bed: Testbed, probes: Sequence[Probe], taken: Ports) -> list[Behaviour]:
    """Return the behaviour of each probe; raise what tracing raises."""
    found = ways(bed, probes, taken)
    return [_behaviour(probe, found[str(probe)].question) for probe in probes]


def _behaviour(probe: Probe, question: Journey | None) -> Behaviour:
    if question is None:
        return Behaviour(probe, "is not sent: the kernel has no way there", ())
    by = tuple(decided for _, hook in question.hooks for decided in deciding(hook.chains))
    chains = [chain for _, hook in question.hooks for chain in hook.chains]
    return Behaviour(probe, _outcome(question), by, met=met(chains))


def _outcome(journey: Journey) -> str:
    end, arrived = journey.end, journey.arrived
    said = " and ".join(packet.kind for packet in journey.answers)
    if end.kind == DELIVERED and arrived is not None:
        return f"reaches {end.where} at {arrived.to}"
    if end.kind == DROPPED:
        return f"is rejected with {said}" if said else "is dropped"
    if end.kind == LET_THROUGH:
        last = journey.passes[-1].hooks[-1]
        return f"is lost: it left by {last.left}, and nobody there has {(last.after or last.header).destination}"
    if end.kind == LOST:
        return f"is lost: {end.why}"
    return f"reaches {end.where} itself, {f'answered by {said}' if said else 'not answered'}"
