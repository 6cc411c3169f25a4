"""What two rule sets do differently, over all packets, on the article's host."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis import programs
from testbed.analysis.difference import DifferenceKind, Region, RulesetDifference, SymbolicComparison, difference
from testbed.analysis.world import PacketKind, World
from testbed.docker import article
from testbed.rules import rulefile, save
from testbed.rules.ruleset import Ruleset

DATA = Path(__file__).parent.parent / "data"
SAVED = sorted([*DATA.glob("captures/28.5/*/iptables-save.txt"), *DATA.glob("foreign/*.rules")])
OPEN, CLOSED, OTHER_RULE = DifferenceKind.NEWLY_OPEN, DifferenceKind.NEWLY_CLOSED, DifferenceKind.BY_ANOTHER_RULE


def compared(old: Ruleset, new: Ruleset) -> RulesetDifference:
    return difference(old, new, article.topology())


def with_rule(spec: str, chain: str = "DOCKER-USER", table: str = "filter") -> RulesetDifference:
    return compared(article.ruleset(), article.ruleset().insert(table, chain, spec))


def one(found: RulesetDifference, kind: DifferenceKind, packet: PacketKind = PacketKind.FIRST) -> list[Region]:
    return [region for region in found.regions if (region.kind, region.packet) == (kind, packet)]


def values(region: Region, field: str) -> tuple[tuple[int, int], ...] | None:
    term = region.description.term(field)
    return None if term is None or term.negated else term.spans


@pytest.mark.parametrize("path", SAVED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_rule_set_differs_from_itself(path: Path) -> None:
    rules = rulefile.read(path)
    program = programs.program(rules)
    found = SymbolicComparison(World.of(article.topology()), (program, program)).result()
    assert (found.regions, found.unjudged) == ((), ())
    assert difference(rules, rulefile.read(path), article.topology()) == found


@pytest.mark.parametrize(
    ("spec", "field", "spans"),
    [
        ("-m length --length 1000:65535 -j DROP", "length", ((1000, 65535),)),
        ("-m ttl --ttl-lt 5 -j DROP", "ttl", ((2, 5),)),
        ("-p gre -j DROP", "protocol", ((47, 47),)),
        ("-m dscp --dscp 0x2e -j DROP", "tos", ((0xB8, 0xBB),)),
        ("-p icmp -m icmp --icmp-type timestamp-request -j DROP", "first", ((13 << 8, (13 << 8) + 255),)),
        ("-s 198.51.100.0/24 -j DROP", "source", ((0xC6336400, 0xC63364FF),)),
        ("-p udp -m udp --sport 53 --dport 1024:65535 -j DROP", "first", ((53, 53),)),
        ("-p tcp -m tcp --tcp-flags ALL NONE -j DROP", "protocol", ((6, 6),)),
    ],
)
def test_a_drop_for_some_packets_closes_them_and_no_others(
    spec: str, field: str, spans: tuple[tuple[int, int], ...]
) -> None:
    found = with_rule(spec)
    assert {region.kind for region in found.regions} == {CLOSED, OTHER_RULE}
    assert not found.unjudged
    outward = [r for r in one(found, CLOSED) if r.old is not None and r.old.text.startswith("-A FORWARD -i docker0 !")]
    (region,) = outward
    assert values(region, field) == spans
    assert region.new is not None
    assert region.new.text == f"-A DOCKER-USER {spec}"
    header = region.witness.packet.first
    assert (header.entered, str(header.source)) == ("docker0", str(header.source))


def test_an_accept_for_long_packets_opens_them_with_a_witness_to_a_container() -> None:
    found = with_rule("-m length --length 1000:1500 -j ACCEPT", "FORWARD")
    (region, *_) = one(found, OPEN)
    assert region.description.term("length") is not None
    witness = region.witness.packet
    assert str(witness.origin) == "client:eth0"
    assert (str(witness.first.source), str(witness.first.destination)) == ("192.168.66.1", "172.17.0.2")
    assert 1000 <= witness.first.length <= 1500
    assert region.old is not None
    assert region.old.number is None
    assert region.count > 2**64


def test_established_packets_of_one_direction_are_closed_behind_the_first_one() -> None:
    spec = "-i ens33 -o docker0 -p tcp -m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j DROP"
    found = with_rule(spec)
    assert {(region.kind, region.packet) for region in found.regions} == {(CLOSED, PacketKind.LATER)}
    (region,) = found.regions
    assert region.witness.packet.later is not None
    assert (region.witness.packet.first.flags, region.witness.packet.later.flags) == ("S", "A")
    assert region.witness.packet.first.ports == region.witness.packet.later.ports == (40000, 80)


def test_a_rule_for_replies_closes_replies() -> None:
    found = with_rule("-i docker0 -p tcp -m tcp --sport 80 -m conntrack --ctstate ESTABLISHED -j DROP")
    assert {region.kind for region in one(found, CLOSED, PacketKind.REPLY)} == {CLOSED}
    assert not one(found, CLOSED)


def test_another_target_port_is_translated_differently() -> None:
    old = article.ruleset()
    new = save.parse(save.render(old).replace("--to-destination 172.17.0.2:80", "--to-destination 172.17.0.2:81"))
    kinds = {region.kind for region in compared(old, new).changes}
    assert kinds == {CLOSED, DifferenceKind.TRANSLATED}  # no rule lets port 81 in; the host's own calls pass
    both = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
    wide = [save.parse(save.render(rules).replace(both, both.replace(" --dport 80", ""))) for rules in (old, new)]
    assert {region.kind for region in compared(*wide).changes} == {DifferenceKind.TRANSLATED}


def test_reject_in_place_of_drop_is_answered_differently() -> None:
    rules = article.ruleset()
    found = compared(
        rules.insert("filter", "DOCKER-USER", "-p udp -j DROP"),
        rules.insert("filter", "DOCKER-USER", "-p udp -j REJECT --reject-with icmp-port-unreachable"),
    )
    assert {region.kind for region in found.regions} == {DifferenceKind.ANSWERED}


def test_a_rule_that_no_packet_needs_makes_no_difference() -> None:
    assert with_rule("-i docker0 -o docker0 -p tcp -p tcp -m tcp --dport 1:0 -j DROP").regions == ()
    assert with_rule("-f -j DROP").regions == ()  # connection tracking puts fragments together


def test_order_of_rules_that_are_apart_makes_no_difference() -> None:
    one_way = article.ruleset().insert("filter", "DOCKER-USER", "-p tcp -j DROP")
    other = article.ruleset().insert("filter", "DOCKER-USER", "-p udp -j REJECT")
    assert compared(
        one_way.insert("filter", "DOCKER-USER", "-p udp -j REJECT"),
        other.insert("filter", "DOCKER-USER", "-p tcp -j DROP"),
    ) == RulesetDifference((), ())


@pytest.mark.parametrize(
    "spec",
    [
        "-m string --algo bm --string GET -j DROP",
        "-m statistic --mode random --probability 0.5 -j DROP",
        "-m limit --limit 3/min -j DROP",
        "-m time --timestart 08:00:00 --timestop 09:00:00 -j DROP",
    ],
)
def test_a_clause_that_cannot_be_read_is_named_and_not_judged(spec: str) -> None:
    found = with_rule(spec)
    assert not found.changes
    assert {reference.text for item in found.unjudged for reference in item.references} == {f"-A DOCKER-USER {spec}"}
    assert {item.kind for item in found.unjudged} >= {"newly closed"}


def test_random_rules_do_not_differ_from_themselves() -> None:
    rules = article.ruleset()
    for spec in ("-m statistic --mode random --probability 0.5 -j DROP", "-m recent --name x --rcheck -j DROP"):
        rules = rules.insert("filter", "DOCKER-USER", spec)
    assert compared(rules, rules) == RulesetDifference((), ())


def test_a_list_that_is_filled_by_other_packets_is_not_judged() -> None:
    check = "-p tcp -m tcp --dport 80 -m recent --rcheck --name knock -j DROP"
    rules = article.ruleset().insert("filter", "DOCKER-USER", check)
    fill = "-p tcp -m tcp --dport {} -m recent --set --name knock"
    found = compared(
        rules.insert("filter", "DOCKER-USER", fill.format(1)), rules.insert("filter", "DOCKER-USER", fill.format(2))
    )
    assert not found.changes
    assert any("--set --name knock" in text for item in found.unjudged for text in item.texts)


def test_a_rule_behind_an_unread_clause_differs_for_packets_without_it() -> None:
    rules = article.ruleset().insert("filter", "DOCKER-USER", "-m string --algo bm --string GET -j DROP")
    more = save.parse(
        save.render(rules).replace(
            "-A DOCKER-USER -j RETURN", "-A DOCKER-USER -p udp -j DROP\n-A DOCKER-USER -j RETURN"
        )
    )
    assert {region.kind for region in compared(rules, more).changes} == {CLOSED}


def test_marks_that_are_set_and_read_are_followed() -> None:
    rules = article.ruleset().insert("filter", "DOCKER-USER", "-m mark --mark 0x7 -j DROP")
    marked = rules.insert(
        "mangle", "PREROUTING", "-i ens33 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff"
    )
    found = compared(rules, marked)
    assert {region.kind for region in found.changes} == {CLOSED}
    assert all(r.witness.packet.first.second == 80 for r in one(found, CLOSED))


def test_ipv6_rules_close_ipv6_packets() -> None:
    def with_drop(drop: str) -> Ruleset:
        six = f"# Generated by ip6tables-save\n*filter\n:INPUT ACCEPT [0:0]\n{drop}COMMIT\n"
        return save.parse(save.render(article.ruleset()) + six)

    found = compared(with_drop(""), with_drop("-A INPUT -p tcp -m tcp --dport 22 -j DROP\n"))
    assert {region.kind for region in found.changes} == {CLOSED}
    assert all(region.witness.packet.first.destination.version == 6 for region in found.changes)
