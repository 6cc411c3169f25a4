"""Where the ways of one packet under two rule sets part: the rule on each side that made the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from testbed.behaviour.witness import ProbeJourneys
from testbed.observe.journey import ChainTraversal, Journey, RuleEvaluation

_ACCEPT = "ACCEPT"
_LEADING_ON = ("jump", "goto", "return", "continue")  # verdicts, in the trace's words


@dataclass(frozen=True, slots=True)
class JourneyStep:
    """A rule that a packet was held against; a policy that decided, a translation, or the end, which have no `asked`.

    `place` is `NODE HOOK`, empty for the end; `text` the rule's, the policy's (`:FORWARD DROP`), or words.
    """

    place: str
    table: str
    chain: str
    text: str
    asked: RuleEvaluation | None = None

    @property
    def matched(self) -> bool:
        """All but a rule that the packet was held against in vain."""
        return self.asked is None or self.asked.matched

    @property
    def decides(self) -> bool:
        """Whether it did something; a policy that accepts does not."""
        return self.matched and not (self.is_policy and self.text.endswith(f" {_ACCEPT}"))

    @property
    def final(self) -> bool:
        """Whether it decided or changed something, and did not only lead on."""
        return self.decides and (self.asked is None or self.asked.verdict.split(" ")[0] not in _LEADING_ON)

    @property
    def failed(self) -> str:
        """The clause of a rule that did not hold; empty for one that matched, or where that cannot be told."""
        return self.asked.failed.text if self.asked is not None and self.asked.failed is not None else ""

    @property
    def said(self) -> tuple[str, str, str]:
        """What it is and where; equal on both sides where their rules are."""
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
        """For programs."""
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
    """The first steps that are not the same, of the questions' ways or (`of_answer`) of the answers'.

    `gone`: it is a rule that only the old side has, in a chain that both passed.
    """

    old: JourneyStep
    new: JourneyStep
    gone: bool
    of_answer: bool

    @property
    def sides(self) -> tuple[JourneyStep, JourneyStep]:
        return self.old, self.new

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {"of": "answer" if self.of_answer else "question", "old": self.old.as_dict(), "new": self.new.as_dict()}


def parting(old: ProbeJourneys, new: ProbeJourneys) -> Parting | None:
    """Where two ways part; None when they are the same, or one was not gone.

    Of the question and its answer it is the one of which something else became, where there is such a one.
    """
    both = zip(old.journeys, new.journeys, strict=True)
    found = [
        (_became(one) == _became(other), Parting(*apart, of_answer=bool(number)))
        for number, (one, other) in enumerate(both)
        if one is not None and other is not None and (apart := _between(one, other)) is not None
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _became(journey: Journey) -> tuple[object, ...]:
    """How it ended, and as what it came out; but for its own port, that is anew each time."""
    seen = journey.arrived
    return journey.end.place, (seen.source, seen.destination) if seen is not None else None


def steps(journey: Journey) -> Iterator[JourneyStep]:
    """A journey as steps, in order: every rule asked, policies, translations, the end.

    Of translations only the addresses are compared where a port is one that a kernel chose, anew each time.
    """
    chosen = max(journey.sent.source_port, journey.sent.destination_port)
    for passed, hook in journey.hooks:
        place = f"{passed.node} {hook.hook}"
        for chain in hook.chains:
            yield from (JourneyStep(place, of.table, of.chain, asked.rule.text, asked) for of, asked in chain.every)
            if chain.end.startswith("policy "):
                policy = f":{chain.chain} {chain.end.removeprefix('policy ')}"
                yield JourneyStep(place, chain.table, chain.chain, policy)
        yield from (JourneyStep(place, "", "", change.replace(f":{chosen}", ":*")) for change in hook.translations)
    yield JourneyStep("", "", "", journey.end.place)


def _between(old: Journey, new: Journey) -> tuple[JourneyStep, JourneyStep, bool] | None:
    """What did something is compared first: a rule that matched on neither side changes nothing."""
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
    """The places behind the last step in common before the first that was final and is not the same.

    So a RETURN more, after which both went on in the same way, is not where they parted. Where all that was final is
    the same it is the first step that is not.
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
    """The steps up to each one that did something, with that as the last."""
    stretch: list[JourneyStep] = []
    for step in steps(journey):
        stretch.append(step)
        if step.decides:
            yield stretch
            stretch = []


def _named(own: Sequence[JourneyStep], other: JourneyStep, known_there: set[tuple[str, str, str]]) -> JourneyStep:
    """The step of a stretch that tells why it did not end with what the other side's ended with.

    That is what this side alone has; else what the other side's rule is here: held against in vain, changed into one
    that was, or gone, so that the chain's policy decided.
    """
    decided, passed = own[-1], own[:-1]
    if decided.is_rule and decided.said not in known_there:
        return decided
    there = [step for step in passed if (step.table, step.chain) == (other.table, other.chain)]
    same = [step for step in there if step.said == other.said]
    changed = [step for step in there if step.is_rule and step.said not in known_there]
    return next(iter((*same, *changed, *(step for step in there if step.is_policy))), decided)


def _known(journey: Journey) -> set[tuple[str, str, str]]:
    """Every rule of the chains that it passed, asked or not reached, and each of the chains by itself."""
    return {known for _, hook in journey.hooks for chain in hook.chains for known in _of(chain)}


def _of(chain: ChainTraversal) -> Iterator[tuple[str, str, str]]:
    yield chain.table, chain.chain, ""
    yield from ((chain.table, chain.chain, rule.text) for rule in chain.not_reached)
    for asked in chain.asked:
        yield chain.table, chain.chain, asked.rule.text
        if asked.into is not None:
            yield from _of(asked.into)
