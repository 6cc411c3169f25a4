"""The cost of a probe's behaviour, compared with sending the same packets and receiving them."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.bed import Testbed
from testbed.behaviour import packets
from testbed.behaviour.ask import behaviours
from testbed.behaviour.probes import Probe, probes
from testbed.behaviour.referenced_values import mentioned
from testbed.bench.figures import Figure, Times, timed
from testbed.docker import article
from testbed.kernel.packets import on_cpu
from testbed.rules.syntax import IPTABLES

_TABLES = 10  # tables of all the article's probes in a round
_GOAL = 0.001  # seconds for a probe: a thousand a second and processor


def figures(rounds: int, backend: str) -> list[Figure]:
    """Measure the article's probes (verdict, addresses, deciding rules, counters), and their packets alone."""
    with Testbed.article(backend=backend) as bed:
        named = mentioned(bed.backend.book(bed.host), IPTABLES)
        asked = probes(bed.topology, article.HOST, named).asked * _TABLES
        behaviours(bed, asked[: len(asked) // _TABLES])  # opens the endpoints
        ours, other = [], []
        for _ in range(rounds):
            ours.append(timed(lambda: behaviours(bed, asked)) / len(asked))
            other.append(timed(lambda: _sent(bed, asked)) / len(asked))
            bed.forget_connections()
    return [
        Figure(
            f"probe {backend}",
            Times(f"a probe and its behaviour, {backend}", tuple(ours)),
            Times("its question alone", tuple(other)),
            at_most=_GOAL,
        )
    ]


def _sent(bed: Testbed, asked: Sequence[Probe]) -> None:
    with on_cpu(bed.processor):
        for probe in asked:
            if probe.origin == bed.topology.host:
                opened = bed.host.run(packets.speak, [(probe, bed.free_port())], bed.processor)
                bed.host.run(packets.hang_up, [spoken.opened for spoken in opened], bed.processor)
            else:
                data, via = packets.question(bed, probe, bed.free_port())
                bed.endpoint(probe.origin).put(data, probe.address, via)
    bed.settle_everywhere()
    for node in bed.topology.nodes:
        if not node.passes_on and node.name != bed.topology.host:
            list(bed.endpoint(node.name).taken())
