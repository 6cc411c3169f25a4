"""Rule sets of both syntaxes as the analysis walks them."""

from __future__ import annotations

from testbed.analysis import iptables
from testbed.analysis.rules import Program
from testbed.errors import AnalysisError
from testbed.rules import AnyRuleset, NftRuleset


def program(ruleset: AnyRuleset) -> Program:
    """The chains of a rule set."""
    if isinstance(ruleset, NftRuleset):
        raise AnalysisError(f"{ruleset.source} is of nftables' own syntax, which is not analysed.")
    return iptables.program(ruleset)
