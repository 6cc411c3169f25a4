"""Journeys through one chain, made of words: what a test of reports needs to know of a way."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.behaviour.difference import Cause, causes, changes
from testbed.behaviour.explanation import Explained
from testbed.behaviour.table import Row
from testbed.behaviour.witness import ProbeJourneys
from testbed.observe.header import TracedHeader
from testbed.observe.journey import (
    DELIVERED,
    DROPPED,
    ChainTraversal,
    HookTraversal,
    Journey,
    JourneyEnd,
    NodeTraversal,
    RuleEvaluation,
)
from testbed.observe.verdict import ChainEnd
from testbed.rules.clauses import clauses
from testbed.rules.ruleset import Rule
from testbed.traffic.packet import Packet

CHAIN = "FORWARD"


def rule(spec: str) -> Rule:
    return Rule(CHAIN, spec)


def way(*asked: tuple[str, bool], policy: str = "", unasked: Sequence[str] = ()) -> ProbeJourneys:
    """Through FORWARD of filter: rules and whether they matched; the last decides, or the policy does."""
    rules = [_asked(number, spec, matched) for number, (spec, matched) in enumerate(asked, start=1)]
    dropped = policy == "DROP" or (not policy and asked[-1][0].endswith("DROP"))
    chain_end = ChainEnd(f"policy {policy}" if policy else "drop" if dropped else "accept")
    chain = ChainTraversal("filter", CHAIN, tuple(rules), chain_end, tuple(map(rule, unasked)))
    header = TracedHeader("192.0.2.1", "192.0.2.2", "tcp", 1, 64, 40, 40000, 80)
    hook = HookTraversal("FORWARD", "a", "b", header, None if dropped else header, "NEW", False, (chain,))
    sent = Packet("192.0.2.1", "192.0.2.2", "tcp", 1, 64, 40, 40000, 80, "S")
    end = JourneyEnd(DROPPED, "host", chain.decided_by) if dropped else JourneyEnd(DELIVERED, "web")
    return ProbeJourneys(
        Journey("client", sent, (NodeTraversal("host", (hook,)),), None if dropped else sent, end, None)
    )


def _asked(number: int, spec: str, matched: bool) -> RuleEvaluation:
    failed = None if matched else clauses(spec)[0]
    target = spec.split()[-1].lower()
    verdict = "" if not matched else target if target in ("accept", "drop", "return") else f"jump {target}"
    return RuleEvaluation(number, rule(spec), matched, verdict, failed)


def cause(old: str = "is dropped", new: str = "reaches web at 192.0.2.2:80", probes: int = 1) -> Cause:
    before = [Row(f"client tcp 192.0.2.2:{80 + n}", old, ("filter :FORWARD DROP",)) for n in range(probes)]
    now = [Row(f"client tcp 192.0.2.2:{80 + n}", new, ("filter -A FORWARD -j ACCEPT",)) for n in range(probes)]
    (found,) = causes(changes(before, now))
    return found


def opened(probes: int = 1) -> Explained:
    """Something newly open: a rule accepts now what the policy dropped."""
    missed = ("-i c -j DROP", False)
    return Explained(cause(probes=probes), way(missed, policy="DROP"), way(missed, ("-j ACCEPT", True)))
