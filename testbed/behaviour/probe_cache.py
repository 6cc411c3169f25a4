"""Compare one rule set with many others: probe it once, and each other only where its behaviour may differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from testbed.bed import Testbed
from testbed.behaviour.ask import behaviours
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probes import Probe, probes
from testbed.behaviour.probing import Answers, named
from testbed.behaviour.referenced_values import ReferencedValues
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost, article
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.rules import environment
from testbed.rules.changed_chains import chains_apart
from testbed.topology import Topology

_FIRST = 8  # probes that are sent first if one difference is enough


@dataclass(slots=True)
class _Known:
    """A side's referenced values, its behaviours, and how often each probe has shown a difference on another side."""

    named: ReferencedValues
    behaviours: dict[Probe, Behaviour] = field(default_factory=dict)
    telling: Counter[Probe] = field(default_factory=Counter)


class ProbeCache:
    """Compares one side with others, on beds that stay until the cache is closed."""

    def __init__(self) -> None:
        self._known: dict[tuple[Topology, RulesetVariant], _Known] = {}
        self._beds: dict[tuple[Topology, str], tuple[RulesetVariant, Testbed]] = {}

    def ask(self, host: DockerHost, one: RulesetVariant, other: RulesetVariant, briefly: bool = False) -> Answers:
        """Return the behaviours of both sides; raise what a bed and tracing raise.

        The other side gets only probes that entered a chain of the first side that differs there. A probe that entered
        none of these meets the same rules on its whole journey. `briefly`: stop after the first difference.
        """
        bare, rules = article.topology(host), [one.rules, other.rules]
        topology = environment.with_missing_bridges(bare, rules)
        for side in (one, other):
            require(backend_for(side.rules, side.backend).name)
        with quarantine():
            known = self._known.get((topology, one))
            if known is None:
                known = self._known[topology, one] = _Known(named(self._bed(topology, one)))
            together = known.named | named(self._bed(topology, other))
            asked = probes(topology, host, together)
            missing = tuple(environment.warnings(bare, rules))
            if together.counting:  # one probe's state may decide about the next: send all, one by one
                rows = [tuple(behaviours(self._bed(topology, side), asked.asked, at_once=1)) for side in (one, other)]
                return Answers(tuple(rows), asked, together, missing)
            left = [probe for probe in asked.asked if probe not in known.behaviours]
            if left:
                found = behaviours(self._bed(topology, one), left)
                known.behaviours |= zip(left, found, strict=True)
            before = tuple(known.behaviours[probe] for probe in asked.asked)
            now = self._differing(topology, known, before, (one, other), briefly)
            return Answers((before, tuple(now.get(own.probe, own) for own in before)), asked, together, missing)

    def close(self) -> None:
        """Close the beds."""
        while self._beds:
            self._beds.popitem()[1][1].close()

    def _differing(
        self,
        topology: Topology,
        known: _Known,
        before: tuple[Behaviour, ...],
        sides: tuple[RulesetVariant, RulesetVariant],
        briefly: bool,
    ) -> dict[Probe, Behaviour]:
        """Return the second side's behaviours for the probes whose outcome can differ there."""
        apart = _apart(*sides)
        meeting = [own for own in before if apart is None or own.entered is None or own.entered & apart]
        likely = sorted(meeting, key=lambda own: -known.telling[own.probe])
        found: dict[Probe, Behaviour] = {}
        for share in (likely[:_FIRST], likely[_FIRST:]) if briefly else (meeting,):
            asked = [own.probe for own in share]
            now = dict(zip(asked, behaviours(self._bed(topology, sides[1]), asked), strict=True)) if asked else {}
            found |= now
            telling = [own.probe for own in share if own.outcome != now[own.probe].outcome]
            known.telling.update(telling)
            if telling:
                break
        return found

    def _bed(self, topology: Topology, side: RulesetVariant) -> Testbed:
        """Return a bed with the rules of a side loaded."""
        key = topology, backend_for(side.rules, side.backend).name
        if key in self._beds:
            held, bed = self._beds.pop(key)
            renewed = held == side and not bed.keeps_state
            try:
                renewed = renewed or (held.rules.sets == side.rules.sets == "" and bed.reset(side.rules))
            finally:
                if not renewed:
                    bed.close()
            if renewed:
                self._beds[key] = side, bed
        if key not in self._beds:
            self._beds[key] = side, Testbed(topology, side.rules, side.backend)
        return self._beds[key][1]


def _apart(one: RulesetVariant, other: RulesetVariant) -> frozenset[tuple[str, str]] | None:
    """Return the chains that differ between the sides; None if the chains alone do not show every difference."""
    before, now = one.rules.as_iptables, other.rules.as_iptables
    if one.backend != other.backend or before is None or now is None:
        return None
    return chains_apart(before, now)
