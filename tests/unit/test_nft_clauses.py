"""A rule's clauses in nftables' words: read, with their places in the text, and held against a packet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from packet_contexts import SYN, as_echo

from testbed.rules.matching import culprit, first_failing, holds
from testbed.rules.nft_clauses import clauses
from testbed.rules.packet_context import PacketContext

LISTINGS = Path(__file__).parent.parent / "data" / "listings"
_NO_RULES = ("table", "chain", "map", "type", "elements", '"', "}")
_STATEMENTS = re.compile(r'\s*(counter)?\s*(accept|drop|masquerade|(jump|dnat to) \S+)?( comment "[^"]*")?')
RULES = sorted(
    {
        line.strip()
        for path in LISTINGS.rglob("*.nft")
        for line in path.read_text().splitlines()
        if line.strip() and not line.strip().startswith(_NO_RULES)
    }
)
PACKET = replace(
    SYN,
    local_types={"192.168.66.1": "UNICAST", "172.17.0.2": "UNICAST"},
    sets={
        "filter-forward-in-jumps": lambda facts, _: facts.left == "docker0",
        "filter-forward-out-jumps": lambda facts, _: facts.entered == "docker0",
        "nat-postrouting-in-jumps": lambda facts, _: facts.left == "docker0",
        "nat-postrouting-out-jumps": lambda facts, _: facts.entered == "docker0",
    },
)
ECHO = as_echo(PACKET)
ECHO6 = replace(ECHO, source="2001:db8::2", destination="2001:db8::1", protocol="icmpv6", icmp=(128, 0))

TRUE = [
    "ip daddr 172.17.0.2",
    "ip daddr 172.17.0.0/16",
    "ip daddr { 10.0.0.1, 172.17.0.2 }",
    "ip daddr 172.17.0.1-172.17.0.9",
    "ip daddr != 127.0.0.0/8",
    'iifname "ens33"',
    'iifname "ens*"',
    'iifname { "lo", "ens33" }',
    'iifname != "docker0"',
    'oifname "docker0"',
    'meta oifname "docker0"',
    'iif "ens33"',
    "meta l4proto tcp",
    "meta l4proto { tcp, udp } th dport 80",
    "meta nfproto ipv4",
    "ip protocol tcp",
    "tcp dport 80",
    "tcp dport { 80, 443 }",
    "tcp dport 80-90",
    "tcp dport != 81",
    "tcp flags syn",
    "tcp flags syn,ack",
    "tcp flags & (fin | syn | rst | ack) == syn",
    "tcp flags syn / fin,syn,rst,ack",
    "tcp flags & (fin | psh) == 0x0",
    "ct state new,related",
    "ct state { new, related }",
    "ct state != invalid",
    "ct status dnat",
    "ct direction original",
    "ct original ip daddr 192.168.66.100",
    "ct original proto-dst 8080",
    "fib daddr type unicast",
    "meta mark 0x00000012",
    "meta mark & 0x000000f0 == 0x00000010",
    "meta mark & 0x00000001 != 0x00000001",
    "ip ttl 63",
    "ip length 40-60",
    'iifname vmap { "lo" : accept, "ens33" : jump somewhere }',
    "oifname vmap @filter-forward-in-jumps",
]
FALSE = [
    "ip daddr 172.18.0.0/16",
    "ip6 daddr ::1",
    "ip6 daddr != ::1",
    'iifname "docker0"',
    'oifname != "docker*"',
    "ip protocol icmp",
    "udp dport 80",
    "udp dport != 81",
    "tcp dport { 443, 8080-8090 }",
    "tcp dport != { 80, 443 }",
    "tcp flags ack,rst",
    "tcp flags != syn / fin,syn,rst,ack",
    "icmp type echo-request",
    "ct state established,related",
    "ct state != new",
    "ct status snat",
    "fib daddr type local",
    "fib saddr type local",
    "meta mark 0x13",
    "ip ttl != 63",
    'iifname vmap { "lo" : accept }',
    "iifname vmap @filter-forward-out-jumps",
]
UNKNOWN = [
    "iifname vmap @unknown",
    "ip saddr @black",
    "ip saddr != @black",
    "ip saddr . tcp dport { 192.168.66.1 . 80 }",
    "limit rate 3/minute",
    'xt match "addrtype"',
    "meta skuid 0",
    "ip dscp cs1",
    "ip ttl < 64",
    "tcp flags { syn, fin }",
    "tcp flags != syn",
    "tcp flags == syn",
    "ct status != dnat",
    "ct status ! dnat",
    "ct state != new,related",
    "ct state != new | related",
    "meta mark ! 0x00000001",
    "ct mark 0x1",
    "ct reply ip saddr 172.17.0.2",
    "ct original ip daddr @black",
    "fib saddr . iif oif missing",
    "numgen random mod 2 0",
    "ct count over 5",
    "tcp dport http",
    "@th,16,16 80",
    "vxlan ip saddr 192.168.66.1",
]


def test_there_are_listed_rules() -> None:
    assert len(RULES) > 15


@pytest.mark.parametrize("words", RULES)
def test_clauses_cover_listed_rules_and_can_be_judged(words: str) -> None:
    rest = words
    for clause in reversed(clauses(words)):
        assert words[clause.start : clause.end] == clause.text
        assert holds(clause, PACKET) is not None
        rest = rest[: clause.start] + rest[clause.end :]
    assert re.fullmatch(r'\s*(counter)?\s*((accept|drop|masquerade|(jump|dnat to) \S+)?( comment "[^"]*")?)?', rest), (
        rest
    )


@pytest.mark.parametrize("words", TRUE)
def test_holds(words: str) -> None:
    assert [holds(clause, PACKET) for clause in clauses(f"{words} counter accept")].count(True) == len(clauses(words))


@pytest.mark.parametrize("words", FALSE)
def test_fails(words: str) -> None:
    assert [holds(clause, PACKET) for clause in clauses(f"{words} counter accept")] == [False]


@pytest.mark.parametrize("words", UNKNOWN)
def test_cannot_be_told(words: str) -> None:
    verdict = first_failing(clauses(f"{words} counter accept"), PACKET)
    assert verdict.matches is None
    assert verdict.unknown[0].text == words or len(verdict.unknown) > 1


@pytest.mark.parametrize(
    ("words", "facts", "expected"),
    [
        ("icmp type echo-request", ECHO, True),
        ("icmp type { destination-unreachable, echo-request }", ECHO, True),
        ("icmp type 8 icmp code 0", ECHO, True),
        ("icmp type != echo-request", ECHO, False),
        ("th dport 80", ECHO, None),
        ("icmpv6 type { nd-neighbor-solicit, echo-request }", ECHO6, True),
        ("ip6 daddr 2001:db8::/32 meta l4proto ipv6-icmp", ECHO6, True),
        ("ip6 hoplimit 63", ECHO6, True),
        ("ip ttl 63", ECHO6, False),
        ("tcp dport 80", replace(PACKET, fragment=True), False),
        ("tcp dport 80", replace(PACKET, destination_port=None), None),
        ("tcp flags syn", replace(PACKET, tcp_flags=None), None),
        ("ct state new", replace(PACKET, state=None), None),
        ("ct state invalid", replace(PACKET, state="INVALID"), True),
        ("ct direction original", replace(PACKET, state="INVALID"), False),
        ("ct status dnat", replace(PACKET, status=None), None),
        ("fib daddr type local", replace(PACKET, local_types=None), None),
        ("meta mark 0x12", replace(PACKET, mark=None), None),
        ("ip saddr @black", replace(PACKET, sets={"black": lambda _, where: where == ("ip saddr",)}), True),
    ],
)
def test_of_another_packet(words: str, facts: PacketContext, expected: bool | None) -> None:
    assert first_failing(clauses(words), facts).matches is expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("counter accept", []),
        ("", []),
        ("counter packets 3 bytes 9 tcp dport 80 accept", ["tcp dport 80"]),
        ('counter name "mine" tcp dport 80 accept', ["tcp dport 80"]),
        ('tcp dport 80 drop comment "ip saddr 1.2.3.4"', ["tcp dport 80"]),
        ('iifname != "docker0" tcp dport 80 counter dnat to 172.17.0.2:80', ['iifname != "docker0"', "tcp dport 80"]),
        ("tcp dport 80 meta mark set 0x1 accept", ["tcp dport 80"]),
        ("tcp dport 80 jump ip", ["tcp dport 80"]),
        ("limit rate 3/minute tcp dport 80 accept", ["limit rate 3/minute tcp dport 80"]),
    ],
)
def test_words_as_clauses(words: str, expected: list[str]) -> None:
    assert [clause.text for clause in clauses(words)] == expected


def test_clauses_are_structured() -> None:
    (clause,) = clauses('ip saddr != { 10.0.0.0/8, 192.168.66.1 } drop comment "x"')
    assert (clause.module, clause.option, clause.negated) == ("ip", "saddr", True)
    assert clause.values == ("10.0.0.0/8", "192.168.66.1")


def test_why_a_rule_was_not_matched() -> None:
    found = culprit(clauses('iifname "ens33" ip saddr @black tcp dport 81 drop'), PACKET)
    assert found is not None
    assert found.text == "tcp dport 81"
    found = culprit(clauses('iifname "ens33" ip saddr @black drop'), PACKET)
    assert found is not None
    assert found.text == "ip saddr @black"
    assert culprit(clauses("meta skuid 0 ct mark 1"), PACKET) is None
    assert culprit(clauses("meta skuid 0 meta cpu 1"), PACKET) is None
