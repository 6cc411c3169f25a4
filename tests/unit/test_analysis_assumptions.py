"""What the analysis does not follow is named, and never taken for equal."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from testbed.analysis import difference as module
from testbed.analysis.difference import RulesetDifference, difference
from testbed.docker import article
from testbed.rules import save
from testbed.topology import Route, Topology

MORE = "-i ens33 -p udp -m udp --dport 9 -j DROP"


def texts(found: RulesetDifference) -> list[str]:
    return [text for item in found.unjudged for text in item.texts]


def with_sysctl(name: str, value: str) -> Topology:
    topology = article.topology()
    host = topology.node("host")
    changed = replace(host, sysctls=(*host.sysctls, (name, value)))
    return replace(topology, nodes=tuple(changed if node is host else node for node in topology.nodes))


def test_more_packets_before_any_reply_are_compared() -> None:
    rules = article.ruleset()
    spec = "-i ens33 -p tcp -m tcp ! --syn -m conntrack --ctstate NEW --ctstatus CONFIRMED -j DROP"
    found = difference(rules, rules.insert("filter", "DOCKER-USER", spec), article.topology())
    assert ("newly closed", "packet before any reply") in {(r.kind.value, r.packet.value) for r in found.regions}


@pytest.mark.parametrize("spec", ["-p icmp -j DROP", "-p tcp -m tcp --tcp-flags RST RST -j DROP"])
def test_output_rule_that_may_stop_answers_of_reject_is_named(spec: str) -> None:
    old = article.ruleset().insert("filter", "DOCKER-USER", "-p tcp -j REJECT --reject-with tcp-reset")
    found = difference(old, old.insert("filter", "OUTPUT", spec), article.topology())
    assert "changed rules may stop the answers of REJECT, which pass OUTPUT" in texts(found)
    assert not texts(difference(old, old.insert("filter", "OUTPUT", "-p udp -j DROP"), article.topology()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.conf.all.rp_filter", "1"),
        ("net.netfilter.nf_conntrack_tcp_loose", "0"),
        ("net.bridge.bridge-nf-call-iptables", "0"),
    ],
)
def test_sysctl_that_is_not_followed_is_named(name: str, value: str) -> None:
    rules = article.ruleset()
    found = difference(rules, rules.insert("filter", "DOCKER-USER", MORE), with_sysctl(name, value))
    assert texts(found) == [f"the host's {name} = {value}"]


def test_host_that_does_not_forward_passes_nothing_on() -> None:
    rules = article.ruleset()
    more = rules.insert("filter", "DOCKER-USER", "-i ens33 -p tcp -j DROP")
    assert difference(rules, more, article.topology()).changes
    assert not difference(rules, more, with_sysctl("net.ipv4.ip_forward", "0")).regions


def test_rule_set_that_alone_tracks_connections_names_fragments() -> None:
    old = save.parse("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n")
    new = save.parse("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n")
    assert any("fragments" in text for text in texts(difference(old, new, article.topology())))


def test_helper_that_expects_connections_is_named() -> None:
    rules = article.ruleset()
    helped = rules.insert("raw", "PREROUTING", "-p tcp -m tcp --dport 21 -j CT --helper ftp")
    assert "connections that a helper expects" in texts(difference(rules, helped, article.topology()))


def test_masquerade_without_an_address_is_named() -> None:
    rules = article.ruleset()
    topology = article.topology()
    host = topology.node("host")
    bare = replace(host, interfaces=tuple(replace(own, addresses=()) for own in host.interfaces))
    routed = replace(bare, routes=(Route(IPv4Network("203.0.113.0/24"), device="ens33"),))
    without = replace(topology, nodes=tuple(routed if node is host else node for node in topology.nodes))
    more = rules.insert("nat", "POSTROUTING", "-o ens33 -j MASQUERADE")
    assert "a translation to the address of an interface that has none" in texts(difference(rules, more, without))


def test_shortened_comparison_finds_the_same_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = article.ruleset().insert("filter", "DOCKER-USER", "-p udp -m udp --dport 53 -j DROP")
    more = rules.insert("filter", "DOCKER-USER", "-s 203.0.113.0/24 -m ttl --ttl-lt 9 -j REJECT")
    short = difference(rules, more, article.topology())
    monkeypatch.setattr(module, "changed_rules", lambda *_, **__: None)
    whole = difference(rules, more, article.topology())
    found = [[(r.kind, r.packet, r.count, r.old, r.new) for r in one.regions] for one in (short, whole)]
    assert found[0] == found[1]
    assert short.regions


def test_equal_rules_of_two_files_are_the_same() -> None:
    text = save.render(article.ruleset())
    old, new = save.parse(text, source="one"), save.parse(f"# a comment\n{text}", source="other")
    assert difference(old, new, article.topology()) == RulesetDifference((), ())
