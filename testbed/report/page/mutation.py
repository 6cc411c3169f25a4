"""The results of a campaign as the page shows them: the numbers, and each undetected mutant."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mutation.campaign import Campaign, CampaignResult
from testbed.mutation.outcome import ERROR, Witness
from testbed.report import mutation as report
from testbed.report.page.difference import Kind


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The outcome of a probe, and the rule that decided, '' if there is none."""

    outcome: str
    by: str

    @property
    def good(self) -> bool:
        return self.outcome.startswith("reaches ") and ", its answer is" not in self.outcome


@dataclass(frozen=True, slots=True)
class WitnessView:
    """A probe that distinguishes the mutant from the rules; `case` is the source of a case that detects it."""

    kind: Kind
    probe: str
    ends: tuple[ProbeOutcome, ProbeOutcome]
    case: str


@dataclass(frozen=True, slots=True)
class MutantView:
    """An undetected mutant, or one that ended in an error; `note` tells why there is no witness."""

    one: CampaignResult
    why: str
    witness: WitnessView | None
    note: str


@dataclass(frozen=True, slots=True)
class MutationView:
    campaign: Campaign
    numbers: tuple[tuple[str, int], ...]
    mutants: tuple[MutantView, ...]

    @property
    def judged(self) -> int:
        """Return the number of mutants that can be detected."""
        score = self.campaign.score
        return score.killed + score.survived + score.no_coverage


def view(campaign: Campaign) -> MutationView:
    """Return the view of a campaign."""
    unnoticed = [_mutant(one, campaign) for one in campaign.of(*report.UNNOTICED)]
    errors = [MutantView(one, "error", None, one.outcome.said) for one in campaign.of(ERROR)]
    return MutationView(campaign, tuple(report.numbers(campaign)), (*unnoticed, *errors))


def _mutant(one: CampaignResult, campaign: Campaign) -> MutantView:
    told = one.outcome.witness
    return MutantView(
        one,
        report.why(one.outcome),
        _witness(told) if told is not None else None,
        report.without_witness(one, campaign) if told is None else "",
    )


def _witness(witness: Witness) -> WitnessView:
    return WitnessView(
        Kind(witness.kind, 1), witness.probe, (_end(witness.before), _end(witness.now)), witness.case.rstrip()
    )


def _end(words: str) -> ProbeOutcome:
    outcome, _, by = words.partition("   by ")
    return ProbeOutcome(outcome, by)
