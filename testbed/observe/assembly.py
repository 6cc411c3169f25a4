"""A node's part of a journey: its hooks, each with the rules that the packet was compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.errors import Disagreement
from testbed.kernel.conntrack import Connection
from testbed.kernel.routes import AddressTypes
from testbed.kernel.trace_events import TraceEvent
from testbed.observe.chain_walk import ChainWalk
from testbed.observe.demultiplexer import Hook, Passage
from testbed.observe.header import TracedHeader
from testbed.observe.journey import HookTraversal, NodeTraversal, RuleEvaluation
from testbed.rules.clauses import Clause
from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.matching import culprit, first_failing, only_reason
from testbed.rules.packet_context import PacketContext
from testbed.rules.ruleset import Rule

_CONNECTION_TRACKING = -200  # the priority of connection tracking: NF_IP_PRI_CONNTRACK
_TRACKS = ("PREROUTING", "OUTPUT")
Clauses = Callable[[str], tuple[Clause, ...]]


@dataclass(frozen=True, slots=True)
class Assembler:
    """Builds a node's traversals from its trace; `devices` are its interfaces by index."""

    node: str
    book: LoadedRuleset
    clauses: Clauses
    devices: Mapping[int, str]
    types: AddressTypes

    def assemble(self, passage: Passage, connection: Connection | None) -> NodeTraversal:
        """Return the node's part of a packet's journey; raises Disagreement if a rule contradicts the trace."""
        return NodeTraversal(self.node, tuple(self._hook(passage, hook, connection) for hook in passage.hooks))

    def _hook(self, passage: Passage, hook: Hook, connection: Connection | None) -> HookTraversal:
        came_out = hook.after is not None
        asked = ChainWalk(
            self.book,
            hook.events,
            came_out,
            lambda event, base: self._judge(passage, hook, connection, event, base),
        ).chains()
        version = 6 if ":" in hook.header.source else 4
        names = [(chain.table, chain.chain) for chain in asked]
        return HookTraversal(
            hook.name,
            self.devices.get(hook.entered, ""),
            self.devices.get(hook.left, ""),
            hook.header,
            hook.after,
            passage.state,
            passage.reply,
            asked,
            tuple(
                f"{chain.table} {chain.name}"
                for chain in self.book.translating(hook.name, version)
                if came_out and (chain.table, chain.name) not in names
            ),
        )

    def _judge(
        self, passage: Passage, hook: Hook, connection: Connection | None, event: TraceEvent, base: LoadedChain
    ) -> PacketJudge:
        header = TracedHeader.read(event.network, event.transport) if event.network else hook.header
        untracked = hook.name in _TRACKS and base.base is not None and base.base.priority < _CONNECTION_TRACKING
        original = connection.original if connection is not None else None
        known = header.whole and not header.fragment
        with_ports = header.protocol in ("tcp", "udp", "sctp") and known
        facts = PacketContext(
            source=header.source,
            destination=header.destination,
            protocol=header.transport,
            source_port=header.source_port if with_ports else None,
            destination_port=header.destination_port if with_ports else None,
            tcp_flags=header.flags if header.protocol == "tcp" and known else None,
            icmp=header.icmp,
            entered=self.devices.get(event.entered, ""),
            left=self.devices.get(event.left, ""),
            state=None if untracked else passage.state or None,
            mark=None if self.book.changes_marks else event.mark,
            ttl=header.ttl,
            length=header.length,
            original=(
                (original.source, original.source_port, original.destination, original.destination_port)
                if original is not None
                else None
            ),
            direction=None if untracked else "REPLY" if passage.reply else "ORIGINAL",
            local_types=self.types,
            fragment=header.fragment,
        )
        return PacketJudge(header, facts, self.clauses)


@dataclass(frozen=True, slots=True)
class PacketJudge:
    """Compares rules with one packet."""

    header: TracedHeader
    facts: PacketContext
    clauses: Clauses

    def missed(self, number: int, rule: Rule) -> RuleEvaluation:
        own = self.clauses(rule.spec)
        if first_failing(own, self.facts).matches:
            raise self._disagreement(rule, "every clause of it holds, but the kernel did not match it")
        alone, unknown = only_reason(own, self.facts)
        failed = culprit(own, self.facts)
        return RuleEvaluation(number, rule, matched=False, failed=failed, alone=alone, unknown=unknown)

    def matched(self, rule: Rule) -> None:
        found = first_failing(self.clauses(rule.spec), self.facts)
        if found.matches is False and found.clause is not None:
            raise self._disagreement(rule, f"{found.clause.text} does not hold, but the kernel matched it")

    def _disagreement(self, rule: Rule, how: str) -> Disagreement:
        return Disagreement(
            f"the rule {rule.text} and the packet {self.header.from_} > {self.header.to}: {how}.",
            "One of both is wrong: please report it with the rule set.",
        )
