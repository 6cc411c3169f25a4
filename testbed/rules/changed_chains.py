"""The chains in which two rule sets differ: a packet that enters none of them evaluates the same rules in both."""

from __future__ import annotations

from testbed.rules.ruleset import Ruleset

ChainName = tuple[str, str]  # the name of its table, and its own name


def chains_apart(one: Ruleset, other: Ruleset) -> frozenset[ChainName] | None:
    """Return the chains with other rules or another policy; None if one side alone has a chain or a set."""
    before, now = _by_chain(one), _by_chain(other)
    if before.keys() != now.keys() or one.sets != other.sets:
        return None
    return frozenset(chain for chain, lines in before.items() if lines != now[chain])


def _by_chain(rules: Ruleset) -> dict[ChainName, list[str]]:
    """Return each chain's policy and rules."""
    return {
        (table.name, chain.name): [str(chain.policy), *(rule.text for rule in table.rules_of(chain.name))]
        for table in rules.tables
        for chain in table.chains
    }
