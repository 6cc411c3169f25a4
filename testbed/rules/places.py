"""The lines of the rules of a rule set in its file: chains by table and name, rules by number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from testbed.rules.ruleset import AnyRuleset

_FAMILIES = "ip|ip6|inet|arp|bridge|netdev"
_TABLE = re.compile(rf"\s*(?:(?:add|create)\s+)?table\s+(?:(?P<family>{_FAMILIES})\s+)?(?P<name>\S+)")
_CHAIN = re.compile(r"\s*chain\s+(?P<name>\S+)")
_ADDED = re.compile(rf"\s*add\s+(?P<what>rule|chain)\s+(?:(?P<family>{_FAMILIES})\s+)?(?P<table>\S+)\s+(?P<chain>\S+)")
_NO_RULES = ("type ", "policy ", "comment ", "devices ", "flags ")
_NO_CODE = re.compile(r'"[^"]*"|#.*')


@dataclass(frozen=True, slots=True)
class ChainPlaces:
    """The lines, from 1, of a chain's declaration and of its rules in order; 0 if there is none."""

    declared: int
    rules: tuple[int, ...]

    def line(self, number: int | None) -> int:
        """Return the line of a rule by its number in the chain, from 1, or of the policy (None); 0 if it is unknown."""
        if number is None:
            return self.declared
        return self.rules[number - 1] if number <= len(self.rules) else 0


Places = Mapping[tuple[str, str], ChainPlaces]


def places(ruleset: AnyRuleset) -> Places:
    """Return the lines of all chains; in nftables' syntax those written in blocks, as nft lists them, or by `add`."""
    if (iptables := ruleset.as_iptables) is None:
        found: dict[tuple[str, str], ChainPlaces] = {}
        for number, table, chain, of_rule in statements(ruleset.text):
            known = found.setdefault((table, chain), ChainPlaces(0 if of_rule else number, ()))
            found[table, chain] = replace(known, rules=(*known.rules, number)) if of_rule else known
        return found
    return {
        (table.name, chain.name): ChainPlaces(chain.line, tuple(rule.line for rule in table.rules_of(chain.name)))
        for table in iptables.tables
        for chain in table.chains
    }


def statements(text: str) -> Iterator[tuple[int, str, str, bool]]:
    """Yield the line of each chain and each rule, with table and chain, and whether it is a rule.

    Chains are in the braces of a table, rules in those of a chain. A rule may have braces of its own.
    """
    table, chain, depth = "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        code = _NO_CODE.sub("", line).strip()
        if depth == 0 and (found := _ADDED.match(line)):
            yield number, f"{found['family'] or 'ip'} {found['table']}", found["chain"], found["what"] == "rule"
        elif depth == 0 and (found := _TABLE.match(line)):
            table = f"{found['family'] or 'ip'} {found['name']}"
        elif depth == 1 and (found := _CHAIN.match(line)):
            chain = found["name"]
            yield number, table, chain, False
        elif depth == 2 and chain and code not in ("", "}") and not code.startswith(_NO_RULES):
            yield number, table, chain, True
        depth += code.count("{") - code.count("}")
        chain = chain if depth > 1 else ""
