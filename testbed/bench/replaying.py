"""Readings and replays: on an existing bed, and from an empty start to a verdict."""

from __future__ import annotations

import threading
import time

from testbed.bed import Testbed
from testbed.bench.building import REST, remove
from testbed.bench.figures import Figure, Times, timed
from testbed.docker import article
from testbed.errors import KernelRefused
from testbed.kernel.xtables import BACKENDS
from testbed.replay import replay
from testbed.traffic.tcp import WINDOWS

READINGS = 10  # in each round

# The article's counters after one handshake; rules that are not listed count nothing.
EXPECTED = """
*filter
:FORWARD DROP [0:0]
[3:144] -A FORWARD -j DOCKER-USER
[3:144] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[1:40] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[1:52] -A FORWARD -o docker0 -j DOCKER
[1:52] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
[1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
[1:52] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
[3:144] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[1:52] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
[3:144] -A DOCKER-USER -j RETURN
*nat
[1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
[1:52] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
"""


def figures(rounds: int, backend: str) -> list[Figure]:
    """Measure a counter reading, a handshake with a reading after each packet, and the whole replay, with a backend."""
    with Testbed.article(backend=backend) as bed:
        _handshake(bed)  # opens the endpoints
        save = [f"{BACKENDS[backend].program}-save", "-c"]
        readings = [(timed(bed.counters), timed(lambda: bed.host.command(save))) for _ in range(rounds * READINGS)]
        handshakes = [timed(lambda: _handshake(bed)) for _ in range(rounds)]
    return [
        Figure(
            f"counters {backend}",
            Times(f"read all counters, {backend}", tuple(ours for ours, _ in readings)),
            Times(" ".join(save), tuple(other for _, other in readings)),
            at_most=0.002,
        ),
        Figure(
            f"handshake {backend}",
            Times(f"handshake, {backend}", tuple(handshakes)),
        ),
        Figure(
            f"replay {backend}",
            Times(f"whole replay, {backend}", tuple(_replays(rounds, backend))),
            at_most=0.150,
        ),
    ]


def _handshake(bed: Testbed) -> None:
    if not all(step.result.delivered for step in replay(bed, "client", article.PUBLISHED, WINDOWS)):
        raise KernelRefused("a packet of the handshake was lost.", "See where with `invoke handshake`.")


def _replays(rounds: int, backend: str) -> list[float]:
    seconds = []
    for _ in range(rounds):
        time.sleep(REST)
        seconds.append(timed(lambda: _whole_replay(backend)))
    return seconds


def _whole_replay(backend: str) -> None:
    others = set(threading.enumerate())
    bed = Testbed.article(backend=backend)
    try:
        with bed.counting() as counting:
            bed.connect("client", article.PUBLISHED).handshake()
        as_expected = counting.result == EXPECTED
    finally:
        remove(bed, others)
    if not as_expected:
        raise KernelRefused("the rules have not counted what the article says.", "See it with `invoke handshake`.")
