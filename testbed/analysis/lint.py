"""Rules that do nothing, or that undo another rule: proved over all packets that can come to the host.

Packets are first ones and all kinds behind them. A clause that cannot be read may match any packet, so no rule is
called dead because of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from testbed.analysis import assumptions, programs
from testbed.analysis.chains import RuleSets
from testbed.analysis.connections import Connections, FreshVariables
from testbed.analysis.difference import difference_of
from testbed.analysis.effects import Unjudged
from testbed.analysis.judged import certain
from testbed.analysis.packets import State
from testbed.analysis.plain import PlainPacket, plainest
from testbed.analysis.rules import AnalysedRule, Decide, Program, Verdict
from testbed.analysis.space import empty, limited
from testbed.analysis.vector import PacketSet
from testbed.analysis.without import without_rule
from testbed.analysis.world import PacketKind, World
from testbed.rules import AnyRuleset
from testbed.rules.reference import RuleReference
from testbed.topology import Topology

_MOST = 100  # deciding rules of a rule set whose removal is compared
_CLOSING = (Verdict.DROP, Verdict.REJECT)


class LintKind(Enum):
    """What is wrong with a rule (Al-Shaer, Hamed 2004)."""

    DEAD = "dead"
    SHADOWED = "shadowed"
    REDUNDANT = "redundant"
    OPENS = "opens what a later rule means to close"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A rule with what is proved of it.

    `others` are the rules that take its packets before it, or of OPENS the later rule. `witness` is a packet of OPENS.
    """

    kind: LintKind
    rule: RuleReference
    proof: str
    others: tuple[RuleReference, ...] = ()
    witness: PlainPacket | None = None


@dataclass(frozen=True, slots=True)
class LintResult:
    """All findings, and what was not judged."""

    findings: tuple[LintFinding, ...]
    unjudged: tuple[Unjudged, ...]


def lint(ruleset: AnyRuleset, topology: Topology) -> LintResult:
    """Return what is wrong with the rules of a rule set on the host of a topology.

    Raises AnalysisError for rules that are too large to follow.
    """
    program = programs.program(ruleset)
    with limited():
        linter = Linter(World.of(topology, fragments=not program.tracks), program)
        found = [*linter.findings(), *_redundant(program, topology, linter)]
    left = [Unjudged((f"whether rules are redundant: more than {_MOST} rules decide",), ())]
    unjudged = [*assumptions.of_rules((program, program)), *(left if _count(program) > _MOST else [])]
    return LintResult(tuple(found), tuple(dict.fromkeys(unjudged)))


def _count(program: Program) -> int:
    """Return the number of rules that decide."""
    rules = (rule for chain in program.chains for rule in chain.rules)
    return sum(_decides(rule, Verdict.ACCEPT, *_CLOSING) for rule in rules)


@dataclass(slots=True, eq=False)
class Linter:
    """Follows all packets through one rule set and keeps the sets of each rule."""

    world: World
    program: Program
    _passes: list[tuple[PacketSet, RuleSets]] = field(init=False)

    def __post_init__(self) -> None:
        self._passes = list(self._followed())

    def _followed(self) -> Iterator[tuple[PacketSet, RuleSets]]:
        """Yield the packets of each kind that can come, and what each rule did with them."""
        world, fresh = self.world, FreshVariables.make(self.world.space, self.world.interfaces.width)
        sets = RuleSets()
        first = world.first(self.program, sets=sets)
        yield world.possible, sets
        begun = first.passed & world.possible & world.space.equal(first.packet.state, State.NEW)
        for kind in list(PacketKind)[1:]:
            followed = Connections(world, first, fresh).packet(kind)
            world.opaque.start(kind.value)
            sets = RuleSets()
            world.follow(self.program, followed.packet, followed.tracked, world.space.all, sets=sets)
            yield begun & followed.possible, sets

    def findings(self) -> Iterator[LintFinding]:
        """Yield dead and shadowed rules, and those that open what a later one means to close."""
        for chain in self.program.chains:
            for place, rule in enumerate(chain.rules):
                found = self._of_rule(rule, list(chain.rules[:place]))
                if found is not None:
                    yield found
                    continue
                yield from self._opened(rule, list(chain.rules[place + 1 :]))

    def matches(self, rule: AnalysedRule) -> bool:
        """Return whether any packet that can come matches a rule where it stands."""
        return self._any("hit", rule)

    def _of_rule(self, rule: AnalysedRule, earlier: list[AnalysedRule]) -> LintFinding | None:
        if self._any("hit", rule):
            return None
        if not self._any("entering", rule):
            return LintFinding(LintKind.DEAD, rule.reference, "no packet enters its chain")
        if not self._any("matching", rule):
            return LintFinding(LintKind.DEAD, rule.reference, "no packet that enters its chain has what it asks for")
        takers = tuple(one.reference for one in earlier if self._takes(one, rule))
        return LintFinding(LintKind.SHADOWED, rule.reference, "earlier rules take every packet that it matches", takers)

    def _any(self, name: str, rule: AnalysedRule) -> bool:
        return any(not empty(sets.of(name, rule, can) & can) for can, sets in self._passes)

    def _takes(self, earlier: AnalysedRule, later: AnalysedRule) -> bool:
        """Return whether an earlier rule matches packets that the later one would."""
        return any(
            not empty(sets.of("hit", earlier, can) & sets.of("matching", later, can) & can)
            for can, sets in self._passes
        )

    def _opened(self, rule: AnalysedRule, later: list[AnalysedRule]) -> Iterator[LintFinding]:
        """Yield the later rules that drop packets which this one accepts, where it is no exception of theirs."""
        if not _decides(rule, Verdict.ACCEPT):
            return
        can, sets = self._passes[0]
        own = sets.of("hit", rule, can) & can
        for other in later:
            if not _decides(other, *_CLOSING) or not other.clauses:
                continue
            meant = sets.of("matching", other, can) & can
            both = certain(self.world, own & meant)
            if not empty(both) and not empty(own & ~meant):
                fresh = FreshVariables.make(self.world.space, self.world.interfaces.width)
                witness = plainest(self.world, both, PacketKind.FIRST, fresh, None)
                said = "it accepts packets that the later rule would stop, and others"
                yield LintFinding(LintKind.OPENS, rule.reference, said, (other.reference,), witness)


def _decides(rule: AnalysedRule, *verdicts: Verdict) -> bool:
    return any(isinstance(action, Decide) and action.verdict in verdicts for action in rule.actions)


def _redundant(program: Program, topology: Topology, linter: Linter) -> Iterator[LintFinding]:
    """Yield rules without which every packet has the same outcome."""
    if _count(program) > _MOST:
        return
    for chain in program.chains:
        for rule in chain.rules:
            if not _decides(rule, Verdict.ACCEPT, *_CLOSING) or not linter.matches(rule):
                continue
            found = difference_of((program, without_rule(program, rule.reference)), topology)
            if not found.changes and not found.unjudged:
                said = "every packet has the same outcome without it"
                yield LintFinding(LintKind.REDUNDANT, rule.reference, said)
