"""A bed asked probes: many at once, those that were lost once more by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from testbed.bed import Testbed
from testbed.kernel.devices import write_sysctls
from testbed.regress import closely
from testbed.regress.behaviour import Behaviour
from testbed.regress.flows import Flows
from testbed.regress.nobody import stand_for_nobody
from testbed.regress.outcome import Outcomes
from testbed.regress.probes import Probe

AT_ONCE = 128  # probes in a wave: a kernel repeats what it asks after a second
# A kernel sends few errors a second to one address; here each question is to be answered as if it were the only one
# (Documentation/networking/ip-sysctl.rst).
_ANSWER_ALWAYS = (("net.ipv4.icmp_ratemask", "0"), ("net.ipv6.icmp.ratemask", ""))


def behaviours(
    bed: Testbed, probes: Iterable[Probe], step: Callable[[], object] = lambda: None, at_once: int = AT_ONCE
) -> list[Behaviour]:
    """Ask a bed each probe, `at_once` of them at a time; `step` is called for each.

    Raises what tracing raises: KernelRefused for a lost event, Disagreement when two witnesses differ.
    """
    asked = tuple(probes)
    for router in (node.name for node in bed.topology.nodes if node.passes_on):
        bed.node(router).run(write_sysctls, _ANSWER_ALWAYS)
    stand_for_nobody(bed.host, bed.topology, {address for p in asked for address in (p.address, p.source) if address})
    found: dict[Probe, Behaviour] = {}
    _ask(bed, asked, at_once, found, step)
    _ask(bed, [probe for probe in asked if probe not in found], 1, found, step)  # what could not be told apart
    lost = [probe for probe in asked if probe not in found]
    if lost:
        found |= {behaviour.probe: behaviour for behaviour in closely.behaviours(bed, lost)}
        for _ in lost:
            step()
    return [found[probe] for probe in asked]


def _ask(
    bed: Testbed, probes: Sequence[Probe], at_once: int, found: dict[Probe, Behaviour], step: Callable[[], object]
) -> None:
    if not probes:
        return
    outcomes = Outcomes(bed)
    with Flows(bed) as flows:
        for start in range(0, len(probes), at_once):
            for flow in flows.ask(probes[start : start + at_once]):
                behaviour = outcomes.of(flow)
                if behaviour is not None:
                    found[flow.probe] = behaviour
                    step()
