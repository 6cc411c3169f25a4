"""Rule sets as data: read, written, compared. Nothing here touches the kernel."""

from testbed.rules.counters import ZERO, Counters
from testbed.rules.nft import NftRuleset
from testbed.rules.reading import CounterReading
from testbed.rules.ruleset import AnyRuleset, Chain, Rule, Ruleset, Table

__all__ = ["ZERO", "AnyRuleset", "Chain", "CounterReading", "Counters", "NftRuleset", "Rule", "Ruleset", "Table"]
