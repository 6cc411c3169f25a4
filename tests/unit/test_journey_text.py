"""Journeys as values: their way in words, compared with an expectation, and witnesses that disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.errors import Disagreement
from testbed.observe.crosscheck import verify
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
from testbed.report.journey import lines, parting
from testbed.rules import Counters
from testbed.rules.clauses import clauses
from testbed.rules.reading import CounterReading
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Rule
from testbed.traffic.packet import Packet

HEADER = TracedHeader("192.0.2.1", "192.0.2.2", "tcp", 7, 64, 40, 1, 80, "S", 5)
SENT = Packet("192.0.2.1", "192.0.2.2", "tcp", 7, 64, 40, 1, 80, "S", 5)
RETURN = Rule("DOCKER-USER", "-j RETURN")
JUMP = Rule("FORWARD", "-j DOCKER-USER")
MISSED = Rule("FORWARD", "-o docker0 -p tcp -m tcp --dport 81 -j ACCEPT")
USER = ChainTraversal("filter", "DOCKER-USER", (RuleEvaluation(1, RETURN, True, "return"),), ChainEnd.RETURN)
FORWARD = ChainTraversal(
    "filter",
    "FORWARD",
    (
        RuleEvaluation(1, JUMP, True, "jump DOCKER-USER", into=USER),
        RuleEvaluation(2, MISSED, False, failed=clauses(MISSED.spec)[2]),
    ),
    ChainEnd.POLICY_DROP,
)
HOOK = HookTraversal("FORWARD", "ens33", "docker0", HEADER, None, "NEW", False, (FORWARD,))
JOURNEY = Journey(
    "client",
    SENT,
    (NodeTraversal("host", (HOOK,)),),
    None,
    JourneyEnd(DROPPED, "host", RuleReference.policy("filter", "FORWARD", "DROP")),
    None,
)
WAY = """
    *filter
    -A FORWARD -j DOCKER-USER
    -A DOCKER-USER -j RETURN
    :FORWARD DROP
    dropped at host
"""
COUNTED = [
    ("filter", ":FORWARD DROP", Counters(1, 40)),
    ("filter", JUMP.text, Counters(1, 40)),
    ("filter", MISSED.text, Counters()),
    ("filter", RETURN.text, Counters(1, 40)),
]


def test_its_way_is_compared_line_by_line() -> None:
    assert JOURNEY == WAY
    assert WAY.replace(":FORWARD DROP", "") != JOURNEY
    assert "-A DOCKER-USER -j RETURN" in JOURNEY
    assert MISSED.text not in JOURNEY
    assert JOURNEY.failing_clauses == {MISSED.text: "--dport 81"}


def test_a_report_shows_where_ways_part_and_why() -> None:
    told = parting(JOURNEY, WAY.replace(":FORWARD DROP", MISSED.text).replace("dropped at host", "delivered to web"))
    assert told[0] == "the SYN of client did not go the expected way: it parts at line 4"
    (marked,) = [line for line in told if line.startswith("≠")]
    assert marked.split("  ")[-1] == ":FORWARD DROP"
    assert told[-1] == f"{MISSED.text}: --dport 81 did not hold"
    assert "dropped at host: filter :FORWARD DROP" in told


def test_a_way_that_is_longer_than_expected_parts_behind_the_end() -> None:
    told = parting(JOURNEY, "*filter\n-A FORWARD -j DOCKER-USER")
    assert told[0].endswith("it parts at line 3")


def test_the_clause_that_failed_is_underlined_in_the_rule() -> None:
    (line,) = [line for line in lines(JOURNEY) if "--dport 81 -j ACCEPT" in line.plain]
    underlined = {line.plain[span.start : span.end] for span in line.spans if "underline" in str(span.style)}
    assert underlined == {"--dport 81"}


def test_counters_that_say_the_same_are_no_disagreement() -> None:
    verify([JOURNEY], CounterReading.of(COUNTED))


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_line_that_counted_something_else_is_one(number: int) -> None:
    table, text, counters = COUNTED[number]
    changed = [*COUNTED[:number], (table, text, counters + Counters(1, 40)), *COUNTED[number + 1 :]]
    with pytest.raises(Disagreement, match="counted"):
        verify([JOURNEY], CounterReading.of(changed))


def test_a_policy_that_never_counts_says_nothing() -> None:
    """iptables-nft counts for a policy only when it was set."""
    verify([JOURNEY], CounterReading.of([("filter", ":FORWARD DROP", Counters()), *COUNTED[1:]]))


def test_a_chain_that_is_entered_and_not_left_is_a_disagreement() -> None:
    broken = replace(USER, asked=(replace(USER.asked[0], verdict="continue"),), end=ChainEnd.RETURN)
    chain = replace(FORWARD, asked=(replace(FORWARD.asked[0], into=broken), FORWARD.asked[1]))
    journey = replace(JOURNEY, passes=(NodeTraversal("host", (replace(HOOK, chains=(chain,)),)),))
    with pytest.raises(Disagreement, match="1 packets entered filter DOCKER-USER, and 0 left it"):
        verify([journey], CounterReading.of(COUNTED))


def test_a_delivered_packet_says_as_what() -> None:
    journey = replace(JOURNEY, arrived=replace(SENT, destination="172.17.0.2"), end=JourneyEnd(DELIVERED, "web"))
    assert list(lines(journey))[-1].plain == "→ delivered to web as 192.0.2.1:1 > 172.17.0.2:80"
