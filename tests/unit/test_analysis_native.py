"""nftables' own syntax in the analysis: its clauses held against matching.py, its text read as nft lists it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symbolic import free_context, point
from test_analysis_clauses import packets

from testbed.analysis import native, programs
from testbed.analysis.difference import DifferenceKind, SymbolicComparison, difference
from testbed.analysis.native_clauses import packets_of
from testbed.analysis.world import PacketKind, World
from testbed.docker import article
from testbed.docker.engines import native as native_engine
from testbed.rules import NftRuleset, nft_clauses, rulefile
from testbed.rules.matching import first_failing
from testbed.rules.packet_context import PacketContext
from testbed.rules.places import places

DATA = Path(__file__).parent.parent / "data"
LISTED = sorted([*DATA.glob("foreign/*.nft"), *DATA.glob("listings/*/*.nft"), DATA / "article-translated.nft"])
SETS = {"near": ("192.168.66.0/24", "172.17.0.1-172.17.0.9"), "web": ("80", "8080-8090")}
EITHER_WAY = [
    *(f"ip saddr {{}}{network}" for network in ("192.168.66.0/24", "172.17.0.2", "192.168.66.1-192.168.66.9")),
    *(f"ip daddr {{}}{network}" for network in ("172.17.0.0/16", "{{ 192.168.66.1, 203.0.113.10 }}", "172.17.0.2")),
    *(f'{way} {{}}"{name}"' for way in ("iifname", "oifname") for name in ("ens33", "docker0", "docker*", "lo")),
    *(f"meta l4proto {{}}{name}" for name in ("tcp", "udp", "{{ tcp, udp }}")),
    *(f"ip protocol {{}}{name}" for name in ("tcp", "{{ icmp, udp }}")),
    *(f"tcp dport {{}}{port}" for port in ("80", "79-80", "{{ 22, 80 }}", "81-65535")),
    *(f"tcp sport {{}}{port}" for port in ("80", "{{ 22, 79-81 }}")),
    *(f"udp {way} {{}}53" for way in ("sport", "dport")),
    *(f"tcp flags & (fin | syn | rst | ack) {sign} syn" for sign in ("==", "!=")),
    *(f"icmp type {{}}{kind}" for kind in ("echo-request", "{{ echo-reply, destination-unreachable }}")),
    *(f"ct state {{}}{state}" for state in ("new", "established", "{{ new, invalid }}", "untracked")),
    *(f"ct direction {{}}{way}" for way in ("original", "reply")),
    *(f"ct original ip daddr {{}}{address}" for address in ("192.168.66.100", "172.17.0.0/16")),
    *(f"fib {way} type {{}}{kind}" for way in ("saddr", "daddr") for kind in ("local", "unicast")),
    *(f"meta mark {{}}{mark}" for mark in ("0x12", "0")),
    *(f"ip ttl {{}}{ttl}" for ttl in ("62", "63", "60-62")),
    *(f"{length} {{}}{size}" for length in ("ip length", "meta length") for size in ("52", "28-40")),
]
ONE_WAY = [
    *("ct state established,related", "tcp flags syn", "tcp flags syn,ack", "ct status dnat", "ct status snat"),
    *("meta mark & 0x0000000f == 0x00000002", "meta mark & 0x00000001 != 0x00000001", "ct status assured"),
    'iifname "ens33" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 ct state new',
]
RULES = [*ONE_WAY, *(rule.format(sign) for rule in EITHER_WAY for sign in ("", "!= "))]
CONTEXT = free_context()


def meets(words: str, facts: PacketContext) -> bool:
    found = packets_of(CONTEXT, nft_clauses.clauses(words), SETS)
    return (found & point(CONTEXT, facts)).satisfiable()


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(RULES), min_size=1, max_size=3), packets())
def test_a_random_rule_holds_for_a_random_packet_as_matching_says(parts: list[str], facts: PacketContext) -> None:
    words = " ".join(parts)
    expected = first_failing(nft_clauses.clauses(words), facts).matches
    if expected is not None:
        assert meets(words, facts) is expected, (words, facts)


@pytest.mark.parametrize("words", RULES)
def test_no_clause_of_these_is_opaque(words: str) -> None:
    before = len(CONTEXT.opaque.known)
    packets_of(CONTEXT, nft_clauses.clauses(words), SETS)
    assert len(CONTEXT.opaque.known) == before


@pytest.mark.parametrize(
    ("words", "matches"),
    [
        ("ip saddr @near", True),
        ("tcp dport @web", True),
        ("tcp dport != @web", False),
        ("tcp dport >= 80", True),
        ("tcp dport < 80", False),
        ("tcp flags == syn", True),
        ("ip dscp cs0", True),
    ],
)
def test_sets_and_comparisons(words: str, matches: bool) -> None:
    syn = PacketContext("192.168.66.1", "172.17.0.2", "tcp", 40000, 80, "S", entered="ens33", ttl=64, length=60)
    assert meets(words, syn) is matches


def test_a_set_that_is_not_known_makes_the_clause_opaque() -> None:
    context = free_context()
    packets_of(context, nft_clauses.clauses("ip saddr @unknown"), {})
    assert [clause.text for clause in context.opaque.known] == ["ip saddr @unknown"]


@pytest.mark.parametrize("path", LISTED, ids=lambda path: path.name)
def test_rules_are_found_at_their_lines_and_none_differs_from_itself(path: Path) -> None:
    rules = rulefile.read(path)
    assert isinstance(rules, NftRuleset)
    program = programs.program(rules)
    known = places(rules)
    numbers = {
        (r.reference.table, r.reference.chain, r.reference.number): r.reference.line
        for c in program.chains
        for r in c.rules
    }
    assert numbers
    for (table, chain, number), line in numbers.items():
        assert known[table, chain].line(number) == line, (table, chain, number)
    found = SymbolicComparison(World.of(article.topology()), (program, program)).result()
    assert (found.regions, found.unjudged) == ((), ())


def test_the_articles_rules_behave_as_their_translation_does() -> None:
    translated = rulefile.read(DATA / "article-translated.nft")
    found = difference(article.ruleset(), translated, article.topology())
    assert not found.unjudged
    assert {region.kind for region in found.regions} == {DifferenceKind.BY_ANOTHER_RULE}


def test_an_edit_of_an_engines_own_rules_is_found() -> None:
    old = native_engine.rules(article.HOST)
    accepted = replace(old, text=old.text.replace("tcp dport 80 counter accept", "tcp dport { 80, 81 } counter accept"))
    found = difference(old, accepted, article.topology())
    assert old != accepted
    assert found.changes == ()  # no packet to port 81 comes so far: raw-PREROUTING drops it
    published = replace(old, text=old.text.replace("tcp dport 80 counter dnat", "tcp dport { 80, 81 } counter dnat"))
    found = difference(old, published, article.topology())
    assert not found.unjudged
    opened = [r for r in found.changes if r.kind is DifferenceKind.NEWLY_OPEN and r.packet is PacketKind.FIRST]
    assert {region.witness.packet.first.second for region in opened} == {81}


def test_verdict_maps_lead_each_interface_to_its_chain() -> None:
    text = """
