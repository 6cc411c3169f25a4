"""The clauses of a rule in nftables' own syntax, as `nft list ruleset` prints it.

A rule is a row of conditions and statements; a condition that does not hold ends it. What is not known here is a
condition all the same, of which nothing can be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from testbed.rules.clauses import Clause

_WORD = re.compile(r'"[^"]*"|\{[^}]*\}|\S+')
_OPERATORS = ("==", "!=", "<", ">", "<=", ">=")
_ADDRESSED, _TYPED = ("saddr", "daddr"), ("saddr", "daddr")
# How many words name what is compared, by how they begin.
_NAMES = {
    ("iifname",): 1,
    ("oifname",): 1,
    ("iif",): 1,
    ("oif",): 1,
    ("ip",): 2,
    ("ip6",): 2,
    ("tcp",): 2,
    ("udp",): 2,
    ("sctp",): 2,
    ("th",): 2,
    ("icmp",): 2,
    ("icmpv6",): 2,
    ("meta",): 2,
    ("mark",): 1,
    ("ct", "original"): 3,
    ("ct", "reply"): 3,
    ("ct",): 2,
    ("fib",): 3,
}
_STATEMENTS = ("counter", "accept", "drop", "continue", "return", "masquerade", "reject", "log", "notrack", "limit")
_STATEMENTS_WITH_WORDS = ("jump", "goto", "dnat", "snat", "redirect", "queue", "comment", "packets", "bytes", "tproxy")
UNKNOWN = "?"


@lru_cache(maxsize=4096)
def clauses(rule: str) -> tuple[Clause, ...]:
    """The conditions of a rule, in its own order; one that is not known has the option `?`."""
    return tuple(_read(rule))


def _read(rule: str) -> Iterator[Clause]:
    words = [(found[0], found.start(), found.end()) for found in _WORD.finditer(rule)]
    at = 0
    while at < len(words):
        text = [word for word, _, _ in words[at:]]
        if text[0] == "counter":
            at += 5 if text[1:2] == ["packets"] else 1
            continue
        if text[0] in _STATEMENTS or text[0] in _STATEMENTS_WITH_WORDS or _sets(text):
            return
        length, option, negated, values = _condition(text)
        first, last = words[at][1], words[at + length - 1][2]
        yield Clause(rule[first:last], first, last, option, values, "nft", negated)
        at += length


def _sets(text: list[str]) -> bool:
    """Whether it changes something: `meta mark set 1`."""
    return "set" in text[1:3]


def _condition(text: list[str]) -> tuple[int, str, bool, tuple[str, ...]]:
    """How many words it has, what is compared, whether the opposite is wanted, and with what."""
    number = next((n for begin, n in _NAMES.items() if tuple(text[: len(begin)]) == begin), 0)
    if not number or len(text) <= number:
        return len(text), UNKNOWN, False, ()
    option = " ".join(text[:number])
    at = number
    operator = text[at] if text[at] in _OPERATORS else ""
    at += bool(operator)
    if at >= len(text) or operator in ("<", ">", "<=", ">=") or text[at] in ("vmap", "and", "&", "map"):
        return min(at + 2, len(text)), UNKNOWN, False, ()
    value = text[at]
    inside = value[1:-1].split(",") if value.startswith("{") else value.split(",")
    values = tuple(part.strip().strip('"') for part in inside)
    if any(part.startswith("@") or " : " in part or part in ("&", "|", "/") for part in values):
        return at + 1, UNKNOWN, False, ()
    if at + 1 < len(text) and text[at + 1] in ("vmap", "and", "&", "|", "map", "/"):
        return min(at + 3, len(text)), UNKNOWN, False, ()
    return at + 1, option, operator == "!=", values
