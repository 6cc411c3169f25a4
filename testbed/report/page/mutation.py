"""What became of the mutants of a rule set as the page shows it: the numbers, and each mistake that nobody noticed."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mutation.campaign import Campaign, CampaignResult
from testbed.mutation.outcome import ERROR, Witness
from testbed.report import mutation as report
from testbed.report.page.difference import Kind


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What becomes of the probe, and the rule that decided, '' where none did."""

    outcome: str
    by: str

    @property
    def good(self) -> bool:
        return self.outcome.startswith("reaches ") and ", its answer is" not in self.outcome


@dataclass(frozen=True, slots=True)
class WitnessView:
    """A probe that tells the mutant from the rules; `case` is the source of a case that notices it."""

    kind: Kind
    probe: str
    ends: tuple[ProbeOutcome, ProbeOutcome]
    case: str


@dataclass(frozen=True, slots=True)
class MutantView:
    """A mutant that no case noticed, or that ended in an error; without a witness `note` says why there is none."""

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
        """How many can be noticed."""
        score = self.campaign.score
        return score.killed + score.survived + score.no_coverage


def view(campaign: Campaign) -> MutationView:
    """How a campaign is shown."""
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
