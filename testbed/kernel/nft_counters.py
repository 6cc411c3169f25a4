"""Counters of iptables-nft rules, dumped over netlink (nf_tables_api.c: nf_tables_dump_rules, _dump_chains)."""

from __future__ import annotations

import socket
from collections import defaultdict

from testbed.kernel import netlink, nfnetlink
from testbed.kernel.counts import ChainCounts, Counts
from testbed.rules.counters import Counters

TABLES = ("raw", "mangle", "nat", "filter", "security")  # iptables' own; other tables are somebody else's
_IPV4 = 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_COUNTERS = 1, 3, 4, 8
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS = 1, 2, 3, 4
_LIST_ELEM, _EXPR_NAME, _EXPR_DATA = 1, 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2


def read(opened: socket.socket) -> Counts:
    """Every rule and policy of the IPv4 tables that iptables knows, at one moment of the rule set's life."""
    while True:
        try:
            return _read(opened)
        except nfnetlink.Interrupted:
            continue


def _read(opened: socket.socket) -> Counts:
    policies: dict[tuple[str, str], Counters | None] = {}
    for message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETCHAIN, _IPV4):
        chain = dict(netlink.attributes(message))
        key = netlink.text(chain[_CHAIN_TABLE]), netlink.text(chain[_CHAIN_NAME])
        if key[0] in TABLES:
            counters = chain.get(_CHAIN_COUNTERS, memoryview(b""))
            policies[key] = _counters(counters) if _CHAIN_HOOK in chain else None
    rules: defaultdict[tuple[str, str], list[Counters]] = defaultdict(list)
    handles: list[tuple[str, str, int]] = []
    for message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETRULE, _IPV4):
        rule = dict(netlink.attributes(message))
        key = netlink.text(rule[_RULE_TABLE]), netlink.text(rule[_RULE_CHAIN])
        if key[0] in TABLES:
            handles.append((*key, netlink.big_endian(rule[_RULE_HANDLE])))
            rules[key].append(_rule_counters(rule[_RULE_EXPRESSIONS]))
    chains = {key: ChainCounts(policy, tuple(rules[key])) for key, policy in policies.items()}
    return Counts((tuple(policies), tuple(handles)), chains)


def _rule_counters(expressions: memoryview) -> Counters:
    for kind, element in netlink.attributes(expressions):
        expression = dict(netlink.attributes(element))
        if kind == _LIST_ELEM and netlink.text(expression[_EXPR_NAME]) == "counter":
            return _counters(expression[_EXPR_DATA])
    return Counters()


def _counters(nested: memoryview) -> Counters:
    values = dict(netlink.attributes(nested))
    if not values:
        return Counters()
    return Counters(netlink.big_endian(values[_COUNTER_PACKETS]), netlink.big_endian(values[_COUNTER_BYTES]))
