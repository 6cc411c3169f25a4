"""Prepare a bed for probes, so that one question does not disturb another."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.bed import Testbed
from testbed.behaviour.probes import Probe
from testbed.behaviour.static_neighbours import add_static_neighbours
from testbed.kernel.devices import write_sysctls

# A kernel limits the rate of ICMP errors to one address (Documentation/networking/ip-sysctl.rst).
_ANSWER_ALWAYS = (("net.ipv4.icmp_ratemask", "0"),)
_ANSWER_ALWAYS6 = (("net.ipv6.icmp.ratemask", "0"),)  # the list of rate-limited message types, without errors


def made_ready(bed: Testbed, asked: Iterable[Probe]) -> None:
    """Disable ICMP rate limiting on routers; add permanent neighbour entries for probed addresses that no node has."""
    asked = tuple(asked)
    six = any(":" in probe.address for probe in asked)
    for router in (node.name for node in bed.topology.nodes if node.passes_on):
        bed.node(router).run(write_sysctls, (*_ANSWER_ALWAYS, *(_ANSWER_ALWAYS6 if six else ())))
    add_static_neighbours(
        bed.host, bed.topology, {address for p in asked for address in (p.address, p.source) if address}
    )
