"""Find where the journeys of one packet under two rule sets diverge: the rule on each side that made the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from testbed.behaviour.witness import ProbeJourneys
from testbed.observe.journey import ChainTraversal, Journey, RuleEvaluation

_ACCEPT = "ACCEPT"
_LEADING_ON = ("jump", "goto", "return", "continue")  # verdicts that continue the traversal, as in the kernel's trace


@dataclass(frozen=True, slots=True)
class JourneyStep:
    """A rule evaluation; or a policy that decided, a translation, or the end, which have no `asked`.

    `place` is `NODE HOOK`, empty for the end. `text` is the rule, the policy (`:FORWARD DROP`), or a description.
    """

    place: str
    table: str
    chain: str
    text: str
    asked: RuleEvaluation | None = None

    @property
    def matched(self) -> bool:
        """Return False only for a rule that did not match."""
        return self.asked is None or self.asked.matched

    @property
    def decides(self) -> bool:
        """Return whether the step had an effect; an accepting policy has none."""
        return self.matched and not (self.is_policy and self.text.endswith(f" {_ACCEPT}"))

    @property
    def final(self) -> bool:
        """Return whether the step decided or changed something, other than a jump, goto, return or continue."""
        return self.decides and (self.asked is None or self.asked.verdict.split(" ")[0] not in _LEADING_ON)

    @property
    def failed(self) -> str:
        """Return the clause of a rule that failed; empty if the rule matched or the clause is unknown."""
        return self.asked.failed.text if self.asked is not None and self.asked.failed is not None else ""

    @property
    def said(self) -> tuple[str, str, str]:
        """Return the step's identity: table, chain and text; equal on both sides if their rules are."""
        return self.table, self.chain, self.text

    @property
    def is_rule(self) -> bool:
        return self.asked is not None

    @property
    def is_policy(self) -> bool:
        return self.text.startswith(":")

    def __str__(self) -> str:
        return f"{self.table} {self.text}".strip()

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {
            "table": self.table,
            "chain": self.chain,
            "number": self.asked.number if self.asked is not None else None,
            "rule": self.text,
            "matched": self.matched,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Parting:
    """The first steps that differ, of the questions' journeys or (`of_answer`) of the answers'.

    `gone`: the old step is a rule that only the old side has, in a chain that both packets entered.
    """

    old: JourneyStep
    new: JourneyStep
    gone: bool
    of_answer: bool

    @property
    def sides(self) -> tuple[JourneyStep, JourneyStep]:
        return self.old, self.new

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {"of": "answer" if self.of_answer else "question", "old": self.old.as_dict(), "new": self.new.as_dict()}


def parting(old: ProbeJourneys, new: ProbeJourneys) -> Parting | None:
    """Return the divergence of two probes' journeys; None if they are equal or one is missing.

    Between question and answer, prefer the one whose end or delivered packet differs.
    """
    both = zip(old.journeys, new.journeys, strict=True)
    found = [
        (_became(one) == _became(other), Parting(*apart, of_answer=bool(number)))
        for number, (one, other) in enumerate(both)
        if one is not None and other is not None and (apart := _between(one, other)) is not None
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _became(journey: Journey) -> tuple[object, ...]:
    """Return where the packet ended, and its addresses on arrival, without the probe's port, which is new each time."""
    seen = journey.arrived
    return journey.end.place, (seen.source, seen.destination) if seen is not None else None


def steps(journey: Journey) -> Iterator[JourneyStep]:
    """Yield the steps of a journey in order: every rule evaluation, policies, translations, the end.

    A port that the kernel chose is written as `*` in translations, since it is new each time.
    """
    chosen = max(journey.sent.source_port, journey.sent.destination_port)
    for passed, hook in journey.hooks:
        place = f"{passed.node} {hook.hook}"
        for chain in hook.chains:
            yield from (JourneyStep(place, of.table, of.chain, asked.rule.text, asked) for of, asked in chain.every)
            if chain.policy:
                yield JourneyStep(place, chain.table, chain.chain, f":{chain.chain} {chain.policy}")
        yield from (JourneyStep(place, "", "", change.replace(f":{chosen}", ":*")) for change in hook.translations)
    yield JourneyStep("", "", "", journey.end.place)


def _between(old: Journey, new: Journey) -> tuple[JourneyStep, JourneyStep, bool] | None:
    """Compare deciding steps first: a rule that matched on neither side changes nothing."""
    before, now = (list(_stretches(journey)) for journey in (old, new))
    ends = _ends([stretch[-1] for stretch in before], [stretch[-1] for stretch in now])
    if ends is None:
        return None
    one, other = before[ends[0]], now[ends[1]]
    here, there = _known(old), _known(new)
    was, is_now = _named(one, other[-1], there), _named(other, one[-1], here)
    alone = was.is_rule and was.said not in there and (was.table, was.chain, "") in there
    return was, is_now, alone and (not is_now.is_rule or is_now.said in here)


def _ends(old: Sequence[JourneyStep], new: Sequence[JourneyStep]) -> tuple[int, int] | None:
    """Return the index after the last common step before the first differing final step; None if all are equal.

    So an additional RETURN, after which both journeys continue equally, is not the divergence. If all final steps are
    equal, return the index of the first step that differs.
    """
    finals = [[n for n, step in enumerate(side) if step.final] for side in (old, new)]
    for a, b in zip(*finals, strict=False):
        if old[a].said != new[b].said:
            matcher = SequenceMatcher(None, [s.said for s in old[:a]], [s.said for s in new[:b]], autojunk=False)
            common = [block for block in matcher.get_matching_blocks() if block.size]
            return (common[-1].a + common[-1].size, common[-1].b + common[-1].size) if common else (0, 0)
    pairs = enumerate(zip(old, new, strict=False))
    return next(((n, n) for n, (one, other) in pairs if one.said != other.said), None)


def _stretches(journey: Journey) -> Iterator[list[JourneyStep]]:
    """Yield the steps up to and including each deciding step."""
    stretch: list[JourneyStep] = []
    for step in steps(journey):
        stretch.append(step)
        if step.decides:
            yield stretch
            stretch = []


def _named(own: Sequence[JourneyStep], other: JourneyStep, known_there: set[tuple[str, str, str]]) -> JourneyStep:
    """Return the step of a stretch that explains why it did not end as the other side's stretch ended.

    That is the deciding rule if only this side has it. Otherwise it is this side's counterpart of the other side's
    rule: the same rule without a match, a changed rule without a match, or, if the rule is gone, the policy of its
    chain.
    """
    decided, passed = own[-1], own[:-1]
    if decided.is_rule and decided.said not in known_there:
        return decided
    there = [step for step in passed if (step.table, step.chain) == (other.table, other.chain)]
    same = [step for step in there if step.said == other.said]
    changed = [step for step in there if step.is_rule and step.said not in known_there]
    return next(iter((*same, *changed, *(step for step in there if step.is_policy))), decided)


def _known(journey: Journey) -> set[tuple[str, str, str]]:
    """Return the evaluated and unreached rules of every chain that the packet entered, and each chain itself."""
    return {known for _, hook in journey.hooks for chain in hook.chains for known in _of(chain)}


def _of(chain: ChainTraversal) -> Iterator[tuple[str, str, str]]:
    yield chain.table, chain.chain, ""
    yield from ((chain.table, chain.chain, rule.text) for rule in chain.not_reached)
    for asked in chain.asked:
        yield chain.table, chain.chain, asked.rule.text
        if asked.into is not None:
            yield from _of(asked.into)
