"""Counters of the rules in nf_tables, dumped over netlink (nf_tables_api.c: nf_tables_dump_rules, _dump_chains).

Two ways to look at them: as iptables-nft's tables, with a policy for each built-in chain, and as native nftables, where
a rule counts only if it has a counter statement and no policy does.
"""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from testbed.kernel import checkpoints, netlink, nfnetlink
from testbed.kernel.counts import ChainCounts, Counts
from testbed.rules.counters import ZERO, Counters
from testbed.rules.ruleset import IPV6

TABLES = ("raw", "mangle", "nat", "filter", "security")  # iptables' own; other tables are somebody else's
_ALL = 0
_IPTABLES = {2: "", 10: IPV6}  # the families of iptables and ip6tables, and how their tables are called
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_COUNTERS = 1, 3, 4, 8
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS, _RULE_USERDATA = 1, 2, 3, 4, 7
_EXPR_DATA = 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_NAME_OF_COUNTER = slice(4, 12), b"counter\0"  # an expression begins with its name (nf_tables_fill_expr_info)
_NAMELESS = re.compile(rb"__(set|map)\d")  # what nft calls the set of `tcp dport { 80, 443 }` (src/evaluate.c)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as dumped; `content` is all of it but the counter, `counters` None where it has no counter."""

    family: int
    table: str
    chain: str
    handle: int
    content: bytes
    counters: Counters | None

    @property
    def identity(self) -> Hashable:
        return self.family, self.table, self.chain, self.handle, self.content


def read_iptables(opened: socket.socket) -> Counts:
    """Every rule and policy of the tables that iptables and ip6tables know, at one moment of the rule set's life."""
    return _undisturbed(lambda: _iptables(opened))


def read_native(opened: socket.socket, here: Hashable) -> Counts:
    """Every rule with a counter, of all families, at one moment; a table is called `FAMILY NAME`.

    `here` stands for the rules of this namespace: it is part of their identity where a rule has a set without a name,
    whose elements are no part of the rule.
    """
    return _undisturbed(lambda: _native(opened, here))


def _undisturbed(read: Callable[[], Counts]) -> Counts:
    while True:
        try:
            return read()
        except nfnetlink.Interrupted:
            continue


def _iptables(opened: socket.socket) -> Counts:
    policies: dict[tuple[str, str], Counters | None] = {}
    for family, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETCHAIN, _ALL):
        chain = dict(netlink.attributes(message))
        table = netlink.text(chain[_CHAIN_TABLE])
        if family in _IPTABLES and table in TABLES:
            counters = chain.get(_CHAIN_COUNTERS, memoryview(b""))
            key = _IPTABLES[family] + table, netlink.text(chain[_CHAIN_NAME])
            policies[key] = _counters(counters) if _CHAIN_HOOK in chain else None
    rules = [rule for rule in _rules(opened, _ALL) if rule.family in _IPTABLES and rule.table in TABLES]
    counted: defaultdict[tuple[str, str], dict[int, Counters]] = defaultdict(dict)
    for rule in rules:
        counted[_IPTABLES[rule.family] + rule.table, rule.chain][rule.handle] = rule.counters or ZERO
    chains = {
        key: ChainCounts(policy, tuple(counted[key].values()), tuple(counted[key])) for key, policy in policies.items()
    }
    return Counts((tuple(policies), tuple(rule.identity for rule in rules)), chains)


def _native(opened: socket.socket, here: Hashable) -> Counts:
    rules = [rule for rule in _rules(opened, _ALL) if rule.table != checkpoints.TABLE]
    counted: defaultdict[tuple[str, str], dict[int, Counters]] = defaultdict(dict)
    for rule in rules:
        if rule.counters is not None:
            counted[f"{nfnetlink.FAMILIES[rule.family]} {rule.table}", rule.chain][rule.handle] = rule.counters
    chains = {key: ChainCounts(None, tuple(found.values()), tuple(found)) for key, found in counted.items()}
    nameless = any(_NAMELESS.search(rule.content) for rule in rules)
    return Counts((here if nameless else None, tuple(rule.identity for rule in rules)), chains)


def _rules(opened: socket.socket, family: int) -> Iterator[_Rule]:
    """All rules; those of a chain in the order in which a packet meets them."""
    for of_family, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETRULE, family):
        rule = dict(netlink.attributes(message))
        content, counters = _taken_apart(rule[_RULE_EXPRESSIONS])
        yield _Rule(
            of_family,
            netlink.text(rule[_RULE_TABLE]),
            netlink.text(rule[_RULE_CHAIN]),
            netlink.big_endian(rule[_RULE_HANDLE]),
            content + rule.get(_RULE_USERDATA, b""),
            counters,
        )


def _taken_apart(expressions: memoryview) -> tuple[bytes, Counters | None]:
    """A rule's first counter, and everything else in it."""
    place, name = _NAME_OF_COUNTER
    counters: Counters | None = None
    content: list[memoryview] = []
    for _, expression in netlink.attributes(expressions):
        if expression[place] != name:
            content.append(expression)
        elif counters is None:
            counters = _counters(dict(netlink.attributes(expression))[_EXPR_DATA])
    return b"".join(content), counters


def _counters(nested: memoryview) -> Counters:
    values = dict(netlink.attributes(nested))
    if not values:
        return Counters()
    return Counters(netlink.big_endian(values[_COUNTER_PACKETS]), netlink.big_endian(values[_COUNTER_BYTES]))
