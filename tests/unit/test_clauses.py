"""A rule's words read as clauses, with their places in the text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.rules import save
from testbed.rules.clauses import Target, clauses, target_of

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
SPECS = sorted({rule.spec for path in CAPTURES.rglob("ip*tables-save.txt") for _, rule in save.read(path).rules})


def short(spec: str) -> list[str]:
    """Every clause as `module option values`, with ! where it is negated."""
    return [
        " ".join(filter(None, ("!" * clause.negated, clause.module, clause.option, *clause.values)))
        for clause in clauses(spec)
    ]


def test_there_are_captured_rules() -> None:
    assert len(SPECS) > 80


@pytest.mark.parametrize("spec", SPECS)
def test_clauses_and_target_cover_captured_rules(spec: str) -> None:
    rest = spec
    for clause in reversed(clauses(spec)):
        assert spec[clause.start : clause.end] == clause.text
        rest = rest[: clause.start] + rest[clause.end :]
    target = target_of(spec)
    assert target is not None
    assert spec[target.start : target.end] == target.text
    rest = rest.removesuffix(target.text)
    assert re.fullmatch(r'(\s|-m \w+|--comment ("[^"]*"|\S+))*-[jg] ', rest), rest


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", []),
        ("-j DROP", []),
        ("-d 172.17.0.2/32 ! -i docker0 -j DROP", ["-d 172.17.0.2/32", "! -i docker0"]),
        ("--source 10.0.0.0/8 --out-interface docker0", ["-s 10.0.0.0/8", "-o docker0"]),
        ("-p tcp -m tcp --dport 80 -j ACCEPT", ["-p tcp", "tcp --dport 80"]),
        ("-p udp --destination-port 53", ["-p udp", "udp --dport 53"]),
        ("-p ipv6-icmp --icmpv6-type 128", ["-p ipv6-icmp", "icmp6 --icmpv6-type 128"]),
        ("-p tcp -m tcp ! --tcp-flags SYN,ACK SYN", ["-p tcp", "! tcp --tcp-flags SYN,ACK SYN"]),
        ("-s ! 10.0.0.1 -p ! tcp", ["! -s 10.0.0.1", "! -p tcp"]),
        ("-p tcp --syn ! -i docker0 -f", ["-p tcp", "tcp --syn", "! -i docker0", "-f"]),
        ("! -f -j DROP", ["! -f"]),
        ("-p tcp -m conntrack --ctstate NEW --dport 80", ["-p tcp", "conntrack --ctstate NEW", "tcp --dport 80"]),
        ("-p tcp -m tcp -m comment --comment x --dport 80", ["-p tcp", "tcp", "tcp --dport 80"]),
        ("-m rpfilter -j DROP", ["rpfilter"]),
        ("-m rpfilter --invert -m socket", ["rpfilter --invert", "socket"]),
        ("-m recent ! --rcheck --seconds 60 --name x", ["! recent --rcheck", "recent --seconds 60", "recent --name x"]),
        ("-m set ! --match-set black src,dst -j DROP", ["! set --match-set black src,dst"]),
        ('-m string --string "-j \\"x\\" !" --algo bm', ['string --string -j "x" !', "string --algo bm"]),
        ('-m comment --comment "-i eth0 ! -d" -o eth1', ["-o eth1"]),
        ("-m comment --comment it's -i eth0", ["-i eth0"]),
        ("-j DNAT --to-destination 10.0.0.1 -i eth0", ["-i eth0"]),
        ("-4 -c 1 2 -i eth0", ["-i eth0"]),
        ("--novelty a b", ["--novelty a b"]),
        ("-i", ["-i"]),
    ],
)
def test_words_as_clauses(spec: str, expected: list[str]) -> None:
    assert short(spec) == expected
    assert all(spec[clause.start : clause.end] == clause.text for clause in clauses(spec))


@pytest.mark.parametrize(
    ("spec", "clause", "underlined"),
    [
        ("-d 172.17.0.2/32  !  -i docker0 -j DROP", 1, "!  -i docker0"),
        ('-m comment --comment "a \\" b" -p tcp -m tcp --dport 80', 1, "--dport 80"),
        ("-m rpfilter -j DROP", 0, "-m rpfilter"),
        ("-s ! 10.0.0.1 -j DROP", 0, "-s ! 10.0.0.1"),
    ],
)
def test_a_clause_can_be_underlined(spec: str, clause: int, underlined: str) -> None:
    found = clauses(spec)[clause]
    assert spec[found.start : found.end] == underlined == str(found)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("-i eth0", None),
        ("-j ACCEPT", Target("jump", "ACCEPT", "ACCEPT", 3, 9)),
        ("-i a -g DOCKER", Target("goto", "DOCKER", "DOCKER", 8, 14)),
        ('--jump LOG --log-prefix "a -j b"', Target("jump", "LOG", 'LOG --log-prefix "a -j b"', 7, 32)),
        (
            "-p tcp -j DNAT --to-destination 172.17.0.2:80",
            Target("jump", "DNAT", "DNAT --to-destination 172.17.0.2:80", 10, 45),
        ),
        ("-j DROP -i eth0", Target("jump", "DROP", "DROP", 3, 7)),
        ('-m comment --comment "-j DROP"', None),
    ],
)
def test_what_a_rule_does(spec: str, expected: Target | None) -> None:
    assert target_of(spec) == expected
