"""Witnesses asked again: their ways agree with what became of them when all was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from testbed import Ruleset, Testbed
from testbed.behaviour import difference, table
from testbed.behaviour.difference import MOVED
from testbed.behaviour.explanation import explained
from testbed.behaviour.mutants import mutants
from testbed.behaviour.probe_cache import ProbeCache
from testbed.behaviour.probes import ICMP, INVALID, TCP, UDP, Probe
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.behaviour.witness import ways, witnesses
from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.mutation.witness import fares_differently, told_apart, witness
from testbed.observe.journey import DELIVERED
from testbed.rules import save

SIX = """
networks:
  six: {enable_ipv6: true, ipam: {config: [{subnet: 172.20.0.0/16}, {subnet: "2001:db8:20::/64"}]}}
services:
  web: {networks: [six], ports: ["80:80"]}
"""


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def shut(spec: str = "-i ens33 -j DROP") -> Ruleset:
    text = save.render(article.ruleset())
    return save.parse(text.replace("-A DOCKER-USER -j RETURN", f"-A DOCKER-USER {spec}"))


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_a_mutant_is_told_apart_also_when_only_those_are_asked_that_meet_it(backend: str) -> None:
    memory, rules, differing = ProbeCache(), article.ruleset(), Counter[bool]()
    for mutant in mutants(rules, strong=True)[::9]:
        changed = mutant.apply(rules)
        assert changed is not None
        whole = told_apart(article.HOST, rules, changed, backend)
        fares = any(told.change.kind != MOVED for told in whole)
        assert fares_differently(article.HOST, rules, changed, backend, memory) == fares, mutant
        assert told_apart(article.HOST, rules, changed, backend, memory) == whole, mutant
        differing[fares] += 1
    memory.close()
    assert min(differing[True], differing[False]) > 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("state-c9447750", ("expected='delivered'", "error=True")),
        ("delete-77661121", ("expected='delivered'", "dnat='172.17.0.2:80'")),
        ("drop-clause-c61d63c2", ("expected='not delivered'",)),
        ("drop-clause-594de3c6", ("expected='refused'",)),
        ("policy-d5571963", ("origin='host'", "address='127.0.0.1'", "expected='answered'")),
        ("drop-clause-6178e695", ("origin='host'", "protocol='icmp'", "expected='counted'")),
        ("drop-clause-4e624dfd", ("expected='counted'", "counters=(")),
    ],
)
def test_a_case_about_an_error_or_the_hosts_own_call_says_it_in_packets(name: str, said: tuple[str, ...]) -> None:
    """And not by a probe, which traces: whoever records coverage traces already."""
    rules = article.ruleset()
    mutant = next(one for one in mutants(rules, strong=True) if one.id == name)
    changed = mutant.apply(rules)
    assert changed is not None
    found = witness(mutant, [(article.HOST, rules, changed)], rules, "nft")
    assert found is not None
    for text in said:
        assert text in found.case
    assert "expected='behaves'" not in found.case


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_every_probe_fares_alone_as_it_did_among_the_others(backend: str) -> None:
    sides = [RulesetVariant(article.ruleset(), backend), RulesetVariant(shut(), backend)]
    answers = ask(article.HOST, sides, silent)
    for rows, found in zip(answers.sides, witnesses(article.HOST, sides, answers.probes.asked), strict=True):
        assert len(found) == len(rows) == 102
        for row in table.rows(rows):
            way = found[row.probe]
            assert way.reaches == row.reaches, row
            answered = way.answer is not None and way.answer.end.where == row.probe.split(" ")[0]
            assert answered == ("answered from" in row.outcome), row


def test_the_rules_where_the_ways_part_are_those_of_the_edit() -> None:
    sides = [RulesetVariant(article.ruleset(), "nft"), RulesetVariant(shut(), "nft")]
    answers = ask(article.HOST, sides, silent)
    found = difference.causes(difference.changes(*map(table.rows, answers.sides)))
    told = explained(article.HOST, sides, answers.probes.asked, found)
    assert [one.cause for one in told] == found
    assert not any(one.otherwise for one in told)
    partings = [one.parting for one in told]
    for apart in partings:
        assert apart is not None
        assert (str(apart.old), str(apart.new)) == (
            "filter -A DOCKER-USER -j RETURN",
            "filter -A DOCKER-USER -i ens33 -j DROP",
        )
    assert [apart.of_answer for apart in partings if apart is not None] == [False, True, False]


def test_of_a_table_there_are_no_ways() -> None:
    sides = [RulesetVariant(article.ruleset(), "nft"), RulesetVariant(shut(), "nft")]
    answers = ask(article.HOST, sides, silent)
    found = difference.causes(difference.changes(*map(table.rows, answers.sides)))
    told = explained(article.HOST, [None, sides[1]], answers.probes.asked, found)
    assert [(one.old, one.new is None, one.parting) for one in told] == [(None, False, None)] * 3
    assert all(one.old is one.new is None for one in explained(article.HOST, [None, None], (), found))


def test_each_kind_of_probe_goes_its_way() -> None:
    rules = shut("-s 192.168.66.64/26 -j DROP")
    probes = [
        Probe("client", TCP, "192.168.66.100", 80),
        Probe("client", TCP, "192.168.66.100", 80, INVALID),
        Probe("client", TCP, "192.168.66.100", 80, source="192.168.66.70"),
        Probe("client", UDP, "172.17.0.2", 9, direct=True),
        Probe("host", ICMP, "172.17.0.2", 0),
        Probe("web", ICMP, "203.0.113.10", 0),
    ]
    (found,) = witnesses(article.HOST, [RulesetVariant(rules, "nft")], probes)
    asked = [found[str(probe)].question for probe in probes]
    assert [journey is not None and str(journey.end) for journey in asked] == [
        "delivered to web",
        "taken in by host: answered by RST/ACK from 192.168.66.100:80",  # nat asks no packet of no connection
        "dropped at host: filter -A DOCKER-USER -s 192.168.66.64/26 -j DROP",
        "dropped at host: filter :FORWARD DROP",
        "delivered to web",
        "delivered to internet",
    ]
    assert [way.answer is not None for way in found.values()] == [True, False, False, False, True, True]


def test_packets_of_ipv6_go_their_way_too() -> None:
    host = hostfile.parse(SIX)
    probes = [Probe("web", protocol, "2001:db8:113::10", port) for protocol, port in ((TCP, 80), (UDP, 53), (ICMP, 0))]
    with Testbed(article.topology(host), engine("28").rules(host)) as bed:
        found = ways(bed, probes)
    for way in found.values():
        assert way.question is not None
        assert way.answer is not None
        assert (way.question.end.kind, way.answer.end.where) == (DELIVERED, "web")
