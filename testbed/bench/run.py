"""Run all benchmarks, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.bench import building, cases, mininet_plan, mutating, probing, replaying, tracing
from testbed.bench.figures import Bench, Throughput
from testbed.bench.growth import grown
from testbed.errors import TestbedError
from testbed.kernel.namespace import quarantine
from testbed.kernel.xtables import BACKENDS

CASES = Path("cases/article")


def run(rounds: int, sizes: Sequence[int], with_cases: bool) -> Bench:
    """Measure everything that can be measured here, `rounds` times, and hosts of `sizes` containers once.

    Raise TestbedError for less than one round or container.
    """
    if rounds < 1:
        raise TestbedError(f"{rounds} rounds measure nothing.", "Give --rounds 1 or more.")
    if any(size < 1 for size in sizes):
        raise TestbedError("a host of no containers has no port to ask.", "Give --containers 1 or more.")
    with quarantine():
        python, without_mininet = _mininet()
        figures = building.figures(rounds, python)
        for backend in BACKENDS:
            figures += replaying.figures(rounds, backend)
            figures += tracing.figures(rounds, backend)
            figures += probing.figures(rounds, backend)
        figures += mutating.figures(rounds)
        growth = grown(sizes)
        throughput, without_cases = _throughput() if with_cases else (None, "Cases were not run, as was asked for.")
    judged = mutating.judged(CASES, list(BACKENDS)) if throughput is not None else None
    left_out = tuple(filter(None, [without_mininet, without_cases]))
    return Bench(rounds, tuple(figures), growth, throughput, judged, left_out)


def _mininet() -> tuple[str | None, str]:
    """Return the Python that has Mininet, or why there is no comparison with it."""
    if (python := mininet_plan.installed_for()) is None:
        return (
            None,
            f"Mininet is not installed, so it is not compared with. To install it: {mininet_plan.INSTALL}",
        )
    try:
        building.by_mininet(python)
    except TestbedError as error:
        return None, f"Mininet is not compared with: {error.what}"
    return python, ""


def _throughput() -> tuple[Throughput | None, str]:
    """Return the throughput of the cases, or why it is unknown."""
    if not CASES.exists():
        return None, f"There is no folder {CASES} here, so no cases were run; in the repository there is one."
    try:
        return cases.throughput(CASES), ""
    except TestbedError as error:
        return None, f"Cases per second are not known: {error.what} {error.remedy}"
