"""Probes, tables and differences as data: what follows from the rules' clauses, and what two tables differ in."""

from __future__ import annotations

import pytest

from testbed.behaviour import difference, table
from testbed.behaviour.difference import ANSWERED, CLOSED, MOVED, OPENED, TRANSLATED
from testbed.behaviour.explanation import Explained
from testbed.behaviour.probes import INVALID, UNMENTIONED, probes
from testbed.behaviour.referenced_values import ReferencedValues, mentioned
from testbed.behaviour.table import Row
from testbed.docker import article
from testbed.errors import TestbedError
from testbed.report.difference import lines, markdown
from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.ruleset import Rule, Ruleset
from testbed.rules.syntax import IPTABLES, NFTABLES, Syntax


def named_by(*specs: str, syntax: Syntax = IPTABLES) -> ReferencedValues:
    rules = tuple(Rule("CHAIN", spec) for spec in specs)
    return mentioned(LoadedRuleset([LoadedChain("ip filter", "filter", "CHAIN", rules, None, None)]), syntax)


def book_of(ruleset: Ruleset) -> LoadedRuleset:
    return LoadedRuleset(
        LoadedChain(f"ip {table.name}", table.name, chain.name, table.rules_of(chain.name), None, None)
        for table in ruleset.tables
        for chain in table.chains
    )


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("-p tcp -m tcp --dport 80 -j ACCEPT", {("tcp", 80)}),
        ("-p udp -m udp --dport 5000:5010 -j DROP", {("udp", 5000), ("udp", 5010)}),
        ("-p tcp -m multiport --dports 22,443 -j DROP", {("tcp", 22), ("tcp", 443)}),
        ("-p tcp -m conntrack --ctorigdstport 8080 -j DROP", {("tcp", 8080)}),
        ("-m conntrack --ctorigdstport 53 -j DROP", {("tcp", 53), ("udp", 53)}),
        ("-p tcp -m tcp --dport 1 -j DNAT --to-destination 172.17.0.2:8080", {("tcp", 1), ("tcp", 8080)}),
        ("-s 192.0.2.0/24 -j DROP", set()),
    ],
)
def test_the_ports_that_a_rule_names(spec: str, ports: set[tuple[str, int]]) -> None:
    assert named_by(spec).ports == ports


def test_what_nftables_rules_name() -> None:
    named = named_by("ip saddr 192.0.2.0/24 tcp dport { 80, 443 } counter accept", syntax=NFTABLES)
    assert named.ports == {("tcp", 80), ("tcp", 443)}
    assert [str(prefix) for prefix in named.prefixes] == ["192.0.2.0/24"]


def test_each_named_port_is_asked_with_its_neighbours_and_one_that_is_not_named() -> None:
    asked = probes(article.topology(), article.HOST, ReferencedValues(frozenset({("tcp", 80)}))).asked
    client = {p.port for p in asked if (p.origin, p.protocol, p.address) == ("client", "tcp", "192.168.66.100")}
    assert client == {79, 80, 81, UNMENTIONED}


def test_every_node_that_can_ask_does_and_every_address_is_asked() -> None:
    asked = probes(article.topology(), article.HOST, mentioned(book_of(article.ruleset()), IPTABLES)).asked
    assert {probe.origin for probe in asked} == {"client", "internet", "host", "web"}
    assert {"192.168.66.100", "172.17.0.1", "172.17.0.2", "203.0.113.10", "127.0.0.1"} <= {p.address for p in asked}
    assert len(asked) == len(set(asked)) == len({str(probe) for probe in asked})
    assert list(asked) == sorted(asked)


def test_a_rule_more_asks_more() -> None:
    few = probes(article.topology(), article.HOST, named_by("-p tcp -m tcp --dport 80 -j DROP")).asked
    more = probes(
        article.topology(),
        article.HOST,
        named_by("-p tcp -m tcp --dport 80 -j DROP", "-p udp -m udp --dport 53 -j DROP", "-s 192.168.66.64/26 -j DROP"),
    ).asked
    assert set(few) < set(more)
    assert {probe.source for probe in more} - {""} == {
        "192.168.66.63",
        "192.168.66.64",
        "192.168.66.127",
        "192.168.66.128",
    }


