"""What a failing comparison prints: expected beside actual, the differing lines marked, a hint where one is known."""

from __future__ import annotations

from testbed import CounterReading, Counters, Packet
from testbed.observe.counting import Counted
from testbed.report.counters import comparison, summary
from testbed.rules.reading import CounterLine

LINES = {
    CounterLine("filter", "-A FORWARD -j DOCKER-USER"): Counters(3, 144),
    CounterLine("filter", "-A DOCKER-USER -j RETURN"): Counters(3, 144),
    CounterLine("filter", "-A FORWARD -j DROP"): Counters(0, 0),
    CounterLine("nat", "-A PREROUTING -j DOCKER"): Counters(1, 52),
}
EXPECTED = (
    "*filter\n[2:104] -A FORWARD -j DOCKER-USER\n[3:144] -A DOCKER-USER -j RETURN\n*nat\n[1:52] -A PREROUTING -j DOCKER"
)


def tcp(flags: str, port: int = 40000, seq: int = 1) -> Packet:
    return Packet(
        "192.168.66.1", "192.168.66.100", "tcp", 7, 64, 52, source_port=port, destination_port=80, flags=flags, seq=seq
    )


def test_the_comparison_shows_all_that_counted_and_marks_what_differs() -> None:
    assert comparison(CounterReading(LINES), EXPECTED) == [
        "   expected  actual   table   rule",
        "≠  [2:104]   [3:144]  filter  -A FORWARD -j DOCKER-USER",
        "   [3:144]   [3:144]  filter  -A DOCKER-USER -j RETURN",
        "   [1:52]    [1:52]   nat     -A PREROUTING -j DOCKER",
        "  1 more lines counted nothing, as expected.",
    ]


def test_the_summary_shows_only_what_differs() -> None:
    assert summary(CounterReading(LINES), EXPECTED) == [
        "counters are not as expected in 1 of 4 lines",
        "   expected  actual   table   rule",
        "≠  [2:104]   [3:144]  filter  -A FORWARD -j DOCKER-USER",
    ]


def hints_of(*seen: Packet, expected: str = EXPECTED) -> str:
    return "\n".join(line for line in summary(Counted(LINES, seen), expected) if line.startswith("hint: "))


def test_a_reset_a_retransmission_and_a_second_connection_are_hinted_at() -> None:
    assert "a reset was seen" in hints_of(tcp("S"), tcp("R"))
    assert "a retransmission" in hints_of(tcp("S"), tcp("S"))
    assert "2 connections were opened" in hints_of(tcp("S"), tcp("S", port=40001))
    assert hints_of(tcp("S"), tcp("A", seq=2)) == ""


def test_a_rule_that_is_gone_and_a_difference_in_nat_alone_are_hinted_at() -> None:
    assert "is not in this rule set" in hints_of(expected=EXPECTED + "\n[0:0] -A PREROUTING -j NONE")
    only_nat = EXPECTED.replace("[2:104]", "[3:144]").replace("[1:52]", "[3:144]")
    assert "only nat differs" in hints_of(expected=only_nat)


def test_a_line_that_is_not_in_the_rule_set_is_marked_and_said_to_be_missing() -> None:
    lines = comparison(CounterReading(LINES), EXPECTED + "\n[1:52] -A PREROUTING -j NONE")
    assert [line.split() for line in lines if line.endswith("NONE")] == [
        ["≠", "[1:52]", "not", "there", "nat", "-A", "PREROUTING", "-j", "NONE"]
    ]


def test_a_rule_that_is_not_named_and_counted_is_marked() -> None:
    unnamed = EXPECTED.replace("[2:104]", "[3:144]").replace("\n[3:144] -A DOCKER-USER -j RETURN", "")
    marked = [line.split() for line in comparison(CounterReading(LINES), unnamed) if line.startswith("≠")]
    assert marked == [["≠", "[0:0]", "[3:144]", "filter", "-A", "DOCKER-USER", "-j", "RETURN"]]
