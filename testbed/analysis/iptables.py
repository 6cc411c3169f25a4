"""Rule sets of iptables as the analysis walks them."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.rules import AnalysedChain, AnalysedRule, Program
from testbed.analysis.targets import actions
from testbed.rules.clauses import clauses, target_of
from testbed.rules.loaded import BaseChain
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import IPV6, Chain, Ruleset, Table

_TRACKING = (
    *("conntrack", "state", "connmark", "helper", "connbytes", "connlimit", "connlabel", "cluster"),
    *("CONNMARK", "CT", "NOTRACK", "SYNPROXY", "CONNSECMARK"),
)


def program(ruleset: Ruleset, nft: bool = True) -> Program:
    """All tables of a rule set; `nft` is whether iptables-nft loads it, which orders the security table otherwise."""
    chains = [chain for table in ruleset.tables for chain in _chains(ruleset, table, nft)]
    words = {word for _, rule in ruleset.rules for word in rule.spec.split()}
    translates = any(table.name.removeprefix(IPV6) == "nat" for table in ruleset.tables)
    return Program(tuple(chains), ruleset.sets, tracks=translates or bool(words & set(_TRACKING)))


def _chains(ruleset: Ruleset, table: Table, nft: bool) -> Iterator[AnalysedChain]:
    source = table.source or ruleset.source
    version = 6 if table.of_ipv6 else 4
    plain = table.name.removeprefix(IPV6)
    for chain in table.chains:
        yield _chain(table, chain, source, version, plain, nft)


def _chain(table: Table, chain: Chain, source: str, version: int, plain: str, nft: bool) -> AnalysedChain:
    rules = []
    names = {known.name for known in table.chains if known.policy is None}
    for number, rule in enumerate(table.rules_of(chain.name), start=1):
        reference = RuleReference(table.name, chain.name, number, rule.text, rule.line, source)
        done = actions(target_of(rule.spec), version, names)
        rules.append(AnalysedRule(reference, clauses(rule.spec), done))
    text = f":{chain.name} {chain.policy or '-'}"
    policy = RuleReference(table.name, chain.name, None, text, chain.line, source)
    if chain.policy is None:
        return AnalysedChain(table.name, chain.name, tuple(rules), policy, versions=(version,))
    base = BaseChain.of_iptables(plain, chain.name, chain.policy, nft)
    return AnalysedChain(
        table.name,
        chain.name,
        tuple(rules),
        policy,
        chain.policy != "DROP",
        base.hook,
        base.priority,
        base.nat,
        (version,),
    )
