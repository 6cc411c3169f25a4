"""Where two rule sets are not the same: a packet that gets there nowhere meets the same rules all its way."""

from __future__ import annotations

from testbed.rules.ruleset import Ruleset

ChainName = tuple[str, str]  # of its table, and its own


def chains_apart(one: Ruleset, other: Ruleset) -> frozenset[ChainName] | None:
    """The chains with other rules or another policy; None where a chain or a set is on one side alone."""
    before, now = _by_chain(one), _by_chain(other)
    if before.keys() != now.keys() or one.sets != other.sets:
        return None
    return frozenset(chain for chain, lines in before.items() if lines != now[chain])


def _by_chain(rules: Ruleset) -> dict[ChainName, list[str]]:
    """Each chain's policy and rules."""
    return {
        (table.name, chain.name): [str(chain.policy), *(rule.text for rule in table.rules_of(chain.name))]
        for table in rules.tables
        for chain in table.chains
    }
