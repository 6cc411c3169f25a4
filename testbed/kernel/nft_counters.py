"""Counters of the rules in nf_tables, dumped over netlink (nf_tables_api.c: nf_tables_dump_rules, _dump_chains).

There are two views. The iptables-nft view has a policy counter for each built-in chain. In the native view only rules
with a counter statement count, and policies do not. Between two readings mostly the counters change. So a reading
reuses what the previous reading parsed, if the bytes outside the counter are equal.
"""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from testbed.kernel import checkpoints, netlink, nfnetlink
from testbed.kernel.counts import ChainCounts, Counts
from testbed.rules.counters import ZERO, Counters
from testbed.rules.ruleset import IPV6

TABLES = ("raw", "mangle", "nat", "filter", "security")  # iptables' own; other tables belong to other programs
_ALL = 0
_IPTABLES = {2: "", 10: IPV6}  # the families of iptables and ip6tables, and the prefix of their tables' names
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_COUNTERS = 1, 3, 4, 8
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS, _RULE_USERDATA = 1, 2, 3, 4, 7
_EXPR_DATA = 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_NAME_OF_COUNTER = slice(4, 12), b"counter\0"  # an expression begins with its name (nf_tables_fill_expr_info)
_NAMELESS = re.compile(rb"__(set|map)\d")  # nft's name for the set of `tcp dport { 80, 443 }` (src/evaluate.c)

T = TypeVar("T")  # the type of the dumped object


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as dumped; `content` is all of it except its counter, `counts` says whether it has one."""

    family: int
    table: str
    chain: str
    handle: int
    content: bytes
    counts: bool


@dataclass(frozen=True, slots=True)
class _DumpedChain:
    """A chain as dumped; `is_base` says whether it is a base chain, which has a policy."""

    family: int
    table: str
    name: str
    is_base: bool


@dataclass(frozen=True, slots=True)
class _Dumped(Generic[T]):
    """A message of a dump: the object, and the bytes before and behind the counter's values."""

    what: T
    family: int
    before: bytes
    behind: bytes
    length: int

    def is_in(self, family: int, message: bytes) -> bool:
        """Return whether a message describes the same object, apart from its counter."""
        return (
            len(message) == self.length
            and family == self.family
            and message.startswith(self.before)
            and message.endswith(self.behind)
        )

    def counters(self, message: bytes) -> Counters:
        """Return the counter in a message; zero if it has none."""
        values = dict(netlink.attributes(memoryview(message)[len(self.before) : self.length - len(self.behind)]))
        if not values:
            return ZERO
        return Counters(netlink.big_endian(values[_COUNTER_PACKETS]), netlink.big_endian(values[_COUNTER_BYTES]))


@dataclass(frozen=True, slots=True)
class _Place:
    """The position of a counter's values in a message."""

    start: int
    end: int


_NOWHERE = _Place(0, 0)


class _Dump(Generic[T]):
    """A repeatable dump of all objects of a kind."""

    def __init__(self, opened: socket.socket, kind: int, read: Callable[[int, memoryview], tuple[T, _Place]]) -> None:
        self._opened, self._kind, self._read = opened, kind, read
        self._last: list[_Dumped[T]] = []

    def __call__(self) -> list[tuple[T, Counters]]:
        """Return each object with its counter; the rules of a chain are in the order of evaluation."""
        messages = [(family, bytes(found)) for family, found in nfnetlink.dump(self._opened, self._kind, _ALL)]
        last = self._last[: len(messages)]
        known = [
            own if own.is_in(*message) else self._dumped(*message) for own, message in zip(last, messages, strict=False)
        ]
        self._last = known + [self._dumped(*message) for message in messages[len(last) :]]
        return [(own.what, own.counters(message)) for own, (_, message) in zip(self._last, messages, strict=True)]

    def _dumped(self, family: int, message: bytes) -> _Dumped[T]:
        what, counter = self._read(family, memoryview(message))
        return _Dumped(what, family, message[: counter.start], message[counter.end :], len(message))


