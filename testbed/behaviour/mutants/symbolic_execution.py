"""Follow a set of packets through the rules, as far as the outcome is certain for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from testbed.behaviour.mutants.packet_sets import Literal, box, empty, implied
from testbed.rules import clauses
from testbed.rules.clauses import Target
from testbed.rules.memory import remembers
from testbed.rules.ruleset import Rule, Table

Box = tuple[Literal, ...]
Stack = tuple[tuple[str, int], ...]  # chains with the next rule in each; packets are in the last
# Targets that decide: xt_*.c returning a verdict for every packet.
ENDING = {"ACCEPT", "DROP", "REJECT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"}
# Targets with an effect that let the packet continue (XT_CONTINUE); any other target is unsupported.
_GOING_ON = {
    *(
        "LOG",
        "NFLOG",
        "MARK",
        "CONNMARK",
        "TCPMSS",
        "TOS",
        "DSCP",
        "TTL",
        "HL",
        "CT",
        "NOTRACK",
        "CLASSIFY",
        "CHECKSUM",
    ),
    *("SET", "AUDIT", "TRACE"),
}
_ABSENT = {  # hooks without such an interface (struct nf_hook_state, in and out)
    "PREROUTING": Literal("-o", ""),
    "INPUT": Literal("-o", ""),
    "OUTPUT": Literal("-i", ""),
}
GOES_ON, COMES_BACK = "goes on", "comes back"
_MOST_STEPS = 4000
_MOST_PATHS = 64


@dataclass(frozen=True, slots=True)
class SymbolicOutcome:
    """The outcome of all packets of a set: the effects on the way and at the end.

    `matched` are the rules and the policy that count them; None if different rules count different packets.
    """

    done: tuple[str, ...]
    matched: tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class Reached:
    """A path from a hook to a place in a chain: the common clauses of its packets, and the rules that they missed."""

    stack: Stack
    box: Box
    missed: tuple[Rule, ...]


@dataclass(frozen=True)
class Rulebook:
    """The chains of one table."""

    table: Table
    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table) -> Rulebook:
        names = {chain.name for chain in table.chains} | {rule.chain for rule in table.rules}
        policies = {chain.name: chain.policy for chain in table.chains if chain.policy}
        return cls(table, {name: table.rules_of(name) for name in names}, policies)

    def box(self, rule: Rule) -> Box:
        """Return the clauses of a rule as sets."""
        return box(rule.spec, self.table.name)

    def jumps(self, rule: Rule) -> str:
        """Return the chain that a rule sends packets to; '' for none."""
        target = clauses.target_of(rule.spec)
        return target.name if target is not None and target.name in self.chains else ""

    def ways(self, chain: str, place: int) -> list[Reached] | None:
        """Return every path to a place in a chain; None if there are too many."""
        found: list[Reached] = []
        for way in self._ways(chain, place):
            found.append(way)
            if len(found) > _MOST_PATHS:
                return None
        return found

    def _ways(self, chain: str, place: int) -> Iterator[Reached]:
        before = self.chains.get(chain, ())[:place]
        missed = tuple(rule for rule in before if self._leaves(rule))
        if chain in self.policies:
            absent = _ABSENT.get(chain)
            yield Reached(((chain, place),), (absent,) if absent else (), missed)
            return
        for caller, rules in self.chains.items():
            for number, rule in enumerate(rules):
                if self.jumps(rule) != chain:
                    continue
                goes = _target(rule).verb == "goto"
                for way in self._ways(caller, number):
                    outer = (*way.stack[:-1], (caller, number + 1)) if not goes else way.stack[:-1]
                    yield Reached(
                        (*outer, (chain, place)),
                        (*way.box, *self.box(rule)),
                        (*way.missed, *missed),
                    )

    def _leaves(self, rule: Rule) -> bool:
        """Return whether every packet that meets a rule leaves its chain."""
        target = clauses.target_of(rule.spec)
        return target is not None and (target.name in (*ENDING, "RETURN") or target.verb == "goto")


@dataclass
class SymbolicWalk:
    """A set of packets in a table; `same` maps a rule to a name that holds for both sides.

    `until` is a chain and a place in it from which both sides are equal. `callers` is the number of chains that called
    it. Packets that get there, or back to the callers, have the same outcome on both sides.
    """

    book: Rulebook
    same: Mapping[int, object] = field(default_factory=dict)
    until: tuple[str, int] | None = None
    callers: int = 0
    left: int = _MOST_STEPS  # remaining steps; an outcome that takes more is unknown

    def outcome(self, stack: Stack, box: Box) -> SymbolicOutcome | None:
        """Return the outcome of the set's packets at a place; None if it differs between them or is unknown."""
        self.left -= 1
        if self.left < 0:
            return None
        *outer, (chain, place) = stack
        rules = self.book.chains.get(chain, ())
        if place >= len(rules):
            return self._ended(tuple(outer), chain, box)
        if self.until is not None and self.until[0] == chain and self.until[1] <= place:
            return SymbolicOutcome((GOES_ON,), (GOES_ON,))
        rule = rules[place]
        if remembers(rule):
            return None
        further = (*outer, (chain, place + 1))
        asked = self.book.box(rule)
        inside = (*box, *asked)
        if empty(inside):
            return self.outcome(further, box)
        open_ = [wanted for wanted in asked if not implied(box, wanted)]
        met = self._met(rule, further, inside)
        if not open_ or met is None:
            return met
        complement = open_[0].complement if len(open_) == 1 else None
        passed = self.outcome(further, (*box, complement) if complement is not None else box)
        return SymbolicOutcome(met.done, None) if passed is not None and passed.done == met.done else None

    def _ended(self, outer: Stack, chain: str, box: Box) -> SymbolicOutcome | None:
        """Return the outcome at the end of a chain, or at a RETURN: back to the caller, or the policy."""
        if self.until is not None and outer and len(outer) == self.callers:
            return SymbolicOutcome((COMES_BACK,), (COMES_BACK,))
        if outer:
            return self.outcome(outer, box)
        policy = self.book.policies.get(chain)
        return SymbolicOutcome((policy,), (f"policy of {chain}",)) if policy else None

    def _met(self, rule: Rule, further: Stack, box: Box) -> SymbolicOutcome | None:
        """Return the outcome of packets that meet a rule."""
        target = clauses.target_of(rule.spec)
        counted = self.same.get(id(rule), (rule.chain, rule.text))
        if target is None:
            return _first(counted, "", self.outcome(further, box))
        *outer, (chain, _) = further
        if self.book.jumps(rule):
            stack = (*outer, (target.name, 0)) if target.verb == "goto" else (*further, (target.name, 0))
            return _first(counted, "", self.outcome(stack, box))
        if target.name == "RETURN":
            return _first(counted, "", self._ended(tuple(outer), chain, box))
        if target.name in ENDING:
            return SymbolicOutcome((target.text,), (counted,))
        if target.name not in _GOING_ON:
            return None
        return _first(counted, target.text, self.outcome(further, box))


def _first(counted: object, done: str, rest: SymbolicOutcome | None) -> SymbolicOutcome | None:
    if rest is None:
        return None
    matched = None if rest.matched is None else (counted, *rest.matched)
    return SymbolicOutcome((done, *rest.done) if done else rest.done, matched)


def _target(rule: Rule) -> Target:
    target = clauses.target_of(rule.spec)
    assert target is not None
    return target
