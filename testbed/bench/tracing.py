"""The cost of a packet's journey, compared with sending the same packet and receiving it."""

from __future__ import annotations

from testbed.bed import Testbed
from testbed.bench.figures import Figure, Times, timed
from testbed.docker import article
from testbed.errors import KernelRefused
from testbed.observe.journey import DELIVERED
from testbed.observe.packet_result import PacketResult
from testbed.traffic.layers import IP, UDP

PACKETS = 20  # in each round


def figures(rounds: int, backend: str) -> list[Figure]:
    """Measure a masqueraded datagram to the internet through both routers: with its journey, and only sent."""
    with Testbed.article(backend=backend) as bed:
        _sent(bed)  # opens the endpoints
        with bed.tracing() as tracing:
            traced = [timed(lambda: _delivered(tracing.journey(_sent(bed)).end.kind)) for _ in range(rounds * PACKETS)]
        sent = [timed(lambda: _sent(bed)) for _ in range(rounds * PACKETS)]
    return [
        Figure(
            f"journey {backend}",
            Times(f"a packet and its journey, {backend}", tuple(traced)),
            Times("the packet alone", tuple(sent)),
        )
    ]


def _sent(bed: Testbed) -> PacketResult:
    packet = IP(src=str(article.WEB.attachments[0].address), dst="203.0.113.10") / UDP(sport=4000, dport=9) / b"x"
    return bed.send(packet, "web")


def _delivered(kind: str) -> None:
    if kind != DELIVERED:
        raise KernelRefused("a traced packet was lost.", "See where with `invoke trace --from web --to internet:9`.")
