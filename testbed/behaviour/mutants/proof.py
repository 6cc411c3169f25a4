"""Prove that a mutant cannot behave differently, from the packet sets of clauses; else return no proof."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from testbed.behaviour.mutants.edits import Behind, OfSet, Outermost, Policy, Preceded, Rewritten
from testbed.behaviour.mutants.mutant import Mutant
from testbed.behaviour.mutants.packet_sets import empty, implied
from testbed.behaviour.mutants.symbolic_execution import (
    COMES_BACK,
    GOES_ON,
    Box,
    Reached,
    Rulebook,
    SymbolicOutcome,
    SymbolicWalk,
)
from testbed.rules import clauses
from testbed.rules.memory import remembers
from testbed.rules.ruleset import Rule, Ruleset
from testbed.rules.unreachable import LimitedRule, Limits

_MUTATED = "the rule that is changed"
_ENDS = {
    "ACCEPT": "accepted",
    "DROP": "dropped",
    "MASQUERADE": "hidden behind the host's address",
    GOES_ON: "left to the same rules that follow",
    COMES_BACK: "left to the same rules that follow",
}


_PORT_KEPT = re.compile(r"(?<!! )--dport (?P<port>\d+) .*-j DNAT --to-destination \S*:(?P=port)$")


@dataclass(frozen=True, slots=True)
class Proof:
    """Why a mutant is equivalent; `counters`: all other rules count equally too."""

    sentence: str
    counters: bool

    def __str__(self) -> str:
        return f"{self.sentence} ({'by counters too' if self.counters else 'by behaviour only'})"


@dataclass(frozen=True, slots=True)
class _Case:
    """Packets that a mutant may treat differently, at the first rule that differs."""

    chain: str
    place: int
    box: Box


def proof(rules: Ruleset, mutant: Mutant) -> Proof | None:
    """Return the proof that a mutant of these rules is equivalent; None if there is none or the rule is missing."""
    changed = mutant.apply(rules)
    if changed is None:
        return None
    if changed.listing == rules.listing and changed.sets == rules.sets:
        return Proof("it is the same rule set", counters=True)
    old, new = (Rulebook.of(side.table(mutant.table)) for side in (rules, changed))
    if isinstance(mutant.edit, Policy):
        return _of_policy(old, mutant.chain)
    if isinstance(mutant.edit, OfSet) or _concerns_state(old, new):
        return None
    return _of_rule(old, new, mutant)


def _of_policy(book: Rulebook, chain: str) -> Proof | None:
    """Prove that a rule before the policy decides every packet."""
    table = book.table.name
    rules = (LimitedRule(table, rule.chain, rule.spec) for rule in book.table.rules)
    limits = Limits(rules, ((table, name) for name in book.chains), ((table, name) for name in book.policies))
    why = limits.decided_by(table, chain)
    return Proof(f"no packet comes to the policy: {why}", counters=True) if why else None


def _concerns_state(old: Rulebook, new: Rulebook) -> bool:
    """Return whether a changed rule keeps state, or a stateful rule is in a part with another order."""
    for chain in {*old.chains, *new.chains}:
        was, is_now = old.chains.get(chain, ()), new.chains.get(chain, ())
        head = _common_tail(was[::-1], is_now[::-1])
        tail = _common_tail(was[head:], is_now[head:])
        changed = (*was[head : len(was) - tail], *is_now[head : len(is_now) - tail])
        if any(map(remembers, changed)):
            return True
    return False


def _of_rule(old: Rulebook, new: Rulebook, mutant: Mutant) -> Proof | None:
    if (plain := _plainly(old, new, mutant)) is not None:
        return plain
    gone = isinstance(mutant.edit, Preceded) or not mutant.replaced
    shadows, ends, counters, reached = [], [], True, False
    cases = list(_cases(old, new, mutant))
    if not cases:
        return Proof("it asks for the same packets in other words", counters=True)
    for case in cases:
        ways = old.ways(case.chain, case.place)
        if ways is None:
            return None
        for way in ways:
            reached = True
            box = (*way.box, *case.box)
            if empty(box):
                continue
            if (shadow := _shadow(old, way, box)) is not None:
                shadows.append(shadow)
                continue
            both = _both(old, new, way, box)
            if both is None:
                return None
            was, is_now = both
            ends.append(was.done)
            counters = counters and _counted(was, gone) == _counted(is_now, gone) is not None
    return Proof(_sentence(old, mutant, shadows, ends, reached), counters)


def _plainly(old: Rulebook, new: Rulebook, mutant: Mutant) -> Proof | None:
    """Prove equivalence from the text of the rule alone."""
    was, is_now = old.chains[mutant.chain], new.chains.get(mutant.chain, ())
    if isinstance(mutant.edit, Preceded):
        added = is_now[_place(mutant, was)]
        again = added.spec == was[_place(mutant, was)].spec
        return Proof("the rule behind it says the same", counters=False) if again else None
    if not isinstance(mutant.edit, Rewritten) or len(was) != len(is_now) or mutant.edit.chain != mutant.chain:
        return None
    before, after = was[_place(mutant, was)], is_now[_place(mutant, was)]
    if before is was[-1] and f" {before.spec}".replace(" -j ", " -g ").strip() == after.spec:
        return Proof("it is the last rule of its chain, so that both lead back to the same place", counters=True)
    if (kept := _PORT_KEPT.search(before.spec)) and before.spec.removesuffix(f":{kept['port']}") == after.spec:
        return Proof(f"what it translates is for port {kept['port']} already", counters=True)
    return None


def _both(old: Rulebook, new: Rulebook, way: Reached, box: Box) -> tuple[SymbolicOutcome, SymbolicOutcome] | None:
    """Return the outcomes on both sides if equal, up to where the sides are equal, or to the end; else None."""
    chain, depth, known = way.stack[-1][0], len(way.stack) - 1, _known(old, new)
    tail = _common_tail(old.chains[chain], new.chains[chain])
    ends = [(chain, len(book.chains[chain]) - tail) for book in (old, new)]
    for untils in (ends, [None, None]):
        was, is_now = (
            SymbolicWalk(book, known, until, depth).outcome(way.stack, box)
            for book, until in zip((old, new), untils, strict=True)
        )
        if was is not None and is_now is not None and was.done == is_now.done:
            return was, is_now
    return None


def _common_tail(one: tuple[Rule, ...], other: tuple[Rule, ...]) -> int:
    """Return the number of equal rules at the end."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))


