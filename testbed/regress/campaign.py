"""A rule set asked all the probes that it, and those it is compared with, can answer differently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.regress.asking import behaviours
from testbed.regress.behaviour import Behaviour
from testbed.regress.mentioned import Mentioned, mentioned
from testbed.regress.probes import Probes, probes
from testbed.rules import AnyRuleset, NftRuleset

Progress = Callable[[int], Callable[[], None]]  # told how many probes there will be; called once for each


@dataclass(frozen=True, slots=True)
class Side:
    """A rule set, and what loads it."""

    rules: AnyRuleset
    backend: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What each side answered, to the same probes in the same order; `named` is what the rules can tell apart."""

    sides: tuple[tuple[Behaviour, ...], ...]
    probes: Probes
    named: Mentioned

    @property
    def remarks(self) -> list[str]:
        """What was left out, in sentences."""
        cut = [f"{self.probes.cut} more probes were cut."] if self.probes.cut else []
        unreasoned = ", ".join(self.named.unreasoned)
        return [*cut, *([f"Not told apart by probes: {unreasoned}."] if unreasoned else [])]


def ask(host: DockerHost, sides: Sequence[Side], progress: Progress) -> Answers:
    """Ask each side, on a bed of its own around the same host; raises what a bed and tracing raise."""
    topology = article.topology(host)
    for side in sides:
        require(backend_for(side.rules, side.backend).name)
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        named = _together(
            mentioned(bed.backend.book(bed.host), isinstance(side.rules, NftRuleset))
            for bed, side in zip(beds, sides, strict=True)
        )
        asked = probes(topology, host, named)
        step = progress(len(asked.asked) * len(beds))
        return Answers(tuple(tuple(behaviours(bed, asked.asked, step)) for bed in beds), asked, named)


def _together(found: Iterable[Mentioned]) -> Mentioned:
    named = Mentioned()
    for one in found:
        named |= one
    return named
