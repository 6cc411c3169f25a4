"""Differences between two rule sets as the page shows them: by cause, with the witness's journeys side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.behaviour.difference import ANSWERED, CLOSED, KINDS, MEANINGS, MOVED, OPENED, TRANSLATED, decided
from testbed.behaviour.divergence import JourneyStep, Parting
from testbed.behaviour.explanation import Explained
from testbed.behaviour.witness import ProbeJourneys
from testbed.report.difference import OTHERWISE, TABLE
from testbed.report.page.aligned import Pair, aligned

_SIGNS = {OPENED: "+", CLOSED: "\N{MINUS SIGN}", TRANSLATED: "⇄", ANSWERED: "↩", MOVED: "≈"}
_NOT_SENT = "Nothing was sent: the kernel has no way there."
_NO_ANSWER = "No answer was given."


@dataclass(frozen=True, slots=True)
class ComparedRulesets:
    """A comparison: `names` of both sides, the number of probes, the differences, and what is not judged.

    `compared` is None if all packets were compared: the differences are regions of packets.
    """

    names: tuple[str, str]
    compared: int | None
    found: tuple[Explained, ...]
    remarks: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Return the number of behaviours that differ."""
        return sum(len(one.cause.changes) for one in self.found)

    @property
    def unit(self) -> str:
        return "region" if self.compared is None else "probe"

    @property
    def heading(self) -> str:
        if self.compared is not None:
            return f"{self.number} of {self.compared} behaviours differ"
        return f"{self.number} regions of packets behave differently" if self.found else "No packet behaves differently"

    @property
    def none(self) -> str:
        """Return what is said if nothing differs."""
        if not self.not_asked:
            return "Both sides do the same with every packet."
        if self.compared is None:
            return "Both sides do the same with every packet, but for what is not judged."
        return f"No difference among {self.compared} probes; not all that the rules say was asked."

    @property
    def open_label(self) -> str:
        return "Not judged" if self.compared is None else "Not asked"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change with the number of its probes; `slug` is its name in links and styles."""

    name: str
    probes: int

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def sign(self) -> str:
        return _SIGNS[self.name]

    @property
    def meaning(self) -> str:
        return MEANINGS[self.name]


@dataclass(frozen=True, slots=True)
class WaysView:
    """The journeys of one packet, the witness or its answer, on both sides; `notes` tell why a side has none."""

    title: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, str]
    open: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """A side of a divergence: its rule as text before, in and after the failed clause."""

    table: str
    words: tuple[str, str, str]
    matched: bool
    is_rule: bool
    place: str


@dataclass(frozen=True, slots=True)
class CauseView:
    """A cause; `apart` are the steps where the journeys, or its answer's, diverge, empty if they do not."""

    id: str
    kind: Kind
    one: Explained
    of_answer: bool
    apart: tuple[StepView, ...]
    ways: tuple[WaysView, ...]
    remarks: tuple[str, ...]

    @property
    def by(self) -> tuple[str, str]:
        """Return the rule that decided about the witness, on each side; empty if there is none."""
        witness, (before, now) = self.one.cause.witness, self.one.cause.parted
        return decided(witness.old, before), decided(witness.new, now)

    @property
    def became(self) -> tuple[str, str]:
        """Return the outcomes of the witness; if they are equal, the rules that decided on one side only."""
        old, new = self.one.cause.witness.old, self.one.cause.witness.new
        if self.kind.name != MOVED:
            return old.outcome, new.outcome
        alone = ([by for by in side.by if by not in other.by] for side, other in ((old, new), (new, old)))
        before, now = (" and ".join(by) or "no rule of its own" for by in alone)
        return f"{old.outcome} by {before}", f"by {now}"


@dataclass(frozen=True, slots=True)
class DifferenceView:
    difference: ComparedRulesets
    kinds: tuple[Kind, ...]
    causes: tuple[CauseView, ...]


def view(difference: ComparedRulesets) -> DifferenceView:
    """Return the view of a difference."""
    probes: Counter[str] = Counter()
    for one in difference.found:
        probes[one.cause.kind] += len(one.cause.changes)
    kinds = {kind: Kind(kind, probes[kind]) for kind in KINDS if probes[kind]}
    shown = [_cause(one, kinds[one.cause.kind], n) for n, one in enumerate(difference.found, start=1)]
    return DifferenceView(difference, tuple(kinds.values()), tuple(shown))


def _cause(one: Explained, kind: Kind, number: int) -> CauseView:
    apart = one.parting
    steps = tuple(map(_step, apart.sides)) if apart is not None else ()
    remarks = (OTHERWISE,) if one.otherwise else ()
    return CauseView(
        f"cause-{number}", kind, one, apart is not None and apart.of_answer, steps, tuple(_ways(one, apart)), remarks
    )


def _ways(one: Explained, apart: Parting | None) -> Sequence[WaysView]:
    """Return the packet whose journeys diverge first; the other packet's journeys are folded."""
    of_answer = apart is not None and apart.of_answer
    sides = one.old, one.new
    shown = []
    for title, answer in (("The witness", False), ("Its answer", True)):
        old, new = (way.journeys[answer] if way is not None else None for way in sides)
        if old is None and new is None and (answer or sides == (None, None)):
            continue
        here = apart.sides if apart is not None and answer == of_answer else None
        notes = [_note(way, answer) for way in sides]
        shown.append(WaysView(title, tuple(aligned(old, new, here)), (notes[0], notes[1]), answer == of_answer))
    return sorted(shown, key=lambda ways: not ways.open)


def _note(way: ProbeJourneys | None, answer: bool) -> str:
    if way is None:
        return TABLE
    if way.journeys[answer] is not None:
        return ""
    return _NO_ANSWER if answer else _NOT_SENT


def _step(step: JourneyStep) -> StepView:
    """Split the step's text at the failed clause, if any; its position is relative to the rule's specification."""
    text, failed = step.text, step.asked.failed if step.asked is not None else None
    words = (text, "", "")
    if step.asked is not None and failed is not None:
        before = len(text) - len(step.asked.rule.spec)
        start, end = before + failed.start, before + failed.end
        words = (text[:start], text[start:end], text[end:])
    return StepView(step.table, words, step.matched, step.is_rule, step.place)
