"""Rules that keep state in the kernel: stored packets or lists, own counters, or chance.

The matches and targets without state are listed; any other is assumed to keep state. Connection tracking does not
count: connections are deleted before a bed is used again.
"""

from __future__ import annotations

from functools import lru_cache

from testbed.rules.clauses import Clause, clauses, target_of
from testbed.rules.ruleset import AnyRuleset, Rule

# Matches that read only the packet, its metadata or its connection (net/netfilter/xt_*.c).
_STATELESS_MATCHES = {
    *("", "tcp", "udp", "udplite", "sctp", "dccp", "multiport", "icmp", "icmp6", "esp", "ah", "ipcomp", "dscp", "tos"),
    *("conntrack", "state", "connmark", "connlabel", "helper", "mark", "addrtype", "iprange", "length", "ttl", "hl"),
    *("mac", "owner", "physdev", "pkttype", "rpfilter", "socket", "tcpmss", "ecn", "realm", "u32", "string", "policy"),
    *("frag", "hbh", "dst", "rt", "mh", "ipv6header", "eui64", "set"),
}
_STATEFUL_OPTIONS = {"--ctexpire", "--packets-eq", "--packets-lt", "--packets-gt", "--bytes-eq", "--bytes-lt"}
_STATEFUL_OPTIONS |= {"--bytes-gt", "--update-counters", "--update-subcounters"}
_STATELESS_TARGETS = {
    *("ACCEPT", "DROP", "RETURN", "REJECT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "LOG", "NFLOG"),
    *("MARK", "CONNMARK", "CLASSIFY", "NOTRACK", "TCPMSS", "TCPOPTSTRIP", "TOS", "DSCP", "TTL", "HL", "ECN"),
    *("CHECKSUM", "TRACE"),
}


def keeps_state(ruleset: AnyRuleset) -> bool:
    """Return whether packets may leave state in the kernel by these rules that survives a replacement of the rules.

    Named lists, such as those of recent and hashlimit, survive when one rule set that uses them replaces another.
    Nothing survives of nftables' rules, which hold their state themselves.
    """
    if (iptables := ruleset.as_iptables) is None:
        return False
    changing_sets = any(f" {option}" in ruleset.sets for option in ("timeout", "counters", "skbinfo"))
    chains = {table.name: {chain.name for chain in table.chains} for table in iptables.tables}
    return changing_sets or any(
        remembers(rule) or _stateful_target(rule, chains[table.name]) for table, rule in iptables.rules
    )


@lru_cache(maxsize=4096)
def remembers(rule: Rule) -> bool:
    """Whether matching a packet against a rule depends on earlier packets or on chance, or affects later packets."""
    return any(map(_stateful, clauses(rule.spec)))


def _stateful(clause: Clause) -> bool:
    return clause.module not in _STATELESS_MATCHES or clause.option in _STATEFUL_OPTIONS


def _stateful_target(rule: Rule, chains: set[str]) -> bool:
    target = target_of(rule.spec)
    if target is None or target.name in _STATELESS_TARGETS or target.name in chains:
        return False
    return target.text.split() != ["CT", "--notrack"]
