"""Rule sets in files, of either kind: what iptables-save or what `nft list ruleset` prints."""

from __future__ import annotations

from pathlib import Path

from testbed.rules import files, save
from testbed.rules.nft import AnyRuleset, NftRuleset

_COMMANDS = ("table", "flush", "add", "create", "define", "include", "delete", "destroy")  # what nft's files begin with


def read(path: Path | str) -> AnyRuleset:
    """The rule set in a file; RulesError when it cannot be read, or is iptables' text and a line is not understood."""
    return parse(files.text_of(path, "Give a file that iptables-save or `nft list ruleset` wrote."), str(path))


def parse(text: str, source: str = "the rule set") -> AnyRuleset:
    """The rule set in a text; it is nftables' where its first word is one of nft's, raises as `read` does."""
    words = (line.split()[0] for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return NftRuleset(text, source) if next(words, "") in _COMMANDS else save.parse(text, source)


def text_of(ruleset: AnyRuleset) -> str:
    """What such a file says."""
    return ruleset.rendered if isinstance(ruleset, NftRuleset) else save.render(ruleset)


def lines_of(ruleset: AnyRuleset) -> list[str]:
    """What there is as lines, without counters: policies, chains and rules by table, or nftables' text as it stands."""
    return ruleset.text.splitlines() if isinstance(ruleset, NftRuleset) else ruleset.listing


def number_of_rules(ruleset: AnyRuleset) -> int:
    """How many rules there are; of nftables' those that count."""
    if isinstance(ruleset, NftRuleset):
        return sum("counter" in line.split() for line in ruleset.text.splitlines())
    return sum(1 for _ in ruleset.rules)
