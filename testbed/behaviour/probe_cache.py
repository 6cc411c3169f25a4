"""A rule set compared with many others: each question is put to it once, and to another only where that may differ."""

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
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology

_FIRST = 8  # probes that are asked before the others when one that fares differently is enough


@dataclass(slots=True)
class _Known:
    """What a side names, what it has answered, and how often a probe of it has fared differently elsewhere."""

    named: ReferencedValues
    behaviours: dict[Probe, Behaviour] = field(default_factory=dict)
    telling: Counter[Probe] = field(default_factory=Counter)


class ProbeCache:
    """Compares one side with others, on beds that stay until it is closed."""

    def __init__(self) -> None:
        self._known: dict[tuple[Topology, RulesetVariant], _Known] = {}
        self._beds: dict[tuple[Topology, str], tuple[RulesetVariant, Testbed]] = {}

    def ask(self, host: DockerHost, one: RulesetVariant, other: RulesetVariant, briefly: bool = False) -> Answers:
        """What both answer; raises what a bed and tracing raise.

        The other is asked only what was in a chain of the one that is another there: what was in none of these meets
        the same rules all its way. `briefly`: nothing more when a probe has fared differently.
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
            if together.counting:  # what one probe leaves behind may decide about the next: all are asked, in a row
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
        """Let the beds go."""
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
        """What the second side answers to that which can fare differently there."""
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
        """A bed into which that side's rules are loaded."""
        key = topology, backend_for(side.rules, side.backend).name
        if key in self._beds:
            held, bed = self._beds.pop(key)
            renewed = held == side and not bed.keeps_state
            try:
                renewed = renewed or (_sets(held) == _sets(side) == "" and bed.reset(side.rules))
            finally:
                if not renewed:
                    bed.close()
            if renewed:
                self._beds[key] = side, bed
        if key not in self._beds:
            self._beds[key] = side, Testbed(topology, side.rules, side.backend)
        return self._beds[key][1]


def _sets(side: RulesetVariant) -> str:
    return side.rules.sets if isinstance(side.rules, Ruleset) else ""


def _apart(one: RulesetVariant, other: RulesetVariant) -> frozenset[tuple[str, str]] | None:
    """The chains that are not the same on both sides; None where that does not say it all."""
    before, now = one.rules, other.rules
    if one.backend != other.backend or not isinstance(before, Ruleset) or not isinstance(now, Ruleset):
        return None
    return chains_apart(before, now)
