"""A rule set under the names of a trace: chains by table and name, rules by handle or number, hooks in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testbed.errors import KernelRefused
from testbed.rules.ruleset import AnyRuleset, Rule

# Priorities of iptables' tables at a hook: include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_SECURITY_BY_NFT = 150  # after source NAT, as iptables-nft 1.8.9 makes it (`nft list ruleset`)
_SOURCE_NAT = 100
_SOURCE_NAT_HOOKS = ("INPUT", "POSTROUTING")
_MARKING = ("MARK", "CONNMARK")
_COPIES = re.compile(r"-j TEE\b(?:.*--gateway (?P<gateway>\S+))?|\bdup to (?:(?P<address>[0-9a-fA-F.:]+)|\S)")
_TRACKING = ("conntrack", "state", "ct", "connmark", "CONNMARK", "helper", "connbytes", "connlimit")  # matches, targets


@dataclass(frozen=True, slots=True)
class BaseChain:
    """The attributes of a base chain: hook, priority, whether it translates (nat), policy.

    `devices` are the devices whose packets a chain of the hooks INGRESS and EGRESS sees.
    """

    hook: str
    priority: int
    nat: bool
    policy: str
    devices: tuple[str, ...] = ()

    @classmethod
    def of_iptables(cls, table: str, chain: str, policy: str, nft: bool) -> BaseChain:
        """Return the attributes of a built-in chain of iptables-nft or iptables-legacy; `table` has no IPv6 prefix."""
        late = table == "nat" and chain in _SOURCE_NAT_HOOKS
        priority = _SECURITY_BY_NFT if nft and table == "security" else _PRIORITIES.get(table, 0)
        return cls(chain, _SOURCE_NAT if late else priority, table == "nat", policy)


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """A chain and its rules in order; `handles` are their nf_tables handles, None for iptables-legacy.

    `table` is the user's name of the table (`nat`, `ip6 nat`, `ip docker-bridges`). `traced_as` is its name in the
    trace (`ip nat`). `base` is None for a user-defined chain.
    """

    traced_as: str
    table: str
    name: str
    rules: tuple[Rule, ...]
    handles: tuple[int, ...] | None
    base: BaseChain | None

    def position(self, rule: int) -> int | None:
        """Return the position of a rule, by handle or by number; None for the end of the chain.

        Raises KernelRefused for an unknown handle.
        """
        if self.handles is None:
            return rule - 1 if 0 < rule <= len(self.rules) else None
        if rule and rule not in self.handles:
            raise KernelRefused(
                f"a packet met a rule of {self.table} {self.name} that was not there.", "Trace it again."
            )
        return self.handles.index(rule) if rule else None


def copies(rule: Rule) -> bool:
    """Return whether a rule sends a copy of the packet elsewhere."""
    return _COPIES.search(rule.spec) is not None


def sends_copies(ruleset: AnyRuleset) -> bool:
    """Return whether a rule set has a rule that sends copies of packets elsewhere."""
    iptables = ruleset.as_iptables
    if iptables is None:
        return _COPIES.search(ruleset.text) is not None
    return any(copies(rule) for _, rule in iptables.rules)


class LoadedRuleset:
    """All chains of a rule set, found by the names of the kernel's trace.

    `changes_marks` says that rules change marks, so that the mark at a chain's beginning may be outdated later.
    `copies` says that rules send copies of packets elsewhere (TEE, `dup to`). `copied_to` are the destinations of the
    copies, empty if a rule takes them from a map.
    """

    def __init__(self, chains: Iterable[LoadedChain]) -> None:
        self._chains = {(chain.traced_as, chain.name): chain for chain in chains}
        rules = [rule for chain in self for rule in chain.rules]
        copying = [found for rule in rules if (found := _COPIES.search(rule.spec)) is not None]
        self.copies = bool(copying)
        gateways = [found["gateway"] or found["address"] for found in copying]
        self.copied_to = frozenset(gateways) if all(gateways) else frozenset()
        self.changes_marks = any(rule.target in _MARKING or " mark set " in rule.spec for rule in rules)

    def __iter__(self) -> Iterator[LoadedChain]:
        return iter(self._chains.values())

    def has(self, table: str, name: str) -> bool:
        return (table, name) in self._chains

    def chain(self, table: str, name: str) -> LoadedChain:
        """Return the chain that a trace names; raises KernelRefused when the rule set lacks it."""
        if not self.has(table, name) and table.startswith("bridge "):
            raise KernelRefused(
                f"a packet met the chain {name} of table {table}: journeys through the family bridge are not traced.",
                "Leave that table out, or read its counters: nft list ruleset.",
            )
        if not self.has(table, name):
            raise KernelRefused(
                f"a packet met the chain {name} of table {table}, which is not of the rules under test.",
                "Something else has loaded rules there: look at `nft list ruleset` and iptables-legacy-save.",
            )
        return self._chains[table, name]

    @property
    def devices(self) -> dict[str, tuple[str, ...]]:
        """The devices whose packets chains see before IP (INGRESS) or behind it (EGRESS), by hook."""
        found: dict[str, tuple[str, ...]] = {}
        for chain in self:
            if chain.base is not None and chain.base.devices:
                known = found.get(chain.base.hook, ())
                found[chain.base.hook] = tuple(dict.fromkeys((*known, *chain.base.devices)))
        return found

    @property
    def tracks(self) -> bool:
        """Whether the rule set enables connection tracking: it translates, or a rule reads a connection's state."""
        rules = (word for chain in self for rule in chain.rules for word in rule.spec.split())
        return any(chain.base is not None and chain.base.nat for chain in self) or any(w in _TRACKING for w in rules)

    def translating(self, hook: str, version: int) -> list[LoadedChain]:
        """Return the nat base chains with rules at a hook, for packets of that IP version."""
        families = ("inet", "ip" if version == 4 else "ip6")
        return [
            chain
            for chain in self
            if chain.base is not None
            and chain.base.nat
            and chain.base.hook == hook
            and chain.rules
            and chain.traced_as.split()[0] in families
        ]
