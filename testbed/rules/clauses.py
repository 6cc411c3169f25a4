"""A rule's clauses: the conditions in a rule of iptables-save, with their positions in the text.

The text is parsed, not judged: an unknown option is a clause too. matching.py judges the clauses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

_REMEMBERED = 65536  # rules whose clauses are kept: more than a host with 16,384 published ports has
_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')  # only " quotes (add_param_to_argv, iptables/xshared.c)
_UNQUOTED = re.compile(r"\S+")  # the same where nothing is quoted
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"')

_BASIC = {
    **dict.fromkeys(("-s", "--source", "--src"), "-s"),
    **dict.fromkeys(("-d", "--destination", "--dst"), "-d"),
    **dict.fromkeys(("-i", "--in-interface"), "-i"),
    **dict.fromkeys(("-o", "--out-interface"), "-o"),
    **dict.fromkeys(("-p", "--protocol", "--proto"), "-p"),
    **dict.fromkeys(("-f", "--fragment", "--fragments"), "-f"),
}
_ALIASES = {
    "--source-port": "--sport",
    "--destination-port": "--dport",
    "--source-ports": "--sports",
    "--destination-ports": "--dports",
    "--ttl": "--ttl-eq",
    "--hl": "--hl-eq",
}
_MATCH = ("-m", "--match")
_TARGETS = {"-j": "jump", "--jump": "jump", "-g": "goto", "--goto": "goto"}
_NO_CONDITIONS = {"-4", "--ipv4", "-6", "--ipv6", "-c", "--set-counters"}
_PORTS = ("--sport", "--dport")
_OPTIONS = {
    "tcp": (*_PORTS, "--tcp-flags", "--syn", "--tcp-option"),
    "udp": _PORTS,
    "sctp": (*_PORTS, "--chunk-types"),
    "dccp": (*_PORTS, "--dccp-types", "--dccp-option"),
    "icmp": ("--icmp-type",),
    "icmp6": ("--icmpv6-type",),
}
_WITH_VALUE = {
    *(option for option, name in _BASIC.items() if name != "-f"),
    *_MATCH,
    *_TARGETS,
    *(option for options in _OPTIONS.values() for option in options if option != "--syn"),
    *_ALIASES,
    *("--sports", "--dports", "--ports", "--ctstate", "--state", "--match-set", "--mark", "--ttl-eq", "--hl-eq"),
    *("--src-type", "--dst-type", "--src-range", "--dst-range", "--physdev-in", "--physdev-out", "--comment"),
}
_MODULES_OF_PROTOCOLS = {"ipv6-icmp": "icmp6", "icmpv6": "icmp6"}  # -p loads the module of the protocol's name


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a rule: `text` is the rule's text from `start` to `end`, `option` is iptables-save's name.

    `module` is the match that the option belongs to, '' for a basic option. A match without any option is a clause with
    the `option` ''.
    """

    text: str
    start: int
    end: int
    module: str
    option: str
    negated: bool = False
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Target:
    """A rule's target: `verb` is jump or goto, `name` a verdict, an extension or a chain, `text` includes options."""

    verb: str
    name: str
    text: str
    start: int
    end: int


def words(spec: str) -> list[str]:
    """Return the words of a rule as iptables-restore splits them, without their quotes."""
    return [_QuotedWord(found.start(), found.end(), found[0]).text for found in _WORD.finditer(spec)]


@lru_cache(maxsize=_REMEMBERED)
def clauses(spec: str) -> tuple[Clause, ...]:
    """Return the clauses of a rule in the order of its text, without comments."""
    reader = _OptionReader(spec)
    return tuple(clause for group in _groups(spec) for clause in reader.read(group)) + tuple(reader.ended())


@lru_cache(maxsize=_REMEMBERED)
def target_of(spec: str) -> Target | None:
    """Return the target of a rule, or None if the rule only counts."""
    groups = iter(_groups(spec))  # the options behind the target follow it
    for group in groups:
        if group.option in _TARGETS and group.values:
            end = group.end
            for option in groups:
                if option.option in _BASIC or option.option in _MATCH:
                    break
                end = option.end
            start = group.words[1].start
            return Target(_TARGETS[group.option], group.values[0], spec[start:end], start, end)
    return None