def _cases(old: Rulebook, new: Rulebook, mutant: Mutant) -> Iterator[_Case]:
    """Yield the places where the rules differ, with the packets for which that may matter."""
    assert mutant.rule is not None
    chain = mutant.chain
    was, is_now = old.chains[chain], new.chains.get(chain, ())
    if isinstance(mutant.edit, Preceded):
        yield _Case(chain, _place(mutant, was), ())
    elif isinstance(mutant.edit, Behind | Outermost):
        place, moved = _place(mutant, was), _moved_to(was, is_now, _place(mutant, was))
        passed = was[place + 1 : moved + 1] if moved > place else was[moved:place]
        yield from (_Case(chain, min(place, moved), (*old.box(mutant.rule), *old.box(other))) for other in passed)
    elif isinstance(mutant.edit, Rewritten):
        place, other = _place(mutant, was), mutant.edit.chain
        if other == chain and mutant.edit.specs:
            yield from (_Case(chain, place, box) for box in _told_apart(old, was[place], is_now[place]))
            return
        yield _Case(chain, place, old.box(mutant.rule))
        if other != chain:
            place = next(n for n, rule in enumerate(new.chains[other]) if all(rule is not o for o in old.chains[other]))
            yield _Case(other, place, old.box(mutant.rule))


def _told_apart(book: Rulebook, old: Rule, new: Rule) -> Iterator[Box]:
    """Yield the packets that only one of two rules matches; all packets of both if their targets differ."""
    one, other = book.box(old), book.box(new)
    targets = [target.text if (target := clauses.target_of(rule.spec)) else "" for rule in (old, new)]
    verbs = [target.verb if (target := clauses.target_of(rule.spec)) else "" for rule in (old, new)]
    if targets[0] != targets[1] or verbs[0] != verbs[1]:
        yield from (one, other)
        return
    for box, beside in ((one, other), (other, one)):
        open_ = [wanted for wanted in beside if not implied(box, wanted)]
        if not open_:
            continue
        complement = open_[0].complement if len(open_) == 1 else None
        yield (*box, complement) if complement is not None else box


def _place(mutant: Mutant, rules: tuple[Rule, ...]) -> int:
    assert mutant.rule is not None
    return [n for n, rule in enumerate(rules) if rule.text == mutant.rule.text][mutant.nth]


def _moved_to(was: tuple[Rule, ...], is_now: tuple[Rule, ...], place: int) -> int:
    """Return the new index of a rule that was only moved."""
    different = [n for n, (one, other) in enumerate(zip(was, is_now, strict=True)) if one is not other]
    return different[-1] if different and different[0] == place else different[0] if different else place


def _known(old: Rulebook, new: Rulebook) -> dict[int, object]:
    """Return one name for all rules that only one side has: the mutated rule."""
    sides = [{id(rule) for rules in book.chains.values() for rule in rules} for book in (old, new)]
    return dict.fromkeys(sides[0] ^ sides[1], _MUTATED)


def _counted(outcome: SymbolicOutcome, gone: bool) -> Counter[object] | None:
    """Return the rules that count these packets; without the mutated rule if only one side has it."""
    if outcome.matched is None:
        return None
    return Counter(counting for counting in outcome.matched if not (gone and counting == _MUTATED))


def _shadow(book: Rulebook, way: Reached, box: Box) -> Rule | None:
    """Return a rule on the path that has already decided all these packets."""
    return next((rule for rule in way.missed if all(implied(box, wanted) for wanted in book.box(rule))), None)


def _sentence(book: Rulebook, mutant: Mutant, shadows: list[Rule], ends: list[tuple[str, ...]], reached: bool) -> str:
    assert mutant.rule is not None
    if not reached:
        return f"no packet comes to {mutant.chain}, because nothing leads there"
    if (
        ends
        and book.chains[mutant.chain][-1].text == mutant.rule.text
        and not mutant.replaced
        and _returns(mutant.rule)
    ):
        return f"{mutant.chain} ends there anyway"
    if ends:
        said = {_ENDS.get(done[-1], "") for done in ends if len(done) == 1}
        alike = f"{said.pop()} either way" if len(said) == 1 and all(said) and len({*ends}) == 1 else "decided alike"
        return f"the packets that this is about are {alike}"
    if shadows:
        return f"`{shadows[0].text}` has decided all such packets before"
    if isinstance(mutant.edit, Behind | Outermost):
        return "no packet meets both rules"
    return "no packet that comes there tells the two apart"


def _returns(rule: Rule) -> bool:
    return rule.target == "RETURN"
