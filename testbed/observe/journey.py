"""What happened to one packet: the nodes it passed, hook by hook, rule by rule, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.kernel.conntrack import Connection
from testbed.observe.header import TracedHeader
from testbed.rules.clauses import Clause
from testbed.rules.ruleset import Rule
from testbed.traffic.packet import Packet

DELIVERED, LOCAL_INPUT, DROPPED, LOST = "delivered", "taken in", "dropped", "lost"
LET_THROUGH = "let through"  # by the rules, to an address of the host's bridges that no container of the bed has
DROP = "DROP"
_PREPOSITIONS = {DELIVERED: "to", LOCAL_INPUT: "by", DROPPED: "at", LOST: "at", LET_THROUGH: "by"}


@dataclass(frozen=True, slots=True)
class RuleEvaluation:
    """A rule that a packet was held against; `number` is its place in the chain, from 1.

    `verdict` is what a matching rule decided, in the trace's words (accept, drop, continue, return, jump CHAIN, goto
    CHAIN); `failed` the first clause of another one that did not hold, None where that cannot be told. `alone` is the
    clause without which it would have matched, if there is one; `unknown` what leaves open whether. `into` is the chain
    that a jump led to.
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
    """A chain as one packet passed it: the rules it was held against, in order, and how that ended.

    `end` is `accept`, `drop`, `queue`, `stolen` (the rule took the packet away), `return`, `end of chain` (back to the
    caller) or `policy ACCEPT`, `policy DROP`.
    `not_reached` are the rules of the chain behind the last one that was asked.
    """

    table: str
    chain: str
    asked: tuple[RuleEvaluation, ...]
    end: str
    not_reached: tuple[Rule, ...] = ()

    @property
    def every(self) -> Iterator[tuple[ChainTraversal, RuleEvaluation]]:
        """Every rule asked here and in the chains it led to, in the order of asking, with its chain."""
        for asked in self.asked:
            yield self, asked
            if asked.into is not None:
                yield from asked.into.every

    @property
    def dropped_by_policy(self) -> bool:
        return self.end == f"policy {DROP}"

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
    """A hook of the packet filter, passed: PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING; of a device INGRESS,
    EGRESS.

    `entered` and `left` are interfaces, empty where there is none (yet). `header` is the packet before the hook,
    `after` behind it; None: it did not get there. `state` is what connection tracking calls the packet (NEW,
    ESTABLISHED, RELATED, INVALID, UNTRACKED), `reply` whether it goes against the connection's first packet.
    `passed_over` names nat chains that were not asked, as only the first packet of a connection asks them.
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
        """What this hook changed: `source A > B`, `destination A > B`."""
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
    """A node that took the packet on, and the hooks it passed there; none: it crossed a bridge that asks no rules."""

    node: str
    hooks: tuple[HookTraversal, ...]

    @property
    def routed(self) -> str:
        """What was decided about where it goes: `forwarded by DEVICE`, `for NODE itself`, or empty."""
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
    """How it ended: `kind` is delivered, taken in (by a node's own kernel), dropped, lost, or let through to an address
    that nobody has; `where` and why in words.

    `by` is the rule or policy that dropped it (`filter -A FORWARD ...`, `filter :FORWARD DROP`), or the rule that took
    it and answers itself (SYNPROXY), or the rule that let it through.
    """

    kind: str
    where: str
    by: str = ""
    why: str = ""

    @property
    def place(self) -> str:
        """`delivered to web`, `taken in by host`, `dropped at host`, `lost at host`."""
        return f"{self.kind} {_PREPOSITIONS[self.kind]} {self.where}"

    def __str__(self) -> str:
        because = "; ".join(filter(None, (self.by, self.why)))
        return f"{self.place}: {because}" if because else self.place


@dataclass(frozen=True, slots=True)
class Journey:
    """One packet's way. `connection` is how it is tracked afterwards, `answers` what came back to its origin for it.

    `copies` are the journeys of copies that rules sent elsewhere (TEE, `dup to`), each an `is_copy`.

    Compared with a string, each of whose lines is one of `way`, it is equal when it went just that way;
    `"-A DOCKER-USER -j RETURN" in journey` asks for one line.
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
        """All that is known of it."""
        return self.origin, self.sent, self.passes, self.arrived, self.end, self.connection, self.answers, self.copies

    @property
    def hooks(self) -> Iterator[tuple[NodeTraversal, HookTraversal]]:
        return ((passed, hook) for passed in self.passes for hook in passed.hooks)

    @property
    def asked(self) -> Iterator[tuple[ChainTraversal, RuleEvaluation]]:
        """Every rule it was held against, in order, with its chain."""
        return (every for _, hook in self.hooks for chain in hook.chains for every in chain.every)

    @property
    def matched(self) -> tuple[tuple[str, Rule], ...]:
        """The rules it matched, with their tables, in order."""
        return tuple((chain.table, asked.rule) for chain, asked in self.asked if asked.matched)

    @property
    def missed(self) -> tuple[tuple[str, Rule], ...]:
        """The rules it was held against and did not match."""
        return tuple((chain.table, asked.rule) for chain, asked in self.asked if not asked.matched)

    @property
    def failing_clauses(self) -> dict[str, str]:
        """For each rule that did not match the clause that failed; empty where that cannot be told."""
        missed = (asked for _, asked in self.asked if not asked.matched)
        return {asked.rule.text: asked.failed.text if asked.failed is not None else "" for asked in missed}

    @property
    def translations(self) -> tuple[str, ...]:
        """What was changed on the way, in order: `source A > B`, `destination A > B`."""
        return tuple(change for _, hook in self.hooks for change in hook.translations)

    @property
    def way(self) -> tuple[str, ...]:
        """The journey in the words of rules: tables, matched rules, policies that dropped, translations, the end."""
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
        """For programs."""
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


def expected_way(text: str) -> tuple[str, ...]:
    """The lines of an expectation."""
    return tuple(filter(None, map(str.strip, text.splitlines())))