class IptablesCounters:
    """Reads the counters of every rule and policy in the tables of iptables and ip6tables."""

    def __init__(self, opened: socket.socket) -> None:
        self._chains = _Dump(opened, nfnetlink.NFT_MSG_GETCHAIN, _chain)
        self._rules = _Dump(opened, nfnetlink.NFT_MSG_GETRULE, _rule)

    def read(self) -> Counts:
        """Return all counters at one moment; the dump is repeated if the rules changed meanwhile."""
        return _undisturbed(self._counts)

    def _counts(self) -> Counts:
        policies = {
            (_IPTABLES[chain.family] + chain.table, chain.name): counters if chain.is_base else None
            for chain, counters in self._chains()
            if _is_iptables(chain)
        }
        rules = [(rule, counters) for rule, counters in self._rules() if _is_iptables(rule)]
        counted: defaultdict[tuple[str, str], dict[int, Counters]] = defaultdict(dict)
        for rule, counters in rules:
            counted[_IPTABLES[rule.family] + rule.table, rule.chain][rule.handle] = counters
        chains = {
            key: ChainCounts(policy, tuple(counted[key].values()), tuple(counted[key]))
            for key, policy in policies.items()
        }
        return Counts((tuple(policies), tuple(rule for rule, _ in rules)), chains)


class NativeCounters:
    """Reads every rule with a counter, of all families; a table is called `FAMILY NAME`.

    `here` stands for the rules of this namespace. It is part of their identity if a rule has an anonymous set, since
    the elements of that set are no part of the rule.
    """

    def __init__(self, opened: socket.socket, here: Hashable) -> None:
        self._rules = _Dump(opened, nfnetlink.NFT_MSG_GETRULE, _rule)
        self._here = here

    def read(self) -> Counts:
        """Return all counters at one moment; the dump is repeated if the rules changed meanwhile."""
        return _undisturbed(self._counts)

    def _counts(self) -> Counts:
        rules = [(rule, counters) for rule, counters in self._rules() if rule.table != checkpoints.TABLE]
        counted: defaultdict[tuple[str, str], dict[int, Counters]] = defaultdict(dict)
        for rule, counters in rules:
            if rule.counts:
                counted[f"{nfnetlink.FAMILIES[rule.family]} {rule.table}", rule.chain][rule.handle] = counters
        chains = {key: ChainCounts(None, tuple(found.values()), tuple(found)) for key, found in counted.items()}
        nameless = any(_NAMELESS.search(rule.content) for rule, _ in rules)
        return Counts((self._here if nameless else None, tuple(rule for rule, _ in rules)), chains)


def _undisturbed(read: Callable[[], Counts]) -> Counts:
    while True:
        try:
            return read()
        except nfnetlink.Interrupted:
            continue


def _is_iptables(one: _DumpedChain | _Rule) -> bool:
    return one.family in _IPTABLES and one.table in TABLES


def _chain(family: int, message: memoryview) -> tuple[_DumpedChain, _Place]:
    counter, said = _NOWHERE, dict[int, memoryview]()
    for kind, start, value in netlink.placed(message):
        said[kind] = value
        if kind == _CHAIN_COUNTERS:
            counter = _Place(start, start + len(value))
    table, name = netlink.text(said[_CHAIN_TABLE]), netlink.text(said[_CHAIN_NAME])
    return _DumpedChain(family, table, name, _CHAIN_HOOK in said), counter


def _rule(family: int, message: memoryview) -> tuple[_Rule, _Place]:
    content, counter, said = b"", _NOWHERE, dict[int, memoryview]()
    for kind, start, value in netlink.placed(message):
        said[kind] = value
        if kind == _RULE_EXPRESSIONS:
            content, counter = _taken_apart(value, start)
    rule = _Rule(
        family,
        netlink.text(said[_RULE_TABLE]),
        netlink.text(said[_RULE_CHAIN]),
        netlink.big_endian(said[_RULE_HANDLE]),
        content + said.get(_RULE_USERDATA, b""),
        counter != _NOWHERE,
    )
    return rule, counter


def _taken_apart(expressions: memoryview, start: int) -> tuple[bytes, _Place]:
    """Return a rule's content without its counters, and the position of its first counter; `start` is where the
    expressions begin.
    """
    place, name = _NAME_OF_COUNTER
    counter = _NOWHERE
    content: list[memoryview] = []
    for _, at, expression in netlink.placed(expressions):
        if expression[place] != name:
            content.append(expression)
        elif counter == _NOWHERE:
            inner, values = next((at, part) for kind, at, part in netlink.placed(expression) if kind == _EXPR_DATA)
            counter = _Place(start + at + inner, start + at + inner + len(values))
    return b"".join(content), counter
