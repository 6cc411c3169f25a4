"""Send probes through a bed in waves, and retrace the lost ones one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from testbed.bed import Testbed
from testbed.behaviour import retrace
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.flows import Flows, ProbeFlow
from testbed.behaviour.outcome import Outcomes
from testbed.behaviour.probe_setup import made_ready
from testbed.behaviour.probes import Probe
from testbed.behaviour.referenced_values import Ports

AT_ONCE = 128  # probes in a wave: a kernel retransmits a question after one second
_MAX_IDLE_ROUNDS = 10  # rounds without progress, after which the last behaviour found counts


def behaviours(
    bed: Testbed,
    probes: Iterable[Probe],
    step: Callable[[], object] = lambda: None,
    at_once: int = AT_ONCE,
    taken: Ports = (),
) -> list[Behaviour]:
    """Return the behaviour of each probe on a bed.

    `at_once` probes are on their way at a time, from none of the `taken` ports. `step` is called once for each probe.
    Raise what tracing raises: KernelRefused for a lost event, Disagreement if trace and counters differ.
    """
    asked = tuple(probes)
    made_ready(bed, asked)
    found = _asked(bed, asked, step, at_once, taken)
    lost = [probe for probe in asked if probe not in found]
    if lost:
        found |= {behaviour.probe: behaviour for behaviour in retrace.behaviours(bed, lost, taken)}
        for _ in lost:
            step()
    return [found[probe] for probe in asked]


def _asked(
    bed: Testbed, asked: Sequence[Probe], step: Callable[[], object], at_once: int, taken: Ports
) -> dict[Probe, Behaviour]:
    """Return the known behaviours; repeat probes with a lost packet or one mistaken for another flow's."""
    outcomes, found = Outcomes(bed), dict[Probe, Behaviour]()
    last: dict[Probe, Behaviour] = {}
    left, fruitless = list(asked), 0
    while left and fruitless < _MAX_IDLE_ROUNDS:
        again: list[Probe] = []
        for flow in _flows(bed, left, at_once, taken):
            behaviour, astray = outcomes.of(flow), outcomes.astray(flow)
            if behaviour is not None:
                (last if astray else found)[flow.probe] = behaviour
            if astray or flow.doubtful:
                again.append(flow.probe)
            elif behaviour is not None:
                step()
        fruitless = fruitless + 1 if len(again) == len(left) else 0
        left = again
    return last | found


def _flows(bed: Testbed, probes: Sequence[Probe], at_once: int, taken: Ports) -> Iterator[ProbeFlow]:
    with Flows(bed, taken) as flows:
        for start in range(0, len(probes), at_once):
            yield from flows.ask(probes[start : start + at_once])
