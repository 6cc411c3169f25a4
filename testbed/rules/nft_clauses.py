"""A rule's clauses in nftables' syntax, as `nft list ruleset` prints them, with their positions in the text.

`module` is the header or subsystem that a clause reads (ip, tcp, meta, ct, fib). `option` is the field. `values` are
the elements, one of which must be equal. From the first unknown word on, all text up to the rule's statement is one
clause without a module, since its end is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from testbed.rules.clauses import Clause

_WORD = re.compile(r'"[^"]*"|\{(?:"[^"]*"|[^"}])*\}|\([^)]*\)|[^\s"{}()]+')
_ELEMENT = re.compile(r'(?:"[^"]*"|[^,"])+')
_INTERFACES = ("iifname", "oifname", "iif", "oif")
_HEADERS = {"ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "ether", "meta", "ct"}
_STATEMENTS = {
    *("accept", "drop", "continue", "return", "jump", "goto", "queue", "reject"),
    *("dnat", "snat", "masquerade", "redirect", "tproxy", "notrack", "log", "dup", "fwd", "flow", "synproxy"),
    *("add", "update", "delete", "set"),
}
_FLAGS = {("tcp", "flags"), ("ct", "status")}
_SIGNS = ("|", "^", ".", "<<", ">>")  # operators that join several words to one value
_OPERATORS = (*_SIGNS, "&", "/", "!", "!=", "==")
_COMPARISONS = ("<", ">", "<=", ">=", "vmap")


@dataclass(frozen=True, slots=True)
class _NftWord:
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Selector:
    """The field that a condition reads, and the number of words that name it."""

    module: str
    option: str
    length: int

    def compared(self, value: str) -> str:
        """Return the option for a comparison with a whole value, which for flags differs from a test of one flag.

        `ct state` has one flag at a time, so only a comparison with a list of states differs.
        """
        name = self.module, self.option
        listed = name == ("ct", "state") and "," in value and not value.startswith("{")
        return f"{self.option} exactly" if name in _FLAGS or listed else self.option


@lru_cache(maxsize=4096)
def clauses(words: str) -> tuple[Clause, ...]:
    """Return the clauses of a rule in the order of its text, without counters and comments."""
    found = [_NftWord(word.start(), word.end(), word[0]) for word in _WORD.finditer(words)]
    return tuple(_conditions(words, list(_without_counters_and_comments(found))))


def _without_counters_and_comments(words: list[_NftWord]) -> Iterator[_NftWord]:
    skipped = 0
    for place, word in enumerate(words):
        if skipped:
            skipped -= 1
        elif word.text == "counter":
            behind = words[place + 1].text if place + 1 < len(words) else ""
            skipped = {"packets": 4, "name": 2}.get(behind, 0)
        elif word.text == "comment":
            skipped = 1
        else:
            yield word


def _conditions(text: str, words: list[_NftWord]) -> Iterator[Clause]:
    place = 0
    while place < len(words) and words[place].text not in _STATEMENTS:
        texts = [word.text for word in words[place:]]
        selector = _selector(texts)
        if selector and texts[selector.length : selector.length + 1] == ["set"]:
            return
        read = _condition(selector, texts[selector.length :]) if selector else None
        if read is None:
            yield _not_understood(text, words[place:])
            return
        option, negated, values, length = read
        assert selector is not None
        start, end = words[place].start, words[place + selector.length + length - 1].end
        yield Clause(text[start:end], start, end, selector.module, option, negated, values)
        place += selector.length + length


def _selector(texts: list[str]) -> _Selector | None:
    match texts:
        case [name, *_] if name in _INTERFACES:
            return _Selector("meta", name, 1)
        case ["fib", "saddr" | "daddr" as key, "type", *_]:
            return _Selector("fib", f"{key} type", 3)
        case ["ct", "original" | "reply" as way, "ip" | "ip6" as family, key, *_]:
            return _Selector("ct", f"{way} {family} {key}", 4)
        case ["ct", "original" | "reply" as way, key, *_]:
            return _Selector("ct", f"{way} {key}", 3)
        case [header, key, *_] if header in _HEADERS and re.fullmatch(r"[\w-]+", key):
            return _Selector(header, key, 2)
    return None


def _condition(selector: _Selector, texts: list[str]) -> tuple[str, bool, tuple[str, ...], int] | None:
    """Return option, negation, values and number of words of a condition behind a selector; None if it is unknown."""
    option = selector.option
    match texts:
        case [_, sign, *_] if sign in _SIGNS:
            return None
        case ["!=" | "==", _, sign, *_] if sign in _SIGNS:
            return None
        case ["&", mask, "==" | "!=" as comparison, value, *_]:
            if (selector.module, option) == ("meta", "mark"):
                return option, comparison == "!=", (f"{value}/{mask}",), 4
            return f"{option} &", comparison == "!=", (mask, value), 4
        case ["!=", value, "/", mask, *_]:
            return f"{option} &", True, (mask, value), 4
        case [value, "/", mask, *_]:
            return f"{option} &", False, (mask, value), 3
        case ["!=" | "==" as comparison, value, *_] if _is_value(value):
            return selector.compared(value), comparison == "!=", _elements(value), 2
        case [comparison, value, *_] if comparison in _COMPARISONS:
            return f"{option} {comparison}", False, _elements(value), 2
        case [value, *_] if _is_value(value):
            return selector.compared(value) if value.startswith("{") else option, False, _elements(value), 1
    return None


def _is_value(text: str) -> bool:
    """Return whether it can be a value; operators and the dot of a concatenation cannot."""
    return bool(re.match(r'[\w"{@:+-]', text))


def _elements(value: str) -> tuple[str, ...]:
    """Return the elements of a set or a list, or the keys of a map."""
    inside = value[1:-1] if value.startswith("{") else value
    elements = (re.split(r"\s+:\s+", element.strip())[0] for element in _ELEMENT.findall(inside))
    return tuple(element.removeprefix('"').removesuffix('"') for element in elements)


def _not_understood(text: str, words: list[_NftWord]) -> Clause:
    end = words[0].end
    for before, word in pairwise(words):
        if word.text in _STATEMENTS and before.text not in _OPERATORS:  # snat and dnat are values too
            break
        end = word.end
    start = words[0].start
    return Clause(text[start:end], start, end, "", words[0].text, values=tuple(text[start:end].split()[1:]))
