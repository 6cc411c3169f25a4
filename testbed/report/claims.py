"""The list of claims as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from testbed.claims import Claim
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text


def table(claims: Sequence[Claim]) -> FittedTable:
    """Return a table of id, section, claim, verdict, evidence, and the cases that show it."""
    made = Table("id", "where", "claim", "verdict", "what the kernel shows", "cases", show_lines=True)
    made.columns[0].no_wrap = made.columns[3].no_wrap = True
    for claim in claims:
        verdict = Text(claim.verdict, style="green" if claim.holds else "bold yellow")
        cases = "\n".join(case.partition("::")[2].removeprefix("test_").replace("_", " ") for case in claim.cases)
        made.add_row(
            claim.id, claim.section, Text(claim.claim), verdict, Text(claim.evidence), Text(cases, style="dim")
        )
    holding = sum(claim.holds for claim in claims)
    made.caption = f"{len(claims)} claims: {holding} hold, {len(claims) - holding} corrected by the kernel"
    return FittedTable(made)
