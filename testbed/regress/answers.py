"""A rule set asked all the probes that it, and those it is compared with, can answer differently."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.regress.asking import AT_ONCE, behaviours
from testbed.regress.behaviour import Behaviour
from testbed.regress.mentioned import Mentioned, mentioned
from testbed.regress.probes import Probe, Probes, probes
from testbed.regress.side import Side
from testbed.rules import NftRuleset, needs
from testbed.topology import Topology

Progress = Callable[[int], Callable[[], None]]  # told how many probes there will be; called once for each

_MANY, _SHARE = 4000, 1024  # so many questions are shared out among processes, and so many each takes at a time


@dataclass(frozen=True, slots=True)
class Answers:
    """What each side answered, to the same probes in the same order; `named` is what the rules can tell apart."""

    sides: tuple[tuple[Behaviour, ...], ...]
    probes: Probes
    named: Mentioned
    missing: tuple[str, ...] = ()  # what the rules name and nobody here is, in sentences

    @property
    def remarks(self) -> list[str]:
        """What was left out, in sentences."""
        cut = [f"{self.probes.cut} more probes were cut."] if self.probes.cut else []
        unreasoned = ", ".join(self.named.unreasoned)
        return [*cut, *self.missing, *([f"Not told apart by probes: {unreasoned}."] if unreasoned else [])]


def ask(host: DockerHost, sides: Sequence[Side], progress: Progress) -> Answers:
    """Ask each side, on a bed of its own around the same host; raises what a bed and tracing raise."""
    bare, rules = article.topology(host), [side.rules for side in sides]
    topology = needs.furnished(bare, rules)
    for side in sides:
        require(backend_for(side.rules, side.backend).name)
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        together = Mentioned()
        for bed in beds:
            together |= named(bed)
        asked = probes(topology, host, together)
        step = progress(len(asked.asked) * len(sides))
        missing = tuple(needs.remarks(bare, rules))
        if together.counting or len(asked.asked) * len(sides) < _MANY:
            at_once = 1 if together.counting else AT_ONCE  # what one probe leaves behind may decide about the next
            answered = tuple(tuple(behaviours(bed, asked.asked, step, at_once)) for bed in beds)
            return Answers(answered, asked, together, missing)
    return Answers(_shared_out(topology, sides, asked.asked, step), asked, together, missing)


def named(bed: Testbed) -> Mentioned:
    """What the rules of a bed can tell apart."""
    return mentioned(bed.backend.book(bed.host), isinstance(bed.loaded, NftRuleset))


def _shared_out(
    topology: Topology, sides: Sequence[Side], asked: Sequence[Probe], step: Callable[[], None]
) -> tuple[tuple[Behaviour, ...], ...]:
    """What each side answers, asked by as many processes as there are processors, each with beds of its own."""
    jobs = len(os.sched_getaffinity(0))
    shares = [asked[start : start + _SHARE] for start in range(0, len(asked), _SHARE)]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        found = [[pool.submit(_share, topology, side, share) for share in shares] for side in sides]
        for done in as_completed(future for side in found for future in side):
            for _ in done.result():
                step()
        return tuple(tuple(behaviour for future in side for behaviour in future.result()) for side in found)


def _share(topology: Topology, side: Side, asked: Sequence[Probe]) -> list[Behaviour]:
    """What a side answers to some of the probes, on a bed of this process."""
    with quarantine(), Testbed(topology, side.rules, side.backend) as bed:
        return behaviours(bed, asked)
