"""Which first packets reach a target on the article's host, by hand from its rules and its routes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from testbed.analysis.places import Location, Origin, ReachTarget
from testbed.analysis.reachability import Ending, Reachability, ReachResult
from testbed.docker import article
from testbed.rules.ruleset import Ruleset

TCP, UDP = 6, 17
HOST, WEB = ip_network("192.168.66.100/32"), ip_network("172.17.0.2/32")
LAN_SOURCES = (ip_network("192.168.66.1/32"), ip_network("192.168.66.16/28"))
LAN = Origin("lan", "ens33", LAN_SOURCES, (), (HOST,))
DIRECT = Origin("direct", "ens33", LAN_SOURCES)
OTHER = Origin("bridge", "docker0", (ip_network("172.17.0.3/32"),))
ITSELF = Origin("host", "", ())
HOST_PORT, OWN_PORT = Location((HOST,), (TCP,), ((80, 80),)), Location((WEB,), (TCP,), ((80, 80),))
SERVICE = ReachTarget("web", (HOST_PORT, OWN_PORT), (Location((WEB,), (TCP,), ((80, 80),), "docker0"),))
REST = ((1, 79), (81, 65535))
OTHERS = ReachTarget("web", (Location((WEB,), (TCP, UDP), REST),), (Location((WEB,), (TCP, UDP), REST, "docker0"),))
ACCEPTED = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"


def reach(origin: Origin, target: ReachTarget, rules: Ruleset | None = None, version: int = 4) -> ReachResult:
    return Reachability(rules or article.ruleset(), article.topology()).reach(origin, target, version)


def with_rule(spec: str, chain: str = "DOCKER-USER", table: str = "filter") -> Ruleset:
    return article.ruleset().insert(table, chain, spec)


def summary(found: ReachResult) -> list[tuple[Ending, str]]:
    return [(region.ending, region.reference.text if region.reference else "") for region in found.regions]


@pytest.mark.parametrize(
    ("origin", "target", "expected"),
    [
        (LAN, SERVICE, [(Ending.DELIVERED, ACCEPTED)]),
        (DIRECT, SERVICE, [(Ending.DELIVERED, ACCEPTED)]),
        (DIRECT, OTHERS, [(Ending.DROPPED, ":FORWARD DROP")]),
        (LAN, OTHERS, []),
        (ITSELF, OTHERS, [(Ending.DELIVERED, ":OUTPUT ACCEPT")]),
        (OTHER, OTHERS, [(Ending.DELIVERED, "-A FORWARD -i docker0 -o docker0 -j ACCEPT")]),
    ],
)
def test_the_article_ends_packets_by_these_rules(
    origin: Origin, target: ReachTarget, expected: list[tuple[Ending, str]]
) -> None:
    assert summary(reach(origin, target)) == expected


def test_a_port_published_by_the_host_is_asked_at_the_host_by_a_container_of_the_bridge() -> None:
    found = reach(OTHER, ReachTarget("web", (HOST_PORT,), SERVICE.ends))
    (passed,) = found.of(Ending.ELSEWHERE)
    assert passed.reference is not None
    assert passed.reference.text == ":INPUT ACCEPT"
    (near,) = found.of(Ending.DELIVERED)
    assert near.witness.first.bridged
    assert str(near.witness.first.destination) == "172.17.0.2"


def test_a_source_that_a_rule_drops_is_a_region_of_its_own() -> None:
    found = reach(LAN, SERVICE, with_rule("-s 192.168.66.16/28 -j DROP"))
    (open_,), (closed,) = found.of(Ending.DELIVERED), found.of(Ending.DROPPED)
    assert open_.description.exact
    assert closed.description.exact
    one = 0xC0A84201
    term = open_.description.term("source")
    assert term is not None
    assert term.spans == ((one, one),)
    assert closed.reference is not None
    assert closed.reference.text == "-A DOCKER-USER -s 192.168.66.16/28 -j DROP"


def test_a_reset_is_a_refusal() -> None:
    found = reach(LAN, SERVICE, with_rule("-p tcp -j REJECT --reject-with tcp-reset"))
    (refused,) = found.regions
    assert (refused.ending, refused.answer) == (Ending.REFUSED, "tcp-reset")


def test_an_answer_that_a_rule_drops_leaves_the_service_unanswered() -> None:
    rule = "-i docker0 ! -o docker0 -p tcp -m tcp --sport 80 -j DROP"
    found = reach(LAN, SERVICE, with_rule(rule))
    (cut,) = found.regions
    assert cut.ending is Ending.UNANSWERED
    assert not found.open
    assert cut.reference is not None
    assert cut.reference.text == f"-A DOCKER-USER {rule}"


def test_a_limit_is_named_and_its_packets_pass_and_do_not_pass() -> None:
    found = reach(LAN, SERVICE, with_rule("-p tcp -j DROP").insert("filter", "DOCKER-USER", "-m limit -j RETURN"))
    (open_,), (closed,) = found.of(Ending.DELIVERED), found.of(Ending.DROPPED)
    assert open_.clauses == closed.clauses != ()
    assert "limit" in open_.clauses[0]


def test_a_target_that_is_not_followed_is_named() -> None:
    found = reach(LAN, SERVICE, with_rule("-j TARPIT"))
    assert found.unjudged == ("TARPIT",)


def test_ipv6_reaches_nothing_of_a_host_without_it() -> None:
    assert reach(LAN, SERVICE, version=6).regions == ()


def test_another_port_that_a_rule_translates_to_the_service_is_found() -> None:
    rules = article.ruleset().insert(
        "nat", "PREROUTING", "-p tcp -m tcp --dport 9999 -j DNAT --to-destination 172.17.0.2:80"
    )
    found = reach(LAN, SERVICE, rules)
    (open_,) = found.of(Ending.DELIVERED)
    term = open_.description.term("second")
    assert term is None
    assert open_.count == 2 * reach(LAN, SERVICE).regions[0].count
