"""Probe rule sets with all probes that any of them can answer differently."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace

from testbed.bed import Testbed
from testbed.behaviour.ask import AT_ONCE, behaviours
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probes import Probe, Probes, probes
from testbed.behaviour.referenced_values import Ports, ReferencedValues, mentioned
from testbed.behaviour.scope import Scope, scope
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost, article
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.observe.hook_summary import Met
from testbed.rules import environment
from testbed.topology import Topology

Progress = Callable[[int], Callable[[], None]]  # called with the number of probes; the result is called once for each

_MIN_SHARED_PROBES = 4000  # from so many probes on, processes share them
_SHARED_BATCH = 1024  # probes that a process takes at a time


@dataclass(frozen=True, slots=True)
class Answers:
    """The behaviours of each side for the same probes in the same order; `named` are the rules' referenced values."""

    sides: tuple[tuple[Behaviour, ...], ...]
    probes: Probes
    named: ReferencedValues
    missing: tuple[str, ...] = ()  # sentences on what the rules name and the bed does not have
    scopes: tuple[Scope, ...] = ()  # what the probes vary, for each side
    words: tuple[frozenset[str], ...] = ()  # the rules and policies of each side, as in a behaviour's `by`

    @property
    def met(self) -> tuple[Met, ...]:
        """Return the rules of each side that packets matched, and the policies that decided."""
        return tuple(frozenset(rule for own in side for rule in own.met) for side in self.sides)

    @property
    def cut(self) -> list[str]:
        """Return a sentence on the number of probes that were cut, if any were."""
        return [f"{self.probes.cut} more probes were cut."] if self.probes.cut else []

    @property
    def remarks(self) -> list[str]:
        """Return sentences on everything that was left out."""
        return [*self.cut, *self.missing]


def ask(host: DockerHost, sides: Sequence[RulesetVariant], progress: Progress) -> Answers:
    """Probe each side, on a bed of its own around the same host; raise what a bed and tracing raise."""
    bare, rules = article.topology(host), [side.rules for side in sides]
    topology = environment.with_missing_bridges(bare, rules)
    for side in sides:
        require(backend_for(side.rules, side.backend).name)
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        together = ReferencedValues()
        for bed in beds:
            together |= named(bed)
        asked = probes(topology, host, together)
        step = progress(len(asked.asked) * len(sides))
        told = Answers(
            (),
            asked,
            together,
            tuple(environment.warnings(bare, rules)),
            tuple(scope(topology, asked.asked, ruleset) for ruleset in rules),
            tuple(_words(bed) for bed in beds),
        )
        if together.counting or len(asked.asked) * len(sides) < _MIN_SHARED_PROBES:
            at_once = 1 if together.counting else AT_ONCE  # one probe's state may decide about the next
            given = (behaviours(bed, asked.asked, step, at_once, together.source_ports) for bed in beds)
            return replace(told, sides=tuple(tuple(side) for side in given))
    return replace(told, sides=_shared_out(topology, sides, asked.asked, step, together.source_ports))


def without_proxy(host: DockerHost) -> list[str]:
    """Return a sentence on the userland proxy, which no bed of a comparison runs, where the engine would run it."""
    if not host.userland_proxy or not host.published():
        return []
    return ["No userland proxy runs here: a SYN that it would accept on the host (127.0.0.1:PORT) is answered RST/ACK."]


def named(bed: Testbed) -> ReferencedValues:
    """Return the values that the rules of a bed reference."""
    return mentioned(bed.backend.book(bed.host), bed.loaded.syntax)


def _words(bed: Testbed) -> frozenset[str]:
    """Return the rules and the dropping policies, each with its table."""
    book = bed.backend.book(bed.host)
    policies = (f"{chain.table} :{chain.name} DROP" for chain in book if chain.base and chain.base.policy == "DROP")
    return frozenset((*(f"{chain.table} {rule.text}" for chain in book for rule in chain.rules), *policies))


def _shared_out(
    topology: Topology, sides: Sequence[RulesetVariant], asked: Sequence[Probe], step: Callable[[], None], taken: Ports
) -> tuple[tuple[Behaviour, ...], ...]:
    """Return the behaviours of each side, probed by one process for each processor, each with beds of its own."""
    jobs = len(os.sched_getaffinity(0))
    shares = [asked[start : start + _SHARED_BATCH] for start in range(0, len(asked), _SHARED_BATCH)]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        found = [[pool.submit(_share, topology, side, share, taken) for share in shares] for side in sides]
        for done in as_completed(future for side in found for future in side):
            for _ in done.result():
                step()
        return tuple(tuple(behaviour for future in side for behaviour in future.result()) for side in found)


def _share(topology: Topology, side: RulesetVariant, asked: Sequence[Probe], taken: Ports) -> list[Behaviour]:
    """Return the behaviours of a side for some of the probes, on a bed of this process."""
    with quarantine(), Testbed(topology, side.rules, side.backend) as bed:
        return behaviours(bed, asked, taken=taken)