table ip t {
    map jumps { type ifname : verdict; elements = { "ens33" : jump out, "docker0" : goto in } }
    chain out { tcp dport 80 drop; }
    chain in { tcp dport 81 drop; }
    chain forward { type filter hook forward priority 0; policy accept; iifname vmap @jumps; tcp dport 82 drop; }
}
"""
    (forward,) = [chain for chain in programs.program(NftRuleset(text)).chains if chain.hook]
    assert [rule.reference.number for rule in forward.rules] == [1, 1, 2]
    opened = difference(NftRuleset(text), NftRuleset(text.replace("dport 81", "dport 91")), article.topology())
    assert {region.kind for region in opened.changes} == {DifferenceKind.NEWLY_OPEN, DifferenceKind.NEWLY_CLOSED}
    first = [region for region in opened.changes if region.packet is PacketKind.FIRST]
    assert {region.witness.packet.first.entered for region in first} == {"docker0"}


@pytest.mark.parametrize(
    ("statement", "family", "expected"),
    [
        ("reject", "ip", "icmp-port-unreachable"),
        ("reject with icmp type host-prohibited", "ip", "icmp-host-prohibited"),
        ("reject with icmpx admin-prohibited", "inet", "icmpx-admin-prohibited"),
        ("reject with tcp reset", "ip6", "tcp-reset"),
    ],
)
def test_what_a_reject_answers(statement: str, family: str, expected: str) -> None:
    (action,) = native.actions(statement, family)
    assert getattr(action, "answer", None) == expected


def test_hooks_outside_the_path_are_named() -> None:
    ingress = (
        'table netdev f {\n chain c {\n type filter hook ingress device "ens33" priority 0;\n tcp dport 80 drop\n }\n}'
    )
    found = difference(NftRuleset(ingress), NftRuleset("table ip t {\n}\n"), article.topology())
    assert not found.regions
    (item,) = found.unjudged
    assert "hook ingress" in item.texts[0]
