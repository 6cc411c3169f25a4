"""What a bed is computed from grows linearly with the number of containers, counted in function calls."""

import sys
from collections.abc import Callable
from types import FrameType

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import engine
from testbed.rules import environment

FEW, MANY = 100, 400
AT_MOST = 1.3  # times the growth in containers: sorting and dictionaries that are enlarged


def host(size: int) -> DockerHost:
    services = (f"  c{number}: {{network_mode: bridge, ports: ['{10000 + number}:80']}}" for number in range(size))
    return hostfile.parse("\n".join(["services:", *services]))


def calls(action: Callable[[], object]) -> int:
    """Return how many calls of Python and C functions the action makes."""
    counted = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return counted


def growth(work: Callable[[DockerHost], Callable[[], object]]) -> float:
    few, many = (calls(work(host(size))) for size in (FEW, MANY))
    assert few > FEW, "the work was done"
    return many / few / (MANY / FEW)


def test_topology_of_many_containers_grows_linearly() -> None:
    assert growth(lambda host: lambda: article.topology(host)) < AT_MOST


def test_permanent_neighbours_of_all_nodes_grow_linearly() -> None:
    def work(host: DockerHost) -> Callable[[], object]:
        topology = article.topology(host)
        return lambda: [topology.neighbours(node.name) for node in topology.nodes]

    assert growth(work) < AT_MOST


def test_interface_indexes_of_all_links_grow_linearly() -> None:
    def work(host: DockerHost) -> Callable[[], object]:
        topology = article.topology(host)
        return lambda: [
            topology.node(end.node).indexes[end.device] for link in topology.links for end in (link.a, link.b)
        ]

    assert growth(work) < AT_MOST


def test_rules_of_many_containers_grow_linearly() -> None:
    assert growth(lambda host: lambda: engine("28").rules(host)) < AT_MOST


def test_needs_of_rules_of_many_containers_grow_linearly() -> None:
    def work(host: DockerHost) -> Callable[[], object]:
        topology, rules = article.topology(host), engine("28").rules(host)
        return lambda: (environment.with_missing_bridges(topology, [rules]), environment.warnings(topology, [rules]))

    assert growth(work) < AT_MOST
