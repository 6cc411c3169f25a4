"""Rule sets in nftables' own syntax: the output of `nft list ruleset` and the input of `nft -f`.

The text of a rule set stays unchanged and is not interpreted: `nft` and the kernel judge it. Only nft's listing is
parsed here, for the text of the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from testbed.rules import files, nft_script
from testbed.rules.origin import UNKNOWN, RulesetOrigin
from testbed.rules.syntax import NFTABLES, Syntax

_TABLE = re.compile(r"^table (\w+ \S+) \{.*\n", re.MULTILINE)
_RULE = re.compile(r"^\t\t(\S.*(?:\n\t\t\t.*)*(?:\n\t\t\})?) # handle (\d+)$", re.MULTILINE)
_COUNTER = re.compile(r'"[^"]*"|\{(?:"[^"]*"|[^{}"])*\}|(?P<counter>(?<!\S)counter(?!\S)(?! name ) ?)')


@dataclass(frozen=True, slots=True)
class NftRuleset:
    """A rule set in nftables' syntax: all tables of all families, as text."""

    syntax: ClassVar[Syntax] = NFTABLES

    text: str
    source: str = field(default="the rule set", compare=False)
    origin: RulesetOrigin = field(default=UNKNOWN, compare=False)

    def __post_init__(self) -> None:
        """Raise RulesError for text that lets nft read other files, wait for DNS or never end."""
        nft_script.require_safe(self.text, self.source)

    @property
    def sets(self) -> str:
        return ""

    @property
    def listing(self) -> list[str]:
        return self.text.splitlines()

    @property
    def number_of_rules(self) -> int:
        return sum("counter" in line.split() for line in self.listing)

    @property
    def as_iptables(self) -> None:
        return None

    def named(self, source: str) -> NftRuleset:
        """Return the same rules with another name for messages."""
        return replace(self, source=source)

    @property
    def says_nothing(self) -> bool:
        """Whether there are only comments and empty lines."""
        return all(line.startswith("#") or not line for line in map(str.strip, self.text.splitlines()))


def read(path: Path | str) -> NftRuleset:
    """Return the rule set in a file; raises RulesError when it cannot be read."""
    return NftRuleset(
        files.text_of(path, "Give a file that `nft list ruleset` wrote."), str(path), RulesetOrigin.of_file(str(path))
    )


def by_handle(listing: str) -> dict[tuple[str, int], str]:
    """Return the text of each rule, without its counter, by table (`FAMILY NAME`) and handle.

    `listing` is the output of `nft -a -s list ruleset`: rules with handles (-a) and without counter values (-s).
    """
    _, *parts = _TABLE.split(listing)
    return {
        (table, int(rule[2])): without_counter(re.sub(r"\n\t+", " ", rule[1]))
        for table, body in zip(parts[::2], parts[1::2], strict=True)
        for rule in _RULE.finditer(body)
    }


def without_counter(words: str) -> str:
    """Return a rule without its first counter statement; a named counter, or one in a comment or set element, stays."""
    for found in _COUNTER.finditer(words):
        if found["counter"]:
            return f"{words[: found.start()]}{words[found.end() :]}".strip()
    return words
