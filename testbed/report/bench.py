"""Benchmarks as a table: ratios first, since times depend on the machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from testbed.bench.figures import GOAL_FOR_300, Bench, Figure, Grown, Times
from testbed.kernel.requirements import iptables_version
from testbed.kernel.xtables import BACKENDS
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text

_LEGEND = (
    "ratio: here / the other in the same round; below 1, here is faster.",
    "handshake: three packets, all counters read before the first and after each.",
    "whole replay: build, load rules, handshake, compare all counters with what is expected, tear down.",
)


def machine() -> dict[str, Any]:
    """Return the properties of the machine that the times depend on."""
    return {
        "kernel": os.uname().release,
        "cores": len(os.sched_getaffinity(0)),
        "iptables": {name: iptables_version(name) for name in BACKENDS},
    }


def heading(found: Bench) -> str:
    """Return a line on the rounds and the machine."""
    about = machine()
    versions = ", ".join(about["iptables"].values())
    return f"{found.rounds} rounds, Linux {about['kernel']}, {about['cores']} processors, {versions}"


def figures(found: Bench) -> FittedTable:
    """Return a row for each figure: ratio, median, lowest and highest of ours and of the other's, goal."""
    table = Table(title="Medians in milliseconds (lowest-highest)", title_justify="left")
    table.add_column("what")
    for measured in ("ratio", "here", "the other"):
        table.add_column(measured, justify="right", no_wrap=True)
    table.add_column("which is")
    table.add_column("goal", no_wrap=True)
    for figure in found.figures:
        other = figure.other
        table.add_row(
            figure.ours.what,
            _ratio(figure),
            _times(figure.ours),
            _times(other) if other is not None else "",
            other.what if other is not None else "",
            _goal(figure),
        )
    return FittedTable(table)


def growth(found: Bench) -> FittedTable:
    """Return the costs of hosts with an increasing number of containers."""
    table = Table(title="Hosts of more and more containers, each with a published port (ms)", title_justify="left")
    for heading in ("containers", "rules", "build with rules", "ask one port", "read all counters", "tear down"):
        table.add_column(heading, justify="right")
    table.add_column("goal")
    for grown in found.growth:
        times = (_ms(seconds) for seconds in (grown.build, grown.probe, grown.read, grown.remove))
        table.add_row(str(grown.containers), str(grown.rules), *times, _growth_goal(grown))
    return FittedTable(table)


def remarks(found: Bench) -> Sequence[Text]:
    """Return the legend, cases per second and processor, mutants per second, and what was left out."""
    lines = [Text(line, style="dim") for line in _LEGEND]
    if (cases := found.throughput) is not None:
        lines.append(
            Text.assemble(
                (f"{cases.per_core:.1f} cases per second and processor", "bold"),
                f" ({cases.cases} cases in {cases.seconds:.1f} s on {cases.cores})",
            )
        )
    if (judged := found.judged) is not None:
        lines.append(
            Text.assemble(
                (f"{judged.per_second:.1f} mutants per second", "bold"),
                f" ({judged.made} made, {judged.judged} judged by {judged.cases_per_mutant:.1f} cases each,"
                f" in {judged.seconds - judged.baseline:.1f} s and {judged.baseline:.1f} s for the cases without any,"
                f" on {judged.cores}), ",
                (
                    f"{judged.for_300:.1f} s for 300 (≤ {GOAL_FOR_300:g} s: {'met' if judged.met else 'NOT met'})",
                    "green" if judged.met else "red",
                ),
            )
        )
    return [*lines, *(Text(sentence, style="yellow") for sentence in found.left_out)]


def _ratio(figure: Figure) -> Text:
    if figure.ratio is None:
        return Text()
    spread = f" ({min(figure.ratios):.2f}-{max(figure.ratios):.2f})"
    return Text.assemble((f"{figure.ratio:.2f}", "bold"), (spread, "dim"))


def _times(times: Times) -> Text:
    lowest, highest = (_ms(seconds) for seconds in (min(times.seconds), max(times.seconds)))
    return Text.assemble((_ms(times.median), "bold"), (f" ({lowest}-{highest})", "dim"))


def _ms(seconds: float) -> str:
    """Return milliseconds with three digits."""
    value = seconds * 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _goal(figure: Figure) -> Text:
    return _verdict(figure.goal, figure.met) if figure.met is not None else Text()


def _growth_goal(grown: Grown) -> Text:
    return _verdict(f"build ≤ {_ms(grown.goal)}", grown.build <= grown.goal) if grown.goal is not None else Text()


def _verdict(goal: str, met: bool) -> Text:
    return Text.assemble(f"{goal}: ", ("met", "green") if met else ("not met", "bold yellow"))
