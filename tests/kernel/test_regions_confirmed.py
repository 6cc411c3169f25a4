"""Regions of packets that differ by one rule, each with a witness that the kernel confirms in both beds.

The edits are those of rule sets reported in public trackers, cut down to one rule more than the article's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis.difference import DifferenceKind
from testbed.analysis.world import PacketKind
from testbed.behaviour.regions.comparison import ExactComparison, RegionChange, compare_exactly
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import article
from testbed.docker.guess import GuessKind
from testbed.rules import AnyRuleset, rulefile

DATA = Path(__file__).parent.parent / "data" / "compared"
OPEN, CLOSED, OTHER = DifferenceKind.NEWLY_OPEN, DifferenceKind.NEWLY_CLOSED, DifferenceKind.BY_ANOTHER_RULE
FIRST, REPLY, LATER = PacketKind.FIRST, PacketKind.REPLY, PacketKind.LATER
ERROR, REPLY_ERROR, REPEATED = PacketKind.ERROR, PacketKind.REPLY_ERROR, PacketKind.REPEATED

USER, FORWARD, INPUT, OUTPUT = "DOCKER-USER", "FORWARD", "INPUT", "OUTPUT"
EDITS = [
    (FORWARD, "-m length --length 1000:1500 -j ACCEPT", OPEN, FIRST),
    (USER, "-m length --length 1000:65535 -j DROP", CLOSED, FIRST),
    (USER, "-m ttl --ttl-lt 5 -j DROP", CLOSED, FIRST),
    (USER, "-p icmp -m icmp --icmp-type timestamp-request -j DROP", CLOSED, FIRST),
    (USER, "-p icmp -m icmp --icmp-type 3/4 -j DROP", CLOSED, ERROR),
    (USER, "-p icmp -m icmp --icmp-type 3/4 -j DROP", CLOSED, REPLY_ERROR),
    (USER, "-p gre -j DROP", CLOSED, FIRST),
    (USER, "-p sctp -j DROP", CLOSED, FIRST),
    (USER, "-p esp -j DROP", CLOSED, FIRST),
    (USER, "! -p tcp -j DROP", CLOSED, FIRST),
    (USER, "-m dscp --dscp 0x2e -j DROP", CLOSED, FIRST),
    (USER, "-p tcp -m tcp --tcp-flags ALL NONE -j DROP", CLOSED, FIRST),
    (USER, "-p tcp -m tcp --tcp-flags ALL FIN,PSH,URG -j DROP", CLOSED, FIRST),
    (USER, "-p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate ESTABLISHED -j DROP", CLOSED, REPLY),
    (USER, "-s 198.51.100.0/24 -j DROP", CLOSED, FIRST),
    (USER, "-p udp -m udp --sport 53 --dport 1024:65535 -j DROP", CLOSED, FIRST),
    (USER, "-p udp -m udp --sport 53 --dport 1024:65535 -j DROP", CLOSED, REPLY),
    (USER, "-p tcp -m tcp --dport 0 -j DROP", CLOSED, FIRST),
    (USER, "-i docker0 -m conntrack --ctstate INVALID -j DROP", CLOSED, FIRST),
    (USER, "-p icmp -m icmp --icmp-type echo-reply -m conntrack --ctstate INVALID -j DROP", CLOSED, FIRST),
    (USER, "-i ens33 -o docker0 -p tcp -m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j DROP", CLOSED, LATER),
    (USER, "-o docker0 -p udp -m conntrack --ctstate NEW -m length --length 200:300 -j DROP", CLOSED, REPEATED),
    (INPUT, "-i ens33 -p tcp -m tcp --dport 22 -j DROP", CLOSED, FIRST),
    (INPUT, "-i ens33 -p tcp -m tcp --sport 443 -m conntrack --ctstate ESTABLISHED -j DROP", CLOSED, REPLY),
    (OUTPUT, "-p tcp -m tcp --dport 25 -j DROP", CLOSED, FIRST),
    (OUTPUT, "-p udp -m udp --sport 53 -j DROP", CLOSED, REPLY),
    (OUTPUT, "-p icmp -m icmp --icmp-type 8 -j REJECT", CLOSED, FIRST),
]


def compared(old: AnyRuleset, new: AnyRuleset, backend: str = "nft") -> ExactComparison:
    return compare_exactly(article.HOST, False, [RulesetVariant(old, backend), RulesetVariant(new, backend)])


def unconfirmed(found: ExactComparison) -> list[str]:
    return [
        f"{change}: {change.confirmed.unconfirmed}"
        for change in found.found
        if isinstance(change, RegionChange) and change.confirmed.unconfirmed
    ]


def kinds(found: ExactComparison) -> set[tuple[str, PacketKind]]:
    return {(change.kind, change.confirmed.region.packet) for change in found.found if isinstance(change, RegionChange)}


@pytest.mark.parametrize(("chain", "spec", "kind", "packet"), EDITS, ids=lambda value: str(value)[:60])
def test_one_rule_more_has_a_region_that_the_kernel_confirms(
    chain: str, spec: str, kind: DifferenceKind, packet: PacketKind
) -> None:
    rules = article.ruleset()
    found = compared(rules, rules.insert("filter", chain, spec))
    assert (kind.value, packet) in kinds(found)
    assert not found.open
    at_once = "a kernel answered the first packet of its connection at once"
    kernels = ("ESTABLISHED, not NEW", "NEW, not ESTABLISHED", at_once)  # or the host's kernel reset it
    assert not [text for text in unconfirmed(found) if not text.endswith(kernels)]


def test_rules_of_ipv6_are_compared_on_a_host_with_ipv6() -> None:
    found = compared(rulefile.read(DATA / "ipv6-rule-before.rules"), rulefile.read(DATA / "ipv6-rule-after.rules"))
    assert {change.kind for change in found.found} == {CLOSED.value}
    assert not unconfirmed(found)
    assert GuessKind.IPV6 in {guess.kind for guess in found.guesses}


def test_interface_and_address_that_rules_name_are_the_hosts() -> None:
    found = compared(rulefile.read(DATA / "eth0-before.rules"), rulefile.read(DATA / "eth0-after.rules"))
    (closed,) = [change for change in found.found if change.kind == CLOSED.value]
    assert closed.probe.startswith("tcp from eth0 by not 192.0.2.1")
    assert closed.new.by[0].startswith("filter -A DOCKER-USER -i eth0")
    assert not unconfirmed(found)


def test_packet_that_a_policy_drops_is_not_dropped_by_a_translation() -> None:
    old, new = (rulefile.read(DATA / f"dnat-only-{side}.rules") for side in ("before", "after"))
    found = compared(old, new)
    closed = [change for change in found.found if change.kind == CLOSED.value]
    assert (closed[0].new.outcome, closed[0].new.by) == ("is dropped", ("filter :FORWARD DROP",))


def test_random_rules_do_not_differ_from_themselves() -> None:
    rules = rulefile.read(DATA / "random-dnat.rules")
    found = compared(rules, rulefile.read(DATA / "random-dnat.rules"))
    assert (found.found, found.open) == ((), False)
    other = compared(article.ruleset(), rules)
    assert other.open
    assert any("--mode random" in line.why for line in other.lines)


def test_fragments_reach_no_rule_where_connections_are_tracked() -> None:
    rules = article.ruleset()
    found = compared(rules, rules.insert("filter", "DOCKER-USER", "-f -j DROP"))
    assert (found.found, found.open) == ((), False)


def test_host_translates_to_another_port_of_the_same_bridge() -> None:
    old = article.ruleset()
    new = old.insert(
        "nat", "PREROUTING", "-i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"
    )
    found = compared(old, new)
    assert {"translated differently", "newly open"} & {change.kind for change in found.found}
    assert not unconfirmed(found)


def test_legacy_tables_give_the_same_regions() -> None:
    rules = article.ruleset()
    more = rules.insert("filter", "DOCKER-USER", "-m ttl --ttl-lt 5 -j DROP")
    found, other = compared(rules, more, "legacy"), compared(rules, more)
    assert [str(change) for change in found.found] == [str(change) for change in other.found]
    assert not unconfirmed(found)
