"""A journey of one packet: the nodes, hooks and rules that it traversed, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.kernel.conntrack import Connection
from testbed.observe.header import TracedHeader
from testbed.observe.verdict import ChainEnd, EndKind
from testbed.rules.clauses import Clause
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Rule
from testbed.traffic.packet import Packet

DELIVERED, LOCAL_INPUT, DROPPED = EndKind.DELIVERED, EndKind.LOCAL_INPUT, EndKind.DROPPED
LOST, LET_THROUGH = EndKind.LOST, EndKind.LET_THROUGH
DROP = "DROP"
_PREPOSITIONS = {DELIVERED: "to", LOCAL_INPUT: "by", DROPPED: "at", LOST: "at", LET_THROUGH: "by"}


@dataclass(frozen=True, slots=True)
class RuleEvaluation:
    """A rule that a packet was compared with; `number` is its position in the chain, from 1.

    `verdict` is that of a matching rule, in the trace's words (accept, drop, continue, return, jump CHAIN, goto CHAIN).
    `failed` is the first clause that failed, None if it is unknown. `alone` is the clause that was the only reason of
    the miss, if there is one. `unknown` are the clauses that leave this open. `into` is the chain that a jump led to.
    """

    number: int
    rule: Rule
    matched: bool
    verdict: str = ""
    failed: Clause | None = None
    into: ChainTraversal | None = None
    alone: Clause | None = None
    unknown: tuple[Clause, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        failed = self.failed
        return {
            "number": self.number,
            "rule": self.rule.text,
            "line": self.rule.line,
            "matched": self.matched,
            "verdict": self.verdict,
            "failed": {"clause": failed.text, "start": failed.start, "end": failed.end} if failed is not None else None,
            "into": self.into.as_dict() if self.into is not None else None,
        }


@dataclass(frozen=True, slots=True)
class ChainTraversal:
    """A chain as one packet traversed it: the rules it was compared with, in order, and the end.

    `not_reached` are the rules behind the last one that was evaluated.
    """

    table: str
    chain: str
    asked: tuple[RuleEvaluation, ...]
    end: ChainEnd
    not_reached: tuple[Rule, ...] = ()

    @property
    def every(self) -> Iterator[tuple[ChainTraversal, RuleEvaluation]]:
        """Yield every rule evaluation here and in the chains it jumped to, in order, with its chain."""
        for asked in self.asked:
            yield self, asked
            if asked.into is not None:
                yield from asked.into.every

    @property
    def policy(self) -> str:
        """The policy that decided: ACCEPT or DROP; empty if a rule did."""
        return self.end.policy

    @property
    def dropped_by_policy(self) -> bool:
        return self.end is ChainEnd.POLICY_DROP

    @property
    def last_rule(self) -> RuleReference:
        """The rule that was evaluated last, here or in a chain that a jump led to."""
        last, asked = list(self.every)[-1]
        return RuleReference(last.table, last.chain, asked.number, asked.rule.text)

    @property
    def decided_by(self) -> RuleReference:
        """The rule or the policy that ended the packet's way through this chain."""
        return RuleReference.policy(self.table, self.chain, self.policy) if self.policy else self.last_rule

    def as_dict(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "chain": self.chain,
            "asked": [asked.as_dict() for asked in self.asked],
            "end": self.end,
            "not_reached": [rule.text for rule in self.not_reached],
        }


@dataclass(frozen=True, slots=True)
class HookTraversal:
    """A hook that a packet traversed: PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING, or INGRESS, EGRESS of a device.

    `entered` and `left` are interfaces, empty if there is none (yet). `header` is the packet before the hook, `after`
    behind it, None if it did not leave the hook. `state` is its connection tracking state (NEW, ESTABLISHED, RELATED,
    INVALID, UNTRACKED). `reply` says whether it goes in the reply direction. `skipped_nat_chains` names the nat chains
    that it did not visit, since only the first packet of a connection visits them.
    """

    hook: str
    entered: str
    left: str
    header: TracedHeader
    after: TracedHeader | None
    state: str
    reply: bool
    chains: tuple[ChainTraversal, ...]
    skipped_nat_chains: tuple[str, ...] = ()

    @property
    def translations(self) -> tuple[str, ...]:
        """The changes in this hook: `source A > B`, `destination A > B`."""
        return self.header.translations(self.after) if self.after is not None else ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "hook": self.hook,
            "entered": self.entered,
            "left": self.left,
            "header": self.header.as_dict(),
            "after": self.after.as_dict() if self.after is not None else None,
            "state": self.state,
            "reply": self.reply,
            "chains": [chain.as_dict() for chain in self.chains],
            "passed_over": list(self.skipped_nat_chains),
            "translations": list(self.translations),
        }


@dataclass(frozen=True, slots=True)
class NodeTraversal:
    """A node that a packet passed, and its hooks; no hooks if the packet crossed a bridge without br_netfilter."""

    node: str
    hooks: tuple[HookTraversal, ...]

    @property
    def routed(self) -> str:
        """The routing decision: `forwarded by DEVICE`, `sent by DEVICE`, `for NODE itself`, or empty."""
        for hook in self.hooks:
            if hook.hook in ("FORWARD", "OUTPUT"):
                return f"forwarded by {hook.left}" if hook.hook == "FORWARD" else f"sent by {hook.left}"
            if hook.hook == "INPUT":
                return f"for {self.node} itself"
        return ""

    def as_dict(self) -> dict[str, Any]:
        return {"node": self.node, "routed": self.routed, "hooks": [hook.as_dict() for hook in self.hooks]}


