"""Rule coverage as data: merged, written, read, and asked for the tests of a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.coverage import records
from testbed.coverage.records import ChainRecord, ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.errors import TestbedError
from testbed.rules.clauses import clauses
from testbed.rules.matching import only_reason
from testbed.rules.packet_context import PacketContext

DROP = "-A FORWARD -p tcp -m tcp --dport 80 -j DROP"


def rule_set(test: str, alone: int = 0, source: str = "my.rules") -> RuleSetRecord:
    """A rule and a policy, both reached by one packet of a test that missed the rule."""
    asked = (ClauseRecord("-p tcp", alone, 0, (test,) * alone), ClauseRecord("--dport 80", 0, 1 - alone))
    return RuleSetRecord(
        source,
        ("filter :FORWARD DROP", f"filter {DROP}"),
        (ChainRecord("filter", "FORWARD", "DROP", 2, 1),),
        (
            RuleRecord("filter", "FORWARD", 1, DROP.replace("-m tcp ", ""), DROP, 3, asked, 1, 0, (test,)),
            RuleRecord("filter", "FORWARD", 0, ":FORWARD DROP", ":FORWARD DROP", 2, (), 1, 1, (test,), (test,)),
        ),
    )


def test_the_same_rule_set_of_two_processes_is_one_with_the_packets_of_both() -> None:
    both = Coverage((rule_set("b", alone=1),)) + Coverage((rule_set("a"), rule_set("c", source="others.rules")))
    merged, other = both.rule_sets
    rule, policy = merged.rules
    assert (rule.reached, rule.matched, rule.missed, rule.reached_by, rule.matched_by) == (2, 0, 2, ("a", "b"), ())
    assert rule.clauses == (ClauseRecord("-p tcp", 1, 0, ("b",)), ClauseRecord("--dport 80", 0, 1))
    assert (policy.matched, policy.missed, policy.matched_by) == (2, 0, ("a", "b"))
    assert merged.chains[0].entered == 2
    assert other == rule_set("c", source="others.rules")
    assert both.tests == ("a", "b", "c")


def test_tests_are_found_by_the_words_of_the_rule_and_by_those_of_the_kernel() -> None:
    found = Coverage((rule_set("a"), rule_set("b", source="others.rules")))
    assert found.tests_reaching("filter", "FORWARD", DROP) == ("a", "b")
    assert found.tests_reaching("filter", "FORWARD", DROP.replace("-m tcp ", "")) == ("a", "b")
    assert found.tests_matching("filter", "FORWARD", DROP) == ()
    assert found.tests_reaching("filter", "FORWARD", ":FORWARD DROP") == ("a", "b")
    assert found.tests_reaching("filter", "FORWARD", "-A FORWARD -j ACCEPT") == ()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = Coverage((rule_set("a"), rule_set("b", source="others.rules")), ("a: something was lost",))
    records.write(written, tmp_path / "coverage.json")
    assert records.read(tmp_path / "coverage.json") == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":3,"tests":[],"troubles":[],"rule_sets":[{}]}'])
def test_what_is_no_coverage_is_said_to_be_none(text: str) -> None:
    with pytest.raises(TestbedError, match=r"^mine.json is no rule coverage"):
        records.parse(text, "mine.json")


def test_another_format_is_named() -> None:
    with pytest.raises(TestbedError, match="is of format 9, and this reads 3"):
        records.parse('{"format":9}')


PACKET = PacketContext(
    "192.168.66.1", "172.17.0.2", "tcp", 40000, 80, "S", entered="ens33", left="docker0", state="NEW"
)
UDP = PacketContext("192.168.66.1", "172.17.0.2", "udp", 40000, 80, entered="ens33", left="docker0", state="NEW")
PING = PacketContext("192.168.66.1", "172.17.0.2", "icmp", icmp=(8, 0), entered="ens33", left="docker0", state="NEW")
SPEC = "-d 172.17.0.2/32 ! -i docker0 -p tcp -m tcp --dport {} -j ACCEPT"


@pytest.mark.parametrize(
    ("spec", "packet", "alone", "unknown"),
    [
        pytest.param(SPEC.format(81), PACKET, "--dport 81", (), id="one clause fails"),
        pytest.param(SPEC.format(80), UDP, "-p tcp", (), id="the protocol fails, the port is the rule's"),
        pytest.param(SPEC.format(81), UDP, None, (), id="the protocol fails and the port"),
        pytest.param(SPEC.format(80), PING, None, (), id="a packet without ports"),
        pytest.param("-i docker0 -o ens33 -j ACCEPT", PACKET, None, (), id="two fail"),
        pytest.param("-i docker0 -m limit --limit 1/s -j ACCEPT", PACKET, None, ("--limit 1/s",), id="one is unknown"),
        pytest.param("-i ens33 -m limit --limit 1/s -j ACCEPT", PACKET, "--limit 1/s", (), id="only one is unknown"),
    ],
)
def test_the_only_reason_of_a_miss(
    spec: str, packet: PacketContext, alone: str | None, unknown: tuple[str, ...]
) -> None:
    found, open_ = only_reason(clauses(spec), packet)
    assert (found.text if found is not None else None, tuple(clause.text for clause in open_)) == (alone, unknown)
