"""What no packet can do in a rule set, proved from its rules; and what is not proved, where packets do it."""

from __future__ import annotations

import pytest

from testbed.docker import article
from testbed.rules import save
from testbed.rules.clauses import clauses
from testbed.rules.implied import contradicts, implies
from testbed.rules.unreachable import LimitedRule, Limits


def limits(text: str) -> Limits:
    ruleset = save.parse(text)
    chains = [(table.name, chain.name) for table in ruleset.tables for chain in table.chains]
    bases = [(table.name, chain.name) for table in ruleset.tables for chain in table.chains if chain.policy is not None]
    return Limits((LimitedRule(table.name, rule.chain, rule.spec) for table, rule in ruleset.rules), chains, bases)


def forward(*rules: str, policy: str = "DROP") -> Limits:
    """Rules of filter FORWARD and of chains A and B."""
    lines = "\n".join(f"-A {rule}" for rule in rules)
    return limits(f"*filter\n:FORWARD {policy} [0:0]\n:A - [0:0]\n:B - [0:0]\n{lines}\nCOMMIT\n")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("-s 172.17.0.2/32", "-s 172.17.0.0/16", True),
        ("-s 172.17.0.0/16", "-s 172.17.0.2/32", False),
        ("! -s 172.17.0.0/16", "! -s 172.17.0.2/32", True),
        ("! -s 172.17.0.2/32", "! -s 172.17.0.0/16", False),
        ("-s 172.17.0.0/16", "! -s 172.18.0.0/16", True),
        ("-i docker0", "! -i ens33", True),
        ("-i docker0", "-i docker+", True),
        ("-i docker+", "! -i docker0", False),
        ("! -i docker0", "-i ens33", False),
        ("-i docker0", "-o docker0", False),
        ("-p tcp", "! -p udp", True),
        ("-m conntrack --ctstate ESTABLISHED", "-m conntrack --ctstate RELATED,ESTABLISHED", True),
        ("-m limit --limit 1/sec", "-m limit --limit 1/sec", False),
        ("-s 10.0.0.1/255.0.0.255", "-s 10.0.0.0/8", False),
    ],
)
def test_what_a_clause_implies(one: str, other: str, expected: bool) -> None:
    (first,), (second,) = clauses(one), clauses(other)
    assert implies(first, second) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("-o docker0", "! -o docker0", True),
        ("-o docker0", "-o ens33", True),
        ("-o docker+", "-o docker0", False),
        ("-d 10.0.0.0/8", "-d 172.17.0.2/32", True),
        ("-d 172.17.0.0/16", "! -d 172.17.0.2/32", False),
        ("-d 172.17.0.2/32", "! -d 172.17.0.0/16", True),
        ("-p tcp", "-p udp", True),
        ("-p tcp", "-p 6", False),
        ("-p tcp -m tcp --dport 80", "-p tcp -m tcp --dport 81", True),
        ("-p tcp -m tcp --dport 80", "-p tcp -m tcp --dport 80:90", False),
        ("-m conntrack --ctstate NEW", "-m conntrack --ctstate RELATED,ESTABLISHED", True),
        ("-m conntrack --ctstate NEW", "-m conntrack --ctstate DNAT", False),
        ("! -p tcp", "! -p udp", False),
        ("-m addrtype --dst-type LOCAL", "-m addrtype --dst-type BROADCAST", False),
    ],
)
def test_what_cannot_both_hold(one: str, other: str, expected: bool) -> None:
    first, second = clauses(one)[-1], clauses(other)[-1]
    assert contradicts(first, second) is contradicts(second, first) is expected


def test_a_rule_behind_a_verdict_on_everything_is_not_reached() -> None:
    found = forward("FORWARD -i a -j ACCEPT", "FORWARD -j DROP", "FORWARD -i b -j ACCEPT")
    assert found.reached("filter", "FORWARD", 2) == ""
    assert found.reached("filter", "FORWARD", 3) == "`-A FORWARD -j DROP` stands before it"
    assert found.decided_by("filter", "FORWARD") == "`-A FORWARD -j DROP` stands before it"


def test_a_chain_that_nothing_leads_to_is_not_entered() -> None:
    found = forward("FORWARD -j A", "A -j B", "A -i x -j RETURN")
    assert found.entered("filter", "B") == ""
    assert forward("FORWARD -j A", "B -j ACCEPT").reached("filter", "B", 1) == "no rule leads to B"


def test_a_chain_that_never_returns_ends_the_way_of_its_caller() -> None:
    assert forward("FORWARD -j A", "FORWARD -j B", "A -i x -j ACCEPT", "A -j DROP").reached("filter", "FORWARD", 2)
    assert not forward("FORWARD -j A", "FORWARD -j B", "A -i x -j RETURN", "A -j DROP").reached("filter", "FORWARD", 2)
    assert not forward("FORWARD -j LOG", "FORWARD -j B", "B -j DROP").reached("filter", "FORWARD", 2)
    assert not forward("FORWARD -j A", "FORWARD -j B").reached("filter", "FORWARD", 2)


def test_a_return_from_a_base_chain_is_decided_by_its_policy() -> None:
    found = forward("FORWARD -j RETURN", "FORWARD -j DROP")
    assert found.reached("filter", "FORWARD", 2)
    assert found.decided_by("filter", "FORWARD") == ""
    assert forward("FORWARD -i x -j RETURN", "FORWARD -j DROP").decided_by("filter", "FORWARD") == ""


def test_of_a_target_that_is_not_known_nothing_is_proved() -> None:
    assert forward("FORWARD -j ACCOUNT", "FORWARD -j DROP").reached("filter", "FORWARD", 2) == ""


def test_a_chain_with_two_ways_in_is_judged_by_both() -> None:
    one_way = forward("FORWARD -o x -j A", "A -o x -j DROP")
    assert "has met `-o x`" in one_way.missed("filter", "A", 1)
    assert forward("FORWARD -o x -j A", "FORWARD -i y -j A", "A -o x -j DROP").missed("filter", "A", 1) == ""


def test_what_the_articles_rules_rule_out() -> None:
    found = limits(article.RULES_FILE.read_text())
    assert "has met `! -o docker0`" in found.matched("filter", "DOCKER-ISOLATION-STAGE-2", 1)
    assert found.missed("filter", "DOCKER-USER", 1) == "it asks nothing of a packet"
    assert "stands before it" in found.alone("nat", "DOCKER", 2, "! -i docker0")
    assert found.alone("nat", "DOCKER", 2, "-p tcp") == ""
    reached = [
        found.reached(table.name, chain.name, number)
        for table in article.ruleset().tables
        for chain in table.chains
        for number, _ in enumerate(table.rules_of(chain.name), start=1)
    ]
    assert reached == [""] * 18
