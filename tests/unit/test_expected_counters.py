"""Readings of counters held against lines of iptables-save -c."""

from __future__ import annotations

import pytest

from testbed import CounterReading, Counters
from testbed.errors import ExpectationError, TestbedError
from testbed.rules.reading import Line

READING = CounterReading.of(
    [
        ("filter", ":FORWARD DROP", Counters(2, 80)),
        ("filter", "-A FORWARD -j MINE", Counters(3, 144)),
        ("filter", "-A MINE -p tcp", Counters(1, 52)),
        ("filter", "-A MINE -p tcp", Counters(0, 0)),
        ("nat", ":PREROUTING ACCEPT", Counters(0, 0)),
        ("nat", "-A PREROUTING -j MINE", Counters(0, 0)),
    ]
)
RIGHT = """
    *filter
    [3:144] -A FORWARD -j MINE
    [1:52] -A MINE -p tcp
"""


def test_rules_that_are_not_named_must_be_zero_and_policies_are_not_compared() -> None:
    assert READING == RIGHT
    assert READING == RIGHT + "*nat\n[0:0] -A PREROUTING -j MINE\n"
    assert RIGHT.replace("*filter", "*filter\n:FORWARD DROP [2:80]") == READING


@pytest.mark.parametrize(
    "wrong",
    [
        RIGHT.replace("[3:144]", "[3:145]"),
        RIGHT.replace("[3:144]", "[2:144]"),
        RIGHT.replace("    [1:52] -A MINE -p tcp\n", ""),
        RIGHT + "    [1:52] -A MINE -p tcp\n",
        RIGHT + "    [0:0] -A MINE -p udp\n",
        RIGHT.replace("*filter", "*filter\n:FORWARD DROP [0:0]"),
        RIGHT.replace("*filter", "*filter\n:FORWARD ACCEPT [2:80]"),
        RIGHT.replace("*filter", "*mangle"),
        "",
    ],
    ids=["bytes", "packets", "unnamed", "twice", "unknown", "policy", "other policy", "table", "empty"],
)
def test_a_difference_is_a_difference(wrong: str) -> None:
    assert wrong != READING


def test_equal_texts_are_told_apart_by_their_order() -> None:
    assert READING == RIGHT + "    [0:0] -A MINE -p tcp\n"
    assert READING != "*filter\n[3:144] -A FORWARD -j MINE\n[0:0] -A MINE -p tcp\n[1:52] -A MINE -p tcp\n"


def test_differences_come_in_the_order_of_the_rules_and_strangers_last() -> None:
    found = READING.compare("*filter\n[1:1] -A NOWHERE -j DROP\n[3:144] -A FORWARD -j MINE")
    assert [difference.line.text for difference in found if not difference.equal] == [
        "-A MINE -p tcp",
        "-A NOWHERE -j DROP",
    ]
    assert (found[-1].expected, found[-1].actual) == (Counters(1, 1), None)
    assert len(found) == len(READING) + 1


def test_an_expectation_that_is_no_line_of_iptables_save_is_refused() -> None:
    for text, said in (
        ("*filter\n3:144 -A FORWARD -j MINE", "'3:144 -A FORWARD -j MINE' is not a line of iptables-save -c"),
        ("*filter\n[3:144] FORWARD -j MINE", "is not a line"),
        ("*filter\n:FORWARD DROP", "is not a line"),
        ("[3:144] -A FORWARD -j MINE", "stands before any table"),
    ):
        with pytest.raises(ExpectationError, match=said):
            READING.compare(text)


def test_an_empty_reading_equals_nothing() -> None:
    with pytest.raises(ExpectationError, match="nothing to compare"):
        CounterReading({}).compare("")


def test_readings_are_subtracted_line_by_line() -> None:
    later = CounterReading({line: counters + Counters(1, 40) for line, counters in READING})
    assert {counters for _, counters in later - READING} == {Counters(1, 40)}
    assert len(later - READING) == len(READING)


def test_a_rule_that_came_later_is_counted_from_zero() -> None:
    before = CounterReading({line: counters for line, counters in READING if line.table == "nat"})
    assert (READING - before).rule("filter", "-A FORWARD -j MINE") == Counters(3, 144)


def test_looking_up_printing_and_what_moved() -> None:
    assert READING.rule("filter", ":FORWARD DROP") == Counters(2, 80)
    with pytest.raises(TestbedError, match="no line -A FORWARD -j YOURS in table filter"):
        READING.rule("filter", "-A FORWARD -j YOURS")
    assert str(READING.moved) == "*filter\n:FORWARD DROP [2:80]\n[3:144] -A FORWARD -j MINE\n[1:52] -A MINE -p tcp"
    assert [line for line, _ in READING.rules if line.is_policy] == []
    assert len(READING.rules) == 4
    assert Line("filter", "-A MINE -p tcp", 1) in dict(READING)
