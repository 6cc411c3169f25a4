"""The clauses of a rule: what a packet has to be for the rule to match it, one condition each.

Read off the words of iptables-save, where a rule matches when all of its clauses hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_QUOTED = re.compile(r'\\(.)|"')
_TARGETS = ("-j", "-g", "--jump", "--goto")
_MODULE, _NOT = ("-m", "--match"), "!"
_NO_CONDITION = ("comment",)  # modules whose options ask nothing of a packet


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: `text` are its words as they stand in the rule, from `start` to `end` of the rule's spec.

    `option` is the condition's name (`-i`, `--dport`), `values` what it is compared with, `module` the match that it
    belongs to (empty for those of every rule), `negated` whether the opposite has to hold.
    """

    text: str
    start: int
    end: int
    option: str
    values: tuple[str, ...] = ()
    module: str = ""
    negated: bool = False

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def clauses(spec: str) -> tuple[Clause, ...]:
    """The conditions of a rule, in its own order; `spec` is what follows `-A CHAIN`."""
    return tuple(_read(spec))


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int

    @property
    def is_option(self) -> bool:
        return self.text.startswith("-") and len(self.text) > 1 and not self.text[1].isdigit()


def _read(spec: str) -> Iterator[Clause]:
    words = [_Word(_QUOTED.sub(r"\1", found[0]), found.start(), found.end()) for found in _WORD.finditer(spec)]
    module = ""
    at = 0
    while at < len(words) and words[at].text not in _TARGETS:
        start = at
        negated = words[at].text == _NOT
        option = words[at + negated] if at + negated < len(words) else words[at]
        at += negated + 1
        values = []
        while at < len(words) and not words[at].is_option and words[at].text != _NOT:
            values.append(words[at].text)
            at += 1
        if option.text in _MODULE:
            module = values[0] if values else ""
        elif module not in _NO_CONDITION or option.text in _BASIC:
            first, last = words[start].start, words[at - 1].end
            own = "" if option.text in _BASIC else module
            yield Clause(spec[first:last], first, last, option.text, tuple(values), own, negated)


_BASIC = {"-s", "-d", "-i", "-o", "-p", "-f", "--source", "--destination", "--in-interface", "--out-interface"} | {
    "--protocol",
    "--fragment",
}