@lru_cache(maxsize=_REMEMBERED)
def without_value(spec: str) -> str:
    """Return the first option that needs a value and has none; empty if there is none."""
    return next((group.option for group in _groups(spec) if group.option in _WITH_VALUE and not group.values), "")


class _QuotedWord(NamedTuple):
    start: int
    end: int
    written: str

    @property
    def text(self) -> str:
        """The word without quotes and backslashes."""
        if '"' not in self.written:
            return self.written
        return _QUOTED.sub(lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), self.written)


class _Group(NamedTuple):
    """An option with its values and an optional ! before or behind it."""

    words: tuple[_QuotedWord, ...]
    negated: bool
    start: int

    @property
    def option(self) -> str:
        return self.words[0].written

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])

    @property
    def end(self) -> int:
        return self.words[-1].end


@lru_cache(maxsize=_REMEMBERED)
def _groups(spec: str) -> tuple[_Group, ...]:
    """The options of a rule, which several questions about all rules begin with."""
    return tuple(_grouped(spec))


def _grouped(spec: str) -> Iterator[_Group]:
    split = _WORD if '"' in spec else _UNQUOTED
    words = [_QuotedWord(found.start(), found.end(), found[0]) for found in split.finditer(spec)]
    place = 0
    while place < len(words):
        start = words[place].start
        before = words[place].written == "!" and place + 1 < len(words)
        place += before
        option = words[place]
        place += 1
        behind = _is(words, place, "!") and place + 1 < len(words) and not _begins_option(words[place + 1])
        place += behind
        values = []
        while place < len(words) and not _begins_option(words[place]):
            values.append(words[place])
            place += 1
        yield _Group((option, *values), before or behind, start)


def _is(words: list[_QuotedWord], place: int, text: str) -> bool:
    return place < len(words) and words[place].written == text


def _begins_option(word: _QuotedWord) -> bool:
    return word.written.startswith("-") or word.written == "!"


@dataclass(slots=True)
class _OptionReader:
    """Assigns each option to its match, in the order of the words."""

    spec: str
    named: list[_Group] = field(default_factory=list)  # the -m matches so far
    unused: bool = False  # whether the last -m match has had no option yet
    protocol: str = ""
    in_target: bool = False

    def read(self, group: _Group) -> Iterator[Clause]:
        """Yield the clauses that are complete with this option."""
        option = group.option
        if option in _BASIC or option in _MATCH:
            yield from self.ended()
            self.in_target = False
        elif option in _TARGETS:
            yield from self.ended()
            self.in_target = True
        if self.in_target or option in _NO_CONDITIONS:
            return
        if option in _MATCH:
            self.named.append(group)
            self.unused = True
        elif option in _BASIC:
            yield self._clause(group, "", _BASIC[option])
            if option in ("-p", "--protocol", "--proto") and group.values:
                self.protocol = group.values[0]
        else:
            option = _ALIASES.get(option, option)
            module = self._module_of(option)
            self.unused = self.unused and module != self._latest
            if module != "comment":
                yield self._clause(group, module, option)

    def ended(self) -> Iterator[Clause]:
        """Yield a clause for the last match if it had no option."""
        if self.unused:
            yield self._clause(self.named[-1], self._latest, "")
            self.unused = False

    @property
    def _latest(self) -> str:
        return "".join(self.named[-1].values[:1]) if self.named else ""

    def _module_of(self, option: str) -> str:
        """Return the last named match with such an option, else the protocol's match, else the last named match."""
        loaded = [self._of_protocol, *("".join(group.values[:1]) for group in self.named)]
        owners = [module for module in loaded if option in _OPTIONS.get(module, ())]
        return owners[-1] if owners else self._latest

    @property
    def _of_protocol(self) -> str:
        return _MODULES_OF_PROTOCOLS.get(self.protocol, self.protocol)

    def _clause(self, group: _Group, module: str, option: str) -> Clause:
        values = group.values if option else ()
        return Clause(self.spec[group.start : group.end], group.start, group.end, module, option, group.negated, values)
