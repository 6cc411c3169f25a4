"""Where the rules of a rule set stand in its file: chains by table and name, their rules by number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.rules.nft import AnyRuleset, NftRuleset

_TABLE = re.compile(r"\s*(?:(?:add|create)\s+)?table\s+(?:(?P<family>ip|ip6|inet|arp|bridge|netdev)\s+)?(?P<name>\S+)")
_CHAIN = re.compile(r"\s*chain\s+(?P<name>\S+)")
_NO_RULES = ("type ", "policy ", "comment ", "devices ", "flags ")
_NO_CODE = re.compile(r'"[^"]*"|#.*')


@dataclass(frozen=True, slots=True)
class ChainPlaces:
    """The lines, from 1, of a chain's declaration and of its rules in order; 0: it has none."""

    declared: int
    rules: tuple[int, ...]

    def line(self, number: int | None) -> int:
        """The line of a rule by its number in the chain, from 1; None is the policy's. 0 where it is not known."""
        if number is None:
            return self.declared
        return self.rules[number - 1] if number <= len(self.rules) else 0


Places = Mapping[tuple[str, str], ChainPlaces]


def places(ruleset: AnyRuleset) -> Places:
    """The places of all chains; of nftables' text those of chains that are written in blocks, as nft lists them."""
    if isinstance(ruleset, NftRuleset):
        return dict(_of_blocks(ruleset.text))
    return {
        (table.name, chain.name): ChainPlaces(chain.line, tuple(rule.line for rule in table.rules_of(chain.name)))
        for table in ruleset.tables
        for chain in table.chains
    }


def _of_blocks(text: str) -> Iterator[tuple[tuple[str, str], ChainPlaces]]:
    """Chains stand in the braces of a table, rules in those of a chain; a rule may open braces of its own."""
    table, chain, declared, depth = "", "", 0, 0
    rules: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = _NO_CODE.sub('""', line).strip()
        if depth == 0 and (found := _TABLE.match(line)):
            table = f"{found['family'] or 'ip'} {found['name']}"
        elif depth == 1 and (found := _CHAIN.match(line)):
            chain, declared, rules = found["name"], number, []
        elif depth == 2 and chain and code.strip('"') and code != "}" and not code.startswith(_NO_RULES):
            rules.append(number)
        depth += code.count("{") - code.count("}")
        if depth == 1 and chain:
            yield (table, chain), ChainPlaces(declared, tuple(rules))
            chain = ""
