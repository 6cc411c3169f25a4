"""The cost of a bed by the number of its containers, each with a published port."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import enumerate as threads

from testbed.bed import Testbed
from testbed.bench.building import REST, remove
from testbed.bench.figures import Grown
from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import DEFAULT_ENGINE, engine
from testbed.errors import KernelRefused
from testbed.traffic.layers import IP, TCP

_FIRST_PORT = 10000


def grown(sizes: Sequence[int]) -> tuple[Grown, ...]:
    """Measure one bed of each size once: build it, probe every published port, read all counters, remove it."""
    return tuple(_measured(size) for size in sizes)


def _host(size: int) -> DockerHost:
    services = (
        f"  c{number}: {{network_mode: bridge, ports: ['{_FIRST_PORT + number}:80']}}" for number in range(size)
    )
    return hostfile.parse("\n".join(["services:", *services]))


def _measured(size: int) -> Grown:
    host = _host(size)
    rules = engine(DEFAULT_ENGINE).rules(host)
    others = set(threads())
    began = time.perf_counter()
    bed = Testbed(article.topology(host), rules)
    built = time.perf_counter()
    client, own = str(host.around.client_address(4)), str(host.around.host_address(4))
    for number in range(size):
        syn = IP(src=client, dst=own) / TCP(sport=40000, dport=_FIRST_PORT + number)
        if bed.send(syn, "client").delivered_to != f"c{number}":
            raise KernelRefused(f"the port of container {number} of {size} was not reached.")
    probed = time.perf_counter()
    bed.counters()
    first = time.perf_counter()
    bed.counters()
    read = time.perf_counter()
    remove(bed, others)
    removed = time.perf_counter()
    time.sleep(REST)
    number_of_rules = sum(1 for _ in rules.rules)
    return Grown(size, number_of_rules, built - began, (probed - built) / size, read - first, removed - read)
