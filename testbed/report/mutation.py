"""The results of a campaign, for a terminal and for a pull request's comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.mutation.campaign import Campaign, CampaignResult
from testbed.mutation.outcome import ERROR, NO_COVERAGE, SURVIVED, MutantResult
from testbed.report.markdown import code, fenced, in_html, plain
from testbed.report.terminal import Text

UNNOTICED = (SURVIVED, NO_COVERAGE)
_WHY = {SURVIVED: "no case notices it", NO_COVERAGE: "no case reaches it"}


def numbers(campaign: Campaign) -> list[tuple[str, int]]:
    """Return the number of mutants with each result; errors only if there are any."""
    score = campaign.score
    return [
        ("made", score.made),
        ("proved equivalent", score.equivalent),
        ("killed by behaviour", score.by_behaviour),
        ("killed by counters only", score.by_counters),
        ("survived", score.survived),
        ("no case reaches it", score.no_coverage),
        *([("errors", score.errors)] if score.errors else []),
    ]


def lines(campaign: Campaign) -> Iterator[Text]:
    """Yield the survivors, each with its witness and a case; then the numbers."""
    for one in campaign.of(*UNNOTICED):
        yield from _unnoticed(one, campaign)
        yield Text()
    for one in campaign.of(ERROR):
        yield Text.assemble(("error  ", "bold red"), one.mutant.title)
        yield Text(f"  {one.outcome.said}")
    yield Text.assemble((heading(campaign), "bold"))
    yield Text(", ".join(f"{name} {number}" for name, number in numbers(campaign)))
    reused = f", {campaign.reused} mutants known from before" if campaign.reused else ""
    took = f"{campaign.seconds:.1f} s, {campaign.baseline:.1f} of them for the cases on the rules as they are"
    yield Text(f"{len(campaign.cases)} cases; {took}{reused}", style="dim")


def heading(campaign: Campaign) -> str:
    """Return the result in one line."""
    source = campaign.about
    return f"{source}: the cases notice {campaign.score.percent:.1f} % of the mistakes that can be noticed"


def why(outcome: MutantResult) -> str:
    """Describe why no case killed the mutant."""
    return f"{_WHY[outcome.status]}{f' of the {outcome.cases} that reach it' if outcome.cases else ''}"


def without_witness(one: CampaignResult, campaign: Campaign) -> str:
    """Describe why there is no probe that distinguishes the mutant from the rules."""
    asked = one.outcome.cases or not campaign.wanted.engine
    return "No probe tells them apart." if asked else "No probe was asked: its host is known to cases alone."


def _unnoticed(one: CampaignResult, campaign: Campaign) -> Iterator[Text]:
    outcome = one.outcome
    yield Text.assemble((one.mutant.title, "bold"), f"   {why(outcome)}  ", (outcome.mutant, "dim"))
    yield Text(f"  {one.where}", style="dim")
    yield from (Text(f"  {line}", style="red" if line.startswith("-") else "green") for line in one.mutant.diff)
    witness = outcome.witness
    if witness is None:
        yield Text(f"  {without_witness(one, campaign)}")
        return
    yield Text.assemble(f"  {witness.kind}: ", (witness.probe, "cyan"))
    yield Text(f"    - {witness.before}")
    yield Text(f"    + {witness.now}")
    if witness.case:
        yield Text("  A case that notices it:")
        yield from (Text(f"    {line}".rstrip()) for line in witness.case.splitlines())
    else:
        yield Text("  No case for it could be written.")


def markdown(campaign: Campaign) -> str:
    """Return a comment for a pull request."""
    score = numbers(campaign)
    parts = [f"### {plain(heading(campaign))}", ""]
    parts += [f"| {' | '.join(name for name, _ in score)} |", f"|{' ---: |' * len(score)}"]
    parts += [f"| {' | '.join(str(number) for _, number in score)} |", ""]
    parts += _folded(campaign.of(*UNNOTICED))
    parts += [f"- error: {plain(one.mutant.title)}: {plain(one.outcome.said)}" for one in campaign.of(ERROR)]
    return "\n".join([*parts, ""])


def _folded(unnoticed: Sequence[CampaignResult]) -> Iterator[str]:
    for one in unnoticed:
        witness = one.outcome.witness
        yield f"<details><summary>{in_html(one.mutant.title)} ({_WHY[one.outcome.status]})</summary>"
        yield from ("", plain(one.where), "")
        yield from fenced(one.mutant.diff, "diff")
        if witness is not None:
            yield from ("", f"{witness.kind}: {code(witness.probe)}", "")
            yield from fenced([f"- {witness.before}", f"+ {witness.now}"], "diff")
        if witness is not None and witness.case:
            yield from ("", *fenced([witness.case.rstrip()], "python"))
        yield from ("</details>", "")
