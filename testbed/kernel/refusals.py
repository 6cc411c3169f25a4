"""Errors for rules that iptables-restore does not load, with the line and the missing feature."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from testbed.errors import RulesError
from testbed.rules import save
from testbed.rules.ruleset import Ruleset

_AT_LINE = re.compile(r"line:? (\d+)")
_CHATTER = re.compile(r"Try `.*' for more information|^#|^\s*$|^Error occurred at line")
_OTHERS = "Correct that line, or install what it needs (a match, a target, an ipset)."


@dataclass(frozen=True, slots=True)
class _MissingFeature:
    """A missing feature: iptables' message, its meaning, a remedy, and the options of rules that need it."""

    said: re.Pattern[str]
    means: Callable[[str], str]
    remedy: str
    options: str


# iptables 1.8.9: the nft variant reports a missing chain only at COMMIT, the legacy variant takes it for a target.
_LACKS = (
    _MissingFeature(
        re.compile(r"Chain '(\S+)' does not exist|Couldn't load target `(.+)'"),
        lambda name: f"{name} is neither a chain of its table nor a target that iptables has here",
        "Give the whole dump, with the chain in it, or leave that rule out.",
        "-j|-g|--jump|--goto",
    ),
    _MissingFeature(
        re.compile(r"Couldn't load match `(.+)'"),
        lambda name: f"iptables has no match {name} here",
        "Install it, or leave that rule out.",
        "-m|--match",
    ),
    _MissingFeature(
        re.compile(r"Extension (\S+) revision \d+ not supported, missing kernel module"),
        lambda name: f"this kernel has no {name}",
        "Load the kernel's module for it, or leave that rule out.",
        "-m|-j|-g|--match|--jump|--goto",
    ),
)


def complaint(ruleset: Ruleset, program: str, stderr: str) -> RulesError:
    """Return the error for a program's complaint, with file, line and text if these are known."""
    for lack in _LACKS:
        if found := lack.said.search(stderr):
            name = next(filter(None, found.groups()))
            where = _asking(ruleset, lack.options, name) or _place(ruleset, stderr)
            at = f"{where[0]}, line {where[1]}: {where[2]!r}" if where else ruleset.source
            return RulesError(f"{at} cannot be loaded: {lack.means(name)}.", lack.remedy)
    said = [line for line in stderr.splitlines() if not _CHATTER.search(line)]
    words = "; ".join(re.sub(rf"^{program}( v\S+ \(\w+\))?: ", "", line) for line in said)
    place = _place(ruleset, stderr)
    if place is None:
        return RulesError(f"{ruleset.source}: {program} refused it: {words or stderr.strip()}")
    source, number, line = place
    return RulesError(f"{source}, line {number}: {line!r} is refused by {program}: {words}", _OTHERS)


def _place(ruleset: Ruleset, stderr: str) -> tuple[str, int, str] | None:
    """Return file, number and text of the line that the program names, or None."""
    found = _AT_LINE.search(stderr)
    return save.place(ruleset, int(found[1])) if found else None


def _asking(ruleset: Ruleset, options: str, name: str) -> tuple[str, int, str] | None:
    """Return file, number and text of the first rule with a match, a target or a chain of that name, or None."""
    asks = re.compile(rf"(?:^|\s)(?:{options}) {re.escape(name)}(?=\s|$)")
    for table, rule in ruleset.rules:
        chains = [chain.name for chain in table.chains]
        if name not in chains and asks.search(rule.spec):
            return table.source or ruleset.source, rule.line, str(rule)
    return None