def test_packets_of_no_connection_are_asked_where_a_rule_tells_them_apart() -> None:
    assert not any(p.state == INVALID for p in probes(article.topology(), article.HOST, ReferencedValues()).asked)
    named = named_by("-m conntrack --ctstate INVALID -j DROP")
    assert any(p.state == INVALID for p in probes(article.topology(), article.HOST, named).asked)


def test_what_is_beyond_the_bound_is_cut_and_counted() -> None:
    everything = probes(article.topology(), article.HOST, ReferencedValues())
    cut = probes(article.topology(), article.HOST, ReferencedValues(), most=5)
    assert cut.asked == everything.asked[:5]
    assert cut.cut == len(everything.asked) - 5


ROWS = [
    Row(
        "client tcp 192.0.2.1:80",
        "reaches web at 172.17.0.2:80, answered from 192.0.2.1:80",
        ("filter -A X -j ACCEPT",),
    ),
    Row(
        "client tcp 192.0.2.1:81",
        "is dropped",
        ("filter :FORWARD DROP", 'nat -A Y -m comment --comment "a; b" -j DNAT'),
    ),
    Row("host icmp 192.0.2.1", "is not sent: the kernel has no way there", ()),
]


def test_a_table_is_read_as_it_was_written() -> None:
    rows = ROWS
    written = table.text(rows, "my rules", ["3 more probes were cut."])
    assert table.is_table(written)
    assert written.splitlines()[:2] == ["# Behaviours of my rules: 3 probes.", "# 3 more probes were cut."]
    assert table.parse(written, "t") == rows


def test_a_line_that_is_no_behaviour_is_named() -> None:
    with pytest.raises(TestbedError, match="t, line 2: 'nonsense' is no behaviour"):
        table.parse("# Behaviours of x\nnonsense\n", "t")


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("is dropped", "reaches web at 172.17.0.2:80", OPENED),
        ("reaches web at 172.17.0.2:80", "is dropped", CLOSED),
        ("reaches web at 172.17.0.2:80", "reaches app at 172.17.0.3:80", TRANSLATED),
        (
            "reaches web at 172.17.0.2:80, answered from A",
            "reaches web at 172.17.0.2:80, its answer is dropped",
            ANSWERED,
        ),
        ("is dropped", "is rejected with port unreachable", ANSWERED),
    ],
)
def test_kinds_of_change(old: str, new: str, kind: str) -> None:
    (change,) = difference.changes([Row("p", old, ())], [Row("p", new, ())])
    assert change.kind == kind


def test_equal_by_another_rule_is_a_change_and_equal_by_the_same_is_none() -> None:
    one, other = Row("p", "is dropped", ("a",)), Row("p", "is dropped", ("b",))
    assert [change.kind for change in difference.changes([one], [other])] == [MOVED]
    assert difference.changes([one], [one]) == []


def test_one_cause_is_one_entry_with_the_rules_where_they_part() -> None:
    old = [Row(f"p{n}", "is dropped", ("same", "old rule")) for n in range(3)]
    new = [Row(f"p{n}", "reaches web at 172.17.0.2:80", ("same", "new rule")) for n in range(3)]
    (cause,) = difference.causes(difference.changes(old, new))
    assert (cause.kind, len(cause.changes), cause.parted) == (OPENED, 3, ("old rule", "new rule"))
    told = [line.plain for line in lines([Explained(cause)])]
    assert told[0] == "newly open  3 probes"
    assert told[2:4] == ["  - is dropped   by old rule", "  + reaches web at 172.17.0.2:80   by new rule"]
    assert "| **newly open** (3 probes) | `p0` | is dropped<br>`old rule` |" in markdown([Explained(cause)], "h", [])


def test_probes_of_one_side_alone_are_said() -> None:
    assert difference.unpaired(ROWS[:2], ROWS[1:]) == ([ROWS[0].probe], [ROWS[2].probe])
