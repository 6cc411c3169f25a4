"""Compare two states of a host, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from testbed.rules import Ruleset


def compare(expected: Ruleset, actual: Ruleset) -> list[str]:
    """Return the lines in which rule sets differ, order included: `-` is expected and missing, `+` is unexpected.

    A line at another place is both. Counters, comments and dates are not compared.
    """
    return differing(expected.touched.listing, actual.touched.listing)


def differing(expected: Sequence[str], actual: Sequence[str]) -> list[str]:
    """Return the lines in which two ordered lists of lines differ, as `compare` does."""
    found: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, expected, actual, autojunk=False).get_opcodes():
        if kind != "equal":
            found += [f"- {line}" for line in expected[a:b]]
            found += [f"+ {line}" for line in actual[c:d]]
    return found


def of_one_side(expected: Sequence[str], actual: Sequence[str]) -> list[str]:
    """Return the lines that only one side has, at any place."""
    return differing(sorted(expected), sorted(actual))


def out_of_order(expected: Sequence[str], actual: Sequence[str]) -> list[str]:
    """Return the lines that both sides have, but not in the same order."""
    both = Counter(expected) & Counter(actual)
    return differing(_only(expected, both), _only(actual, both))


def _only(lines: Sequence[str], wanted: Counter[str]) -> list[str]:
    left = wanted.copy()
    kept = []
    for line in lines:
        if left[line]:
            left[line] -= 1
            kept.append(line)
    return kept
