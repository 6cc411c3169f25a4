"""Build and remove beds in turn with other tools that make the same network: the script, Mininet.

The kernel dismantles an unused namespace in a worker of its own. Meanwhile it blocks processes that make devices
(cleanup_net, net/core/net_namespace.c; 100 ms and more for one bed). So a pause follows each removal, lest one
measurement contain the cost of another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from testbed.bed import Testbed
from testbed.bench import mininet_plan
from testbed.bench.apart import Apart
from testbed.bench.figures import Figure, Times
from testbed.docker import article
from testbed.kernel.xtables import BACKENDS
from testbed.report import shell_script

REST = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Once:
    """Seconds of one build and one removal."""

    built: float
    removed: float


def figures(rounds: int, mininet_python: str | None) -> list[Figure]:
    """Measure build and tear-down of the article's bed: each backend against its script, and nft against Mininet."""
    contestants: dict[str, Callable[[], Once]] = {}
    for name in BACKENDS:
        contestants |= {f"bed {name}": partial(_bed, name), f"script {name}": partial(_script, name)}
    if mininet_python is not None:
        contestants["mininet"] = partial(by_mininet, mininet_python)
    ran = _in_turn(rounds, contestants)
    found = [figure for name in BACKENDS for figure in _against_script(name, ran)]
    return found + (_against_mininet(ran) if mininet_python is not None else [])


def _in_turn(rounds: int, contestants: dict[str, Callable[[], Once]]) -> dict[str, list[Once]]:
    """Return the times of each contestant, in turn: A B C A B C. The first round, which loads programs, is dropped."""
    ran: dict[str, list[Once]] = {name: [] for name in contestants}
    for _ in range(1 + rounds):
        for name, contestant in contestants.items():
            ran[name].append(contestant())
            time.sleep(REST)
    return {name: times[1:] for name, times in ran.items()}


def remove(bed: Testbed, others: set[threading.Thread]) -> None:
    """Close a bed and wait until its threads have released the namespaces; `others` are the threads before it."""
    bed.close()
    for thread in set(threading.enumerate()) - others:
        thread.join()


def _bed(backend: str) -> Once:
    others = set(threading.enumerate())
    began = time.perf_counter()
    bed = Testbed.article(backend=backend)
    built = time.perf_counter()
    remove(bed, others)
    return Once(built - began, time.perf_counter() - built)


def _script(backend: str) -> Once:
    program = shell_script.program(article.topology(), article.ruleset(), BACKENDS[backend])
    return _apart(f"the script that builds the bed with {BACKENDS[backend].program}", program)


def by_mininet(python: str) -> Once:
    """Build and stop the article's network with Mininet; raise KernelRefused if that fails."""
    return _apart("Mininet", mininet_plan.program(python, article.topology()))


def _apart(what: str, program: list[str]) -> Once:
    with Apart(what, program) as running:
        return Once(running.step(), running.step())


def _against_script(backend: str, ran: dict[str, list[Once]]) -> list[Figure]:
    ours, theirs = ran[f"bed {backend}"], ran[f"script {backend}"]
    return [
        Figure(
            f"build {backend}",
            Times(f"build with rules, {backend}", tuple(once.built for once in ours)),
            Times("shell script", tuple(once.built for once in theirs)),
            ratio_at_most=1.0,
        ),
        Figure(
            f"tear down {backend}",
            Times(f"tear down, {backend}", tuple(once.removed for once in ours)),
            Times("ip netns del", tuple(once.removed for once in theirs)),
        ),
    ]


def _against_mininet(ran: dict[str, list[Once]]) -> list[Figure]:
    ours, theirs = ran["bed nft"], ran["mininet"]
    return [
        Figure(
            "build against Mininet",
            Times("build with rules, nft", tuple(once.built for once in ours)),
            Times("Mininet, without rules", tuple(once.built for once in theirs)),
        ),
        Figure(
            "tear down against Mininet",
            Times("tear down, nft", tuple(once.removed for once in ours)),
            Times("Mininet's stop", tuple(once.removed for once in theirs)),
        ),
    ]
