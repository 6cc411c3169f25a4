"""A rule set asked all the probes that it, and those it is compared with, can answer differently."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.regress.asking import behaviours
from testbed.regress.behaviour import Behaviour
from testbed.regress.mentioned import Mentioned, mentioned
from testbed.regress.probes import Probe, Probes, probes
from testbed.regress.side import Side
from testbed.rules import NftRuleset, needs
from testbed.rules.apart import ChainName, chains_apart
from testbed.rules.ruleset import Ruleset
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


@dataclass(slots=True)
class Known:
    """What a side names, and what it has answered."""

    named: Mentioned | None = None
    behaviours: dict[Probe, Behaviour] = field(default_factory=dict)


class Memory:
    """What first sides have answered: one that is compared with many others is asked each question once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Topology, Side], Known] = {}

    def of(self, topology: Topology, side: Side) -> Known:
        """What is known of a side; what becomes known is to be added."""
        return self._known.setdefault((topology, side), Known())


def ask(host: DockerHost, sides: Sequence[Side], progress: Progress, memory: Memory | None = None) -> Answers:
    """Ask each side, on a bed of its own around the same host; raises what a bed and tracing raise.

    What `memory` knows of the first side is not asked again, and another side is asked only what was in a chain of the
    first that is another there: what was in none of these meets the same rules all its way.
    """
    bare, rules = article.topology(host), [side.rules for side in sides]
    topology = needs.furnished(bare, rules)
    for side in sides:
        require(backend_for(side.rules, side.backend).name)
    known = [memory.of(topology, sides[0]) if memory is not None else Known(), *(Known() for _ in sides[1:])]
    with quarantine(), ExitStack() as opened:
        standing = [_Standing(topology, side, own, opened) for side, own in zip(sides, known, strict=True)]
        named = _together(one.named for one in standing)
        asked = probes(topology, host, named)
        step = progress(len(asked.asked) * len(sides))
        missing = tuple(needs.remarks(bare, rules))
        if named.counting:  # what one probe leaves behind may decide about the next, so that all are asked in a row
            answered = tuple(tuple(behaviours(one.bed, asked.asked, step, 1)) for one in standing)
            return Answers(answered, asked, named, missing)
        if memory is not None:
            return Answers(tuple(_differing(standing, asked.asked, step)), asked, named, missing)
        if len(asked.asked) * len(sides) < _MANY:
            return Answers(tuple(one.behaviours(asked.asked, step) for one in standing), asked, named, missing)
    return Answers(_shared_out(topology, sides, asked.asked, step), asked, named, missing)


class _Standing:
    """A side, and the bed on which it is asked: it is built where something is not known yet."""

    def __init__(self, topology: Topology, side: Side, known: Known, opened: ExitStack) -> None:
        self.side = side
        self._topology, self._known, self._opened = topology, known, opened

    @cached_property
    def bed(self) -> Testbed:
        return self._opened.enter_context(Testbed(self._topology, self.side.rules, self.side.backend))

    @property
    def named(self) -> Mentioned:
        if self._known.named is None:
            book = self.bed.backend.book(self.bed.host)
            self._known.named = mentioned(book, isinstance(self.side.rules, NftRuleset))
        return self._known.named

    def behaviours(self, asked: Sequence[Probe], step: Callable[[], None]) -> tuple[Behaviour, ...]:
        known = self._known.behaviours
        left = [probe for probe in asked if probe not in known]
        if left:
            known |= {behaviour.probe: behaviour for behaviour in behaviours(self.bed, left, step)}
        for _ in range(len(asked) - len(left)):
            step()
        return tuple(known[probe] for probe in asked)


def _differing(
    standing: Sequence[_Standing], asked: Sequence[Probe], step: Callable[[], None]
) -> Iterator[tuple[Behaviour, ...]]:
    """What the first side answers, and each other to what can fare differently there, with the first's to all else."""
    first = standing[0].behaviours(asked, step)
    yield first
    for other in standing[1:]:
        apart = _apart(standing[0].side, other.side)
        meeting = [own for own in first if apart is None or own.entered is None or own.entered & apart]
        found = dict(zip(meeting, other.behaviours([own.probe for own in meeting], step), strict=True))
        for _ in range(len(first) - len(found)):
            step()
        yield tuple(found.get(own, own) for own in first)


def _apart(one: Side, other: Side) -> frozenset[ChainName] | None:
    """The chains that are not the same on both sides; None where that does not say it all."""
    before, now = one.rules, other.rules
    if one.backend != other.backend or not isinstance(before, Ruleset) or not isinstance(now, Ruleset):
        return None
    return chains_apart(before, now)


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


def _together(found: Iterable[Mentioned]) -> Mentioned:
    named = Mentioned()
    for one in found:
        named |= one
    return named
