"""Native nftables rule sets as a trace names them: chains and handles from the kernel, words from nft's listing."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping

from testbed.kernel import checkpoints, netlink, nfnetlink
from testbed.rules.loaded import BaseChain, LoadedChain, LoadedRuleset
from testbed.rules.ruleset import BUILT_IN_CHAINS, Rule

# include/uapi/linux/netfilter/nf_tables.h
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE = 1, 2, 3
_HOOK_DEVICE, _HOOK_DEVICES = 3, 4
_OF_IP = ("inet", "ip", "ip6", "netdev")
_NETDEV_HOOKS = ("INGRESS", "EGRESS")  # enum nft_dev_hooks


def read(opened: socket.socket, words: Mapping[tuple[str, int], str]) -> LoadedRuleset:
    """Return every chain of IP and of devices except the checkpoints; `words` are the rules by table and handle.

    A rule that nft lists without a handle (in a chain without a name) is named by its handle.
    """
    handles = _handles(opened)
    chains = []
    for family, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETCHAIN, socket.AF_UNSPEC):
        chain = dict(netlink.attributes(message))
        table, name = (
            f"{nfnetlink.FAMILIES[family]} {netlink.text(chain[_CHAIN_TABLE])}",
            netlink.text(chain[_CHAIN_NAME]),
        )
        if nfnetlink.FAMILIES[family] not in _OF_IP or table.endswith(f" {checkpoints.TABLE}"):
            continue
        own = handles[table, name]
        rules = tuple(Rule(name, words.get((table, handle), f"(handle {handle})")) for handle in own)
        base = _base(chain, nfnetlink.FAMILIES[family])
        chains.append(LoadedChain(table, table, name, rules, tuple(own), base))
    return LoadedRuleset(chains)


def _handles(opened: socket.socket) -> defaultdict[tuple[str, str], list[int]]:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for family, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETRULE, socket.AF_UNSPEC):
        rule = dict(netlink.attributes(message))
        table = f"{nfnetlink.FAMILIES[family]} {netlink.text(rule[_RULE_TABLE])}"
        found[table, netlink.text(rule[_RULE_CHAIN])].append(netlink.big_endian(rule[_RULE_HANDLE]))
    return found


def _base(chain: Mapping[int, memoryview], family: str) -> BaseChain | None:
    if _CHAIN_HOOK not in chain:
        return None
    hook = dict(netlink.attributes(chain[_CHAIN_HOOK]))
    number = netlink.big_endian(hook[_HOOK_NUMBER])
    name = _NETDEV_HOOKS[number] if family == "netdev" else (*BUILT_IN_CHAINS, _NETDEV_HOOKS[0])[number]
    priority = int.from_bytes(hook[_HOOK_PRIORITY], "big", signed=True)
    policy = "ACCEPT" if netlink.big_endian(chain[_CHAIN_POLICY]) else "DROP"
    return BaseChain(name, priority, netlink.text(chain[_CHAIN_TYPE]) == "nat", policy, tuple(_devices(hook)))


def _devices(hook: Mapping[int, memoryview]) -> Iterator[str]:
    if _HOOK_DEVICES in hook:
        yield from (netlink.text(name) for _, name in netlink.attributes(hook[_HOOK_DEVICES]))
    elif _HOOK_DEVICE in hook:
        yield netlink.text(hook[_HOOK_DEVICE])
