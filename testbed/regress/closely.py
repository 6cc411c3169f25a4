"""Packets that were lost, asked again one by one with all that can be known of them: where they ended, and why."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.bed import Testbed
from testbed.observe.brief import deciding
from testbed.observe.journey import DELIVERED, DROPPED, LOST, Journey
from testbed.observe.tracing import Tracing
from testbed.regress import packets
from testbed.regress.behaviour import Behaviour
from testbed.regress.probes import Probe
from testbed.traffic.layers import IP, IPv6


def behaviours(bed: Testbed, probes: Sequence[Probe]) -> list[Behaviour]:
    """What becomes of each; raises what tracing raises."""
    with bed.tracing() as tracing:
        return [_asked(bed, tracing, probe) for probe in probes]


def _asked(bed: Testbed, tracing: Tracing, probe: Probe) -> Behaviour:
    number = bed.free_port()
    if probe.origin == bed.topology.host:
        journey = _by_kernel(bed, tracing, probe, number)
    else:
        data, via = packets.question(bed, probe, number)
        packet = IPv6(data) if ":" in probe.address else IP(data)
        journey = tracing.journey(bed.send(probe.origin, packet, to=probe.origin, via=via))
    if journey is None:
        return Behaviour(probe, "is not sent: the kernel has no way there", ())
    by = tuple(decided for _, hook in journey.hooks for decided in deciding(hook.chains))
    return Behaviour(probe, _outcome(journey), by)


def _by_kernel(bed: Testbed, tracing: Tracing, probe: Probe, number: int) -> Journey | None:
    """The journey of what the host's own kernel asks; None: it does not."""
    before = len(tracing.journeys())
    asking = bed.host.run(packets.speak, [(probe, number)], bed.processor)
    bed.settle_everywhere()
    found = tracing.journeys()[before:]
    bed.host.run(packets.hang_up, [spoken.opened for spoken in asking], bed.processor)
    return found[0] if found else None


def _outcome(journey: Journey) -> str:
    end, arrived = journey.end, journey.arrived
    said = " and ".join(packet.kind for packet in journey.answers)
    if end.kind == DELIVERED and arrived is not None:
        return f"reaches {end.where} at {arrived.to}"
    if end.kind in (DROPPED, LOST):
        return f"is rejected with {said}" if end.by and said else f"is {end.kind}{f': {end.why}' if end.why else ''}"
    return f"reaches {end.where} itself, {f'answered by {said}' if said else 'not answered'}"
