"""Chains as functions over sets of packets: which rule decides about which, and what the packets are like then.

Packets that are not told apart any more stay together: where rules change a field, its vector becomes another, and the
packets go on as one set. So a chain is walked once, however many translations came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.analysis import clauses
from testbed.analysis.changed_rules import RuleKey
from testbed.analysis.context import Context
from testbed.analysis.packets import STATE_BITS, State, SymbolicPacket
from testbed.analysis.rules import (
    Add,
    AnalysedChain,
    AnalysedRule,
    Assign,
    Copy,
    Decide,
    Jump,
    Manip,
    Note,
    Notrack,
    Return,
    Translate,
    Unmodelled,
    Verdict,
)
from testbed.analysis.space import empty
from testbed.analysis.tracking import flag
from testbed.analysis.translation import without_address
from testbed.analysis.vector import PacketSet, Vector
from testbed.errors import AnalysisError
from testbed.rules.reference import RuleReference

Change = Assign | Copy | Add | Notrack
Ending = Decide | Translate | Note | Unmodelled | Change
Translator = Callable[[Context, Manip, Sequence[tuple[PacketSet, Translate]]], None]
Matcher = Callable[[Context, AnalysedRule], PacketSet]

_STEPS = 200_000  # rules walked in one pass; chains that jump to each other twice each grow as powers of two
_ANY_ADDRESS = "a translation to the address of an interface that has none"
_DEPTH = 32  # of jumps; the kernel allows 16


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Packets that a rule or a policy decided about, for good or in the base chain that they went through."""

    packets: PacketSet
    verdict: Verdict
    reference: RuleReference
    base: AnalysedChain
    answer: str = ""
    translation: Translate | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """Packets for which a rule did something beside deciding; `unmodelled`: it may have decided too."""

    packets: PacketSet
    text: str
    reference: RuleReference
    unmodelled: bool = False


@dataclass(slots=True, eq=False)
class RuleSets:
    """What each rule did with packets: those that entered its chain, that its clauses match, and that it matched."""

    entered: dict[int, PacketSet] = field(default_factory=dict)
    matched: dict[int, PacketSet] = field(default_factory=dict)
    hits: dict[int, PacketSet] = field(default_factory=dict)

    def add(self, rule: AnalysedRule, entering: PacketSet, matching_: PacketSet, hit: PacketSet) -> None:
        """Add one evaluation of a rule; a chain is entered from several places."""
        for kept, new in ((self.entered, entering), (self.matched, entering & matching_), (self.hits, hit)):
            kept[id(rule)] = kept[id(rule)] | new if id(rule) in kept else new

    def of(self, name: str, rule: AnalysedRule, whole: PacketSet) -> PacketSet:
        """Return one of the sets of a rule: entering, matching, hit; an empty one if no packet was followed there."""
        kept = {"entering": self.entered, "matching": self.matched, "hit": self.hits}[name]
        return kept.get(id(rule), whole & ~whole)


def matching(context: Context, rule: AnalysedRule) -> PacketSet:
    """The packets that meet the clauses of a rule of iptables."""
    return clauses.packets_of(context, rule.clauses)


