"""Rule sets of both syntaxes as the analysis walks them."""

from __future__ import annotations

from testbed.analysis import iptables, native
from testbed.analysis.rules import Program
from testbed.rules import AnyRuleset


def program(ruleset: AnyRuleset, nft: bool = True) -> Program:
    """Return the chains of a rule set; raises AnalysisError for text that is not understood.

    `nft` is whether iptables-nft loads rules of iptables, and not iptables-legacy.
    """
    own = ruleset.as_iptables
    return native.program(ruleset) if own is None else iptables.program(own, nft)
