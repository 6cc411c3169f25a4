"""What it costs to know a packet's journey, beside sending the same packet and looking where it comes out."""

from __future__ import annotations

from testbed.bed import Testbed
from testbed.bench.figures import Figure, Times, timed
from testbed.docker import article
from testbed.errors import KernelRefused
from testbed.observe.journey import DELIVERED
from testbed.traffic.layers import IP, UDP
from testbed.traffic.packet import Crossing

PACKETS = 20  # in each round


def figures(rounds: int, backend: str) -> list[Figure]:
    """A datagram to the internet, masqueraded, through both routers: traced and put together, and only sent."""
    with Testbed.article(backend=backend) as bed:
        _sent(bed)  # its ends are open from now on
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


def _sent(bed: Testbed) -> Crossing:
    packet = IP(src=str(article.WEB.attachments[0].address), dst="203.0.113.10") / UDP(sport=4000, dport=9) / b"x"
    return bed.send("web", packet, to="internet")


def _delivered(kind: str) -> None:
    if kind != DELIVERED:
        raise KernelRefused("a traced packet was lost.", "See where with `invoke trace --from web --to internet:9`.")
