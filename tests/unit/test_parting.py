"""Where the ways of a packet under two rule sets part: which rule is named on each side, and why it is that one."""

from __future__ import annotations

import pytest
from journeys_made import way

from testbed.behaviour.divergence import parting
from testbed.behaviour.witness import ProbeJourneys

ACCEPT, DROP = "-i a -j ACCEPT", "-i a -j DROP"


def told(old: ProbeJourneys, new: ProbeJourneys) -> tuple[str, str]:
    """Both sides' rules, a failing clause behind them."""
    found = parting(old, new)
    assert found is not None
    was, now = (f"{step}{f' ({step.failed})' if step.failed else ''}" for step in found.sides)
    return was, now


def test_a_rule_that_only_one_side_has() -> None:
    assert told(way((ACCEPT, True)), way((DROP, True), unasked=[ACCEPT])) == (
        "filter -A FORWARD -i a -j ACCEPT",
        "filter -A FORWARD -i a -j DROP",
    )


def test_a_rule_that_was_changed_and_now_fails_is_named_with_its_clause() -> None:
    old = way((DROP, True), unasked=[ACCEPT])
    new = way(("-i b -j DROP", False), (ACCEPT, True))
    assert told(old, new) == ("filter -A FORWARD -i a -j DROP", "filter -A FORWARD -i b -j DROP (-i b)")
    assert told(new, old) == ("filter -A FORWARD -i b -j DROP (-i b)", "filter -A FORWARD -i a -j DROP")


def test_a_rule_that_fails_and_changes_nothing_is_passed_over() -> None:
    assert told(way((ACCEPT, True)), way(("-i c -j DROP", False), (DROP, True), unasked=[ACCEPT])) == (
        "filter -A FORWARD -i a -j ACCEPT",
        "filter -A FORWARD -i a -j DROP",
    )


def test_a_rule_that_is_gone_is_told_from_one_that_is_new() -> None:
    found = parting(way((ACCEPT, True)), way(policy="DROP"))
    assert found is not None
    assert (str(found.old), str(found.new), found.gone) == (
        "filter -A FORWARD -i a -j ACCEPT",
        "filter :FORWARD DROP",
        True,
    )
    other = parting(way(policy="DROP"), way((ACCEPT, True)))
    assert other is not None
    assert not other.gone


def test_a_rule_more_after_which_both_go_on_alike_is_not_where_they_part() -> None:
    common, more = ("-j MINE", True), ("-i a -j OTHER", True)
    assert told(way(more, common, (ACCEPT, True)), way(common, (DROP, True), unasked=[ACCEPT])) == (
        "filter -A FORWARD -i a -j ACCEPT",
        "filter -A FORWARD -i a -j DROP",
    )
    assert told(way(more, common, (ACCEPT, True)), way(common, (ACCEPT, True))) == (
        "filter -A FORWARD -i a -j OTHER",
        "filter -A FORWARD -j MINE",
    )


def test_a_policy_that_was_changed() -> None:
    assert told(way(policy="DROP"), way(policy="ACCEPT")) == ("filter :FORWARD DROP", "filter :FORWARD ACCEPT")


def test_the_answer_is_looked_at_where_the_questions_went_the_same_way() -> None:
    question = way((ACCEPT, True)).question
    found = parting(
        ProbeJourneys(question, way((ACCEPT, True)).question), ProbeJourneys(question, way((DROP, True)).question)
    )
    assert found is not None
    assert found.of_answer


@pytest.mark.parametrize("other", [way((ACCEPT, True)), ProbeJourneys(None)], ids=["the same way", "not sent"])
def test_ways_that_do_not_part(other: ProbeJourneys) -> None:
    assert parting(way((ACCEPT, True)), other) is None