@dataclass(slots=True, eq=False)
class Walk:
    """One pass of packets through chains; `context.packet` is what they are like at this moment.

    `touched` are the packets that matched a rule of `watched`, or came to such a policy. With `only`, no other rules
    than these are followed.
    """

    context: Context
    chains: Mapping[tuple[str, str], AnalysedChain]
    translator: Translator
    matcher: Matcher
    decisions: list[Decision] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    steps: int = 0
    depth: int = 0
    watched: frozenset[RuleKey] = frozenset()
    only: frozenset[RuleKey] | None = None
    sets: RuleSets | None = None
    current: AnalysedChain = field(init=False)
    touched: PacketSet = field(init=False)

    def __post_init__(self) -> None:
        self.touched = self.context.space.none

    def base(self, chain: AnalysedChain, packets: PacketSet) -> PacketSet:
        """Take packets through a base chain; those that it lets pass."""
        start = len(self.decisions)
        self.current = chain
        left = self._chain(chain, packets)
        if not empty(left):
            if (chain.table, chain.name, None) in self.watched:
                self.touched = self.touched | left
            verdict = Verdict.ACCEPT if chain.accepts else Verdict.DROP
            self.decisions.append(Decision(left, verdict, chain.policy, chain))
        self._translate(self.decisions[start:])
        passed = (one.packets for one in self.decisions[start:] if one.verdict is Verdict.ACCEPT)
        return self.context.space.any_of(passed)

    def _translate(self, decisions: Sequence[Decision]) -> None:
        """Translate at the end of a chain: no rule of it sees a packet again that one has translated."""
        for manip in Manip:
            made = [(one.packets, one.translation) for one in decisions]
            hits = [(hit, action) for hit, action in made if action is not None and action.manip is manip]
            if hits:
                self.translator(self.context, manip, hits)

    def _chain(self, chain: AnalysedChain, packets: PacketSet) -> PacketSet:
        """Take packets through a chain; those that come back from it."""
        returned, current = self.context.space.none, packets
        self._enter(chain)
        for rule in chain.rules:
            key = rule.reference.table, rule.reference.chain, rule.reference.number
            if self.only is not None and key not in self.only:
                continue
            if empty(current) and self.sets is None:
                break
            self.steps += 1
            matched = self._matching(rule, current)
            hit = current & matched
            if self.sets is not None:
                self.sets.add(rule, packets, matched, hit)
            if empty(hit):
                continue
            if key in self.watched:
                self.touched = self.touched | hit
            stay, back = self._rule(rule, hit)
            current = current & ~hit | stay
            returned = returned | back
        self.depth -= 1
        return returned | current

    def _enter(self, chain: AnalysedChain) -> None:
        self.depth += 1
        if self.depth > _DEPTH or self.steps > _STEPS:
            raise AnalysisError(
                f"the chain {chain.name} of table {chain.table} is entered too often to be followed.",
                "Rules that jump in a circle are refused by the kernel; mend the jumps.",
            )

    def _matching(self, rule: AnalysedRule, current: PacketSet) -> PacketSet:
        self.context.reference, self.context.reaching = rule.reference, current
        return self.matcher(self.context, rule)

    def _rule(self, rule: AnalysedRule, hit: PacketSet) -> tuple[PacketSet, PacketSet]:
        """Do what a rule does; the packets that go on to the next one, and those that leave the chain."""
        none = self.context.space.none
        for action in rule.actions:
            if isinstance(action, Return):
                return none, hit
            if isinstance(action, Jump):
                chain = self.chains[rule.reference.table, action.chain]
                back = self._chain(chain, hit)
                return (none, back) if action.goto else (back, none)
            ended = self._answered(hit) if isinstance(action, Decide) and action.verdict is Verdict.ANSWER else hit
            if self._ends(rule.reference, action, ended):
                return hit & ~ended, none
        return hit, none

    def _answered(self, hit: PacketSet) -> PacketSet:
        """The segments that SYNPROXY takes: those of a client that begin a connection or acknowledge its answer."""
        syn, ack, fin, rst = (flag(self.context.packet, name) for name in ("SYN", "ACK", "FIN", "RST"))
        return hit & ~fin & ~rst & (syn ^ ack)

    def _ends(self, reference: RuleReference, action: Ending, hit: PacketSet) -> bool:
        """Do what changes or decides; whether it ended the packets' way through the base chain."""
        if isinstance(action, Decide):
            self.decisions.append(Decision(hit, action.verdict, reference, self.current, action.answer))
        elif isinstance(action, Translate):
            strange = hit & without_address(self.context, action)
            if not empty(strange):
                self.effects.append(Effect(strange, _ANY_ADDRESS, reference, unmodelled=True))
            self.decisions.append(Decision(hit, Verdict.ACCEPT, reference, self.current, translation=action))
        elif isinstance(action, Note | Unmodelled):
            unmodelled = isinstance(action, Unmodelled)
            self.effects.append(Effect(hit, action.text, reference, unmodelled))
            return False
        else:
            self.context.packet = changed(self.context, self.context.packet, hit, action)
            return False
        return True


def changed(context: Context, packet: SymbolicPacket, hit: PacketSet, action: Change) -> SymbolicPacket:
    """The packet after a rule has changed a field of those that it hit."""
    space = context.space
    if isinstance(action, Notrack):
        fresh = hit & context.state_is(State.INVALID)
        untracked = space.constant(State.UNTRACKED, STATE_BITS)
        return replace(packet, state=space.choose(fresh, untracked, packet.state))
    name = action.target if isinstance(action, Copy) else action.field
    old: Vector = getattr(packet, name)
    if isinstance(action, Assign):
        new = _assigned(context, old, action)
    elif isinstance(action, Add):
        new = _added(context, old, action.amount)
    else:
        new = _combined(context, getattr(packet, action.source), old, action.mask)
    fields: dict[str, Any] = {name: space.choose(hit, new, old)}
    return replace(packet, **fields)


def _combined(context: Context, one: Vector, other: Vector, mask: int) -> Vector:
    """The bits of a mask from one number, the others from another."""
    space, width = context.space, len(other)
    if mask == (1 << width) - 1:
        return one
    bits = zip(one, other, space.constant(mask, width), strict=True)
    return space.vector(tuple(mine if chosen == space.all else theirs for mine, theirs, chosen in bits))


def _assigned(context: Context, old: Vector, action: Assign) -> Vector:
    """The bits of the mask cleared and those of the value flipped, or, without `flip`, set to it."""
    space, width = context.space, len(old)
    whole = (1 << width) - 1
    value, mask = action.value & whole, action.mask & whole
    if mask == whole:
        return space.constant(value, width)
    kept = _combined(context, space.constant(0, width), old, mask)
    flipped = value if action.flip else value & mask
    bits = zip(kept, space.constant(flipped, width), strict=True)
    return space.vector(tuple(bit ^ flip for bit, flip in bits))


def _added(context: Context, old: Vector, amount: int) -> Vector:
    """A number with another added to it, not below 0 and not above its greatest (ttl_tg, xt_HL.c)."""
    space, greatest = context.space, (1 << len(old)) - 1
    carry, found = space.none, []
    for bit, other in zip(reversed(old.bits), reversed(space.constant(amount & greatest, len(old)).bits), strict=True):
        found.append(bit ^ other ^ carry)
        carry = bit & other | carry & (bit | other)
    total = space.vector(tuple(reversed(found)))
    if amount >= 0:
        return space.choose(carry, space.constant(greatest, len(old)), total)
    return space.choose(carry, total, space.constant(0, len(old)))
