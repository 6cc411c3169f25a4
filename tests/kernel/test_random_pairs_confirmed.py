"""Random rule sets one edit apart, over random packets of both beds: what is called equal is equal, and the reverse.

Every region that the analysis finds is confirmed by its witness, those of replies and of translated packets included.
Random packets are sent through both beds: where their outcomes differ, the packet is in a region that was found.
"""

from __future__ import annotations

import random

import pytest
from test_analysis_against_kernel import PACKETS, Said, Sent, followed, of_kernel, random_packets, random_rules, spec

from testbed.analysis.difference import difference
from testbed.behaviour.regions.comparison import RegionChange, compare_exactly
from testbed.behaviour.static_neighbours import add_static_neighbours
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import article
from testbed.pytest_plugin import MakeBed
from testbed.rules.ruleset import Ruleset

SEEDS = range(100, 103)
CHAINS = [
    ("filter", "DOCKER-USER", "FORWARD"),
    ("filter", "FORWARD", "FORWARD"),
    ("filter", "INPUT", "INPUT"),
    ("nat", "PREROUTING", "PREROUTING"),
    ("nat", "POSTROUTING", "POSTROUTING"),
    ("mangle", "PREROUTING", "PREROUTING"),
]
TARGETS = {
    "filter": ["ACCEPT", "DROP", "REJECT", "RETURN"],
    "nat": ["RETURN", "ACCEPT"],
    "mangle": ["MARK --set-xmark 0x1/0xffffffff", "MARK --set-xmark 0x2/0x3", "DROP"],
}


def edited(seed: int) -> tuple[Ruleset, Ruleset]:
    """A random rule set, and one that has a rule more."""
    chance = random.Random(seed + 5000)
    old = random_rules(seed)
    table, chain, kind = chance.choice(CHAINS)
    return old, old.insert(table, chain, f"{spec(chance, kind)} -j {chance.choice(TARGETS[table])}")


def outcomes(make_bed: MakeBed, rules: Ruleset, packets: list[Sent]) -> list[Said]:
    bed = make_bed(rules=rules)
    add_static_neighbours(bed.host, bed.topology, {address for p in packets for address in (p.source, p.destination)})
    return [of_kernel(followed(bed, sent), sent) for sent in packets]


@pytest.mark.parametrize("seed", SEEDS)
def test_pair_of_random_rule_sets_is_confirmed_by_the_kernel(make_bed: MakeBed, seed: int) -> None:
    old, new = edited(seed)
    found = compare_exactly(article.HOST, False, [RulesetVariant(old, "nft"), RulesetVariant(new, "nft")])
    assert not found.open
    confirmed = [change for change in found.found if isinstance(change, RegionChange)]
    assert len(confirmed) == len(found.found)
    packets = random_packets(seed)
    assert len(packets) == PACKETS
    before, now = outcomes(make_bed, old, packets), outcomes(make_bed, new, packets)
    differing = [
        (sent, one, other) for sent, one, other in zip(packets, before, now, strict=True) if _other(one, other)
    ]
    assert not differing or confirmed, differing
    if not difference(old, new, article.topology()).changes:
        assert [pair for pair in differing if pair[1].end != pair[2].end] == []


def _other(one: Said, other: Said) -> bool:
    return (one.end, one.left, one.source, one.destination, one.port) != (
        other.end,
        other.left,
        other.source,
        other.destination,
        other.port,
    )


def test_seeds_cover_every_table() -> None:
    chances = [random.Random(seed + 5000) for seed in range(100, 140)]
    assert {chance.choice(CHAINS)[0] for chance in chances} == {"filter", "nat", "mangle"}
