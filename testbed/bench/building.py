"""Beds built and taken away in turn with what else makes the same network: the script, Mininet.

The kernel takes a namespace that nobody holds any more apart in a worker of its own, and meanwhile keeps whoever makes
devices waiting (cleanup_net, net/core/net_namespace.c; 100 ms and more for one bed). So after everything that was taken
away there is a rest, lest one pays for another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from testbed.bed import Testbed
from testbed.bench import mininet_plan, script
from testbed.bench.apart import Apart
from testbed.bench.figures import Figure, Times
from testbed.docker import article
from testbed.kernel.xtables import BACKENDS

REST = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Once:
    """Seconds that one building and one taking away took."""

    built: float
    removed: float


def figures(rounds: int, mininet_python: str | None) -> list[Figure]:
    """Build and tear-down of the article's bed with either backend, each against its script; and against Mininet."""
    contestants: dict[str, Callable[[], Once]] = {}
    for name in BACKENDS:
        contestants |= {f"bed {name}": partial(_bed, name), f"script {name}": partial(_script, name)}
    if mininet_python is not None:
        contestants["mininet"] = partial(by_mininet, mininet_python)
    ran = _in_turn(rounds, contestants)
    found = [figure for name in BACKENDS for figure in _against_script(name, ran)]
    return found + (_against_mininet(ran) if mininet_python is not None else [])


def _in_turn(rounds: int, contestants: dict[str, Callable[[], Once]]) -> dict[str, list[Once]]:
    """What each contestant took, round by round: A B C A B C. One round before them loads what is to be loaded."""
    ran: dict[str, list[Once]] = {name: [] for name in contestants}
    for _ in range(1 + rounds):
        for name, contestant in contestants.items():
            ran[name].append(contestant())
            time.sleep(REST)
    return {name: times[1:] for name, times in ran.items()}


def remove(bed: Testbed, others: set[threading.Thread]) -> None:
    """Close a bed and wait until its threads have let go of the namespaces; `others` are the threads before it."""
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
    program = script.program(article.topology(), article.ruleset(), BACKENDS[backend])
    return _apart(f"the script that builds the bed with {BACKENDS[backend].program}", program)


def by_mininet(python: str) -> Once:
    """The article's network built and stopped by Mininet; KernelRefused where it cannot."""
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
