"""Rule sets of both syntaxes as the analysis walks them."""

from __future__ import annotations

from testbed.analysis import iptables, native
from testbed.analysis.rules import Program
from testbed.rules import AnyRuleset, NftRuleset


def program(ruleset: AnyRuleset) -> Program:
    """The chains of a rule set; AnalysisError for text that is not understood."""
    return native.program(ruleset) if isinstance(ruleset, NftRuleset) else iptables.program(ruleset)