@dataclass(frozen=True, slots=True)
class JourneyEnd:
    """The end of a journey: its kind, the node, the rule that decided, and the reason in words.

    `rule` is the rule or policy that dropped the packet. It may also be the rule that took the packet and answers
    itself (SYNPROXY), or the rule that let it through.
    """

    kind: EndKind
    where: str
    rule: RuleReference | None = None
    why: str = ""

    @property
    def by(self) -> str:
        """The rule or policy in words: `filter -A FORWARD ...`, `filter :FORWARD DROP`; empty if there is none."""
        return self.rule.saved if self.rule is not None else ""

    @property
    def place(self) -> str:
        """`delivered to web`, `taken in by host`, `dropped at host`, `lost at host`."""
        return f"{self.kind} {_PREPOSITIONS[self.kind]} {self.where}"

    def __str__(self) -> str:
        because = "; ".join(filter(None, (self.by, self.why)))
        return f"{self.place}: {because}" if because else self.place


@dataclass(frozen=True, slots=True)
class Journey:
    """The journey of one packet.

    `connection` is its connection as tracked afterwards. `answers` are the packets that came back to its origin for it.
    `copies` are the journeys of copies that rules sent elsewhere (TEE, `dup to`), each with `is_copy`. A journey equals
    a string if the lines of the string are those of `way`. `"-A DOCKER-USER -j RETURN" in journey` tests one line.
    """

    origin: str
    sent: Packet
    passes: tuple[NodeTraversal, ...]
    arrived: Packet | None
    end: JourneyEnd
    connection: Connection | None
    answers: tuple[Packet, ...] = ()
    copies: tuple[Journey, ...] = ()
    is_copy: bool = False

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.way == expected_way(other)
        return self.facts == other.facts if isinstance(other, Journey) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, line: str) -> bool:
        return line.strip() in self.way

    def __str__(self) -> str:
        return "\n".join((str(self.sent), *(f"  {line}" for line in self.way)))

    @property
    def facts(self) -> tuple[object, ...]:
        """All fields that take part in a comparison."""
        return self.origin, self.sent, self.passes, self.arrived, self.end, self.connection, self.answers, self.copies

    @property
    def hooks(self) -> Iterator[tuple[NodeTraversal, HookTraversal]]:
        return ((passed, hook) for passed in self.passes for hook in passed.hooks)

    @property
    def asked(self) -> Iterator[tuple[ChainTraversal, RuleEvaluation]]:
        """Every rule that the packet was compared with, in order, with its chain."""
        return (every for _, hook in self.hooks for chain in hook.chains for every in chain.every)

    @property
    def matched(self) -> tuple[tuple[str, Rule], ...]:
        """The rules that the packet matched, with their tables, in order."""
        return tuple((chain.table, asked.rule) for chain, asked in self.asked if asked.matched)

    @property
    def missed(self) -> tuple[tuple[str, Rule], ...]:
        """The rules that the packet was compared with and did not match, with their tables."""
        return tuple((chain.table, asked.rule) for chain, asked in self.asked if not asked.matched)

    @property
    def failing_clauses(self) -> dict[str, str]:
        """For each rule that did not match, the clause that failed; empty if it is unknown."""
        missed = (asked for _, asked in self.asked if not asked.matched)
        return {asked.rule.text: asked.failed.text if asked.failed is not None else "" for asked in missed}

    @property
    def translations(self) -> tuple[str, ...]:
        """All translations, in order: `source A > B`, `destination A > B`."""
        return tuple(change for _, hook in self.hooks for change in hook.translations)

    @property
    def way(self) -> tuple[str, ...]:
        """The journey in lines: tables, matched rules, policies that dropped, translations, the end."""
        return tuple(self._way())

    def _way(self) -> Iterator[str]:
        table = ""
        for passed, hook in self.hooks:
            for chain in hook.chains:
                said = [asked.rule.text for _, asked in chain.every if asked.matched]
                if chain.dropped_by_policy:
                    said.append(f":{chain.chain} DROP")
                if said and chain.table != table:
                    table = chain.table
                    yield f"*{table}"
                yield from said
            yield from hook.translations
            table = table if passed is self.passes[-1] else ""
        yield self.end.place

    def as_dict(self) -> dict[str, Any]:
        """Return the journey for JSON output."""
        return {
            "packet": self.sent.kind,
            "bytes": self.sent.length,
            "origin": self.origin,
            "sent": {"from": self.sent.from_, "to": self.sent.to},
            "arrived": {"from": self.arrived.from_, "to": self.arrived.to} if self.arrived is not None else None,
            "nodes": [passed.as_dict() for passed in self.passes],
            "end": {"kind": self.end.kind, "where": self.end.where, "by": self.end.by, "why": self.end.why},
            "connection": str(self.connection) if self.connection is not None else None,
            "answers": [str(answer) for answer in self.answers],
            "way": list(self.way),
            "copies": [copy.as_dict() for copy in self.copies],
        }


def dropping(journey: Journey) -> RuleReference | None:
    """Return the rule or policy that dropped a packet, by the verdicts of its trace; None if none did."""
    dropped = (chain.decided_by for _, hook in journey.hooks for chain in hook.chains if chain.end.drops)
    return next(dropped, None)


def expected_way(text: str) -> tuple[str, ...]:
    """Return the lines of an expected journey."""
    return tuple(filter(None, map(str.strip, text.splitlines())))
