"""Rule sets in nftables' own syntax: what `nft list ruleset` prints and `nft -f` reads.

The text of a rule set is kept as it was written and never interpreted: `nft` and the kernel judge it. Only what nft
lists is read here, for what it calls the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from testbed.rules import files, nft_script
from testbed.rules.ruleset import Ruleset

_TABLE = re.compile(r"^table (\w+ \S+) \{.*\n", re.MULTILINE)
_RULE = re.compile(r"^\t\t(\S.*(?:\n\t\t\t.*)*(?:\n\t\t\})?) # handle (\d+)$", re.MULTILINE)
_COUNTER = re.compile(r'"[^"]*"|\{(?:"[^"]*"|[^{}"])*\}|(?P<counter>(?<!\S)counter(?!\S)(?! name ) ?)')


@dataclass(frozen=True, slots=True)
class NftRuleset:
    """All tables of all families, as text; `source` names where it came from, for messages."""

    text: str
    source: str = field(default="the rule set", compare=False)

    def __post_init__(self) -> None:
        """Raise RulesError for what would have nft read other files, wait for DNS or never end."""
        nft_script.require_safe(self.text, self.source)

    @property
    def rendered(self) -> str:
        """The text that is loaded: as it was written, byte for byte."""
        return self.text

    @property
    def says_nothing(self) -> bool:
        """Whether there are only comments and empty lines."""
        return all(line.startswith("#") or not line for line in map(str.strip, self.text.splitlines()))


AnyRuleset = Ruleset | NftRuleset


def read(path: Path | str) -> NftRuleset:
    """The rule set in a file; RulesError when it cannot be read."""
    return NftRuleset(files.text_of(path, "Give a file that `nft list ruleset` wrote."), source=str(path))


def by_handle(listing: str) -> dict[tuple[str, int], str]:
    """The words of each rule, without its counter, by table (`FAMILY NAME`) and handle.

    `listing` is what `nft -a -s list ruleset` prints: rules with handles (-a) and without what they counted (-s).
    """
    _, *parts = _TABLE.split(listing)
    return {
        (table, int(rule[2])): without_counter(re.sub(r"\n\t+", " ", rule[1]))
        for table, body in zip(parts[::2], parts[1::2], strict=True)
        for rule in _RULE.finditer(body)
    }


def without_counter(words: str) -> str:
    """A rule without its first counter; not one in a comment, in a set's element or one with a name of its own."""
    for found in _COUNTER.finditer(words):
        if found["counter"]:
            return f"{words[: found.start()]}{words[found.end() :]}".strip()
    return words
