"""Behaviours asked of the kernel, and what differs between rule sets: nothing missed, nothing made up."""

from __future__ import annotations

import pytest
from edits import changes, edited, kinds_and_witness, named, silent

from testbed.behaviour import probing
from testbed.behaviour.difference import ANSWERED, CLOSED, MOVED, OPENED, TRANSLATED
from testbed.behaviour.not_asked import not_asked
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import article, hostfile
from testbed.docker.engines import engine


def test_a_rule_set_behaves_like_itself_on_both_ways_of_iptables() -> None:
    assert changes(article.ruleset(), article.ruleset(), ("nft", "legacy")) == []


def test_engine_28_closes_what_its_release_notes_say_and_nothing_else() -> None:
    """A container's own address is closed to neighbours; what is dropped or passes otherwise, does by other rules."""
    found = changes(engine("26.1").rules(article.HOST), engine("28.5").rules(article.HOST), ("nft", "nft"))
    different = [(change.kind, change.probe) for change in found if change.kind != MOVED]
    assert different == [(CLOSED, "client tcp 172.17.0.2:80 handed to the host")]


def test_a_port_published_on_loopback_is_closed_to_neighbours_since_28() -> None:
    host = hostfile.parse("services: {web: {network_mode: bridge, ports: ['127.0.0.1:8081:80']}}")
    found = changes(engine("26.1").rules(host), engine("28.5").rules(host), ("nft", "nft"), host)
    assert {(change.kind, change.probe) for change in found if change.kind != MOVED} == {
        (CLOSED, "client tcp 127.0.0.1:8081 handed to the host"),
        (CLOSED, "client tcp 172.17.0.2:80 handed to the host"),
    }


TO_LOOPBACK, TO_WEB = "client tcp 127.0.0.1:80 handed to the host", "client icmp 172.17.0.2 handed to the host"
OUTSIDE = "web icmp 203.0.113.10"
# An edit, the kinds of change that it makes, and the witness of the gravest; no kinds: nothing behaves differently.
EDITS = [
    ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -i ens33 -j DROP", [CLOSED, ANSWERED, MOVED], TO_LOOPBACK),
    ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -p udp -j DROP", [CLOSED, MOVED], "web udp 203.0.113.10:9"),
    ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j ACCEPT", [OPENED, ANSWERED, MOVED], TO_WEB),
    ("-A FORWARD -j DOCKER-USER\n", "", [], ""),
    ("-A FORWARD -o docker0 -j DOCKER\n", "", [CLOSED], TO_LOOPBACK),
    ("-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "", [ANSWERED], OUTSIDE),
    ("--ctstate RELATED,ESTABLISHED", "--ctstate RELATED", [ANSWERED], OUTSIDE),
    ("--ctstate RELATED,ESTABLISHED", "--ctstate ESTABLISHED", [ANSWERED], "web tcp 203.0.113.10:9"),
    ("-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n", "", [CLOSED, ANSWERED], OUTSIDE),
    ("-A FORWARD -i docker0 -o docker0 -j ACCEPT", "-A FORWARD -i docker0 -o docker0 -j DROP", [], ""),
    (":FORWARD DROP", ":FORWARD ACCEPT", [OPENED, ANSWERED], TO_WEB),
    ("--to-destination 172.17.0.2:80", "--to-destination 172.17.0.2:81", [CLOSED, TRANSLATED], TO_LOOPBACK),
    ("--dport 80 -j DNAT", "--dport 81 -j DNAT", [OPENED, CLOSED, TRANSLATED], TO_LOOPBACK.replace("80", "81")),
    ("-A DOCKER -i docker0 -j RETURN\n", "", [], ""),
    ("! -i docker0 -p tcp -m tcp --dport 80 -j DNAT", "-p tcp -m tcp --dport 80 -j DNAT", [MOVED], TO_LOOPBACK),
    ("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n", "", [TRANSLATED, MOVED], OUTSIDE),
    ("-s 172.17.0.0/16 ! -o", "-s 172.17.0.2/31 ! -o", [MOVED], "host icmp 172.17.0.1"),
    (
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A PREROUTING -j DOCKER",
        [OPENED, MOVED],
        "client tcp 172.17.255.254:80 handed to the host",
    ),
    ("-STAGE-2 -o docker0 -j DROP", "-STAGE-2 -o ens33 -j DROP", [CLOSED, ANSWERED], OUTSIDE),
    ("! -i docker0 -o docker0 -p tcp -m tcp --dport 80", "! -i docker0", [OPENED, MOVED], TO_WEB),
    (
        "-p tcp -m tcp --dport 80 -j ACCEPT",
        "-p tcp -j ACCEPT",
        [OPENED, MOVED],
        "client tcp 172.17.0.2:9 handed to the host",
    ),
]


@pytest.mark.parametrize(("old", "new", "kinds", "witness"), EDITS, ids=named(EDITS))
def test_what_a_single_edit_of_the_articles_rules_changes(old: str, new: str, kinds: list[str], witness: str) -> None:
    found = changes(article.ruleset(), edited(article.ruleset(), old, new), ("nft", "nft"))
    assert kinds_and_witness(found) == (kinds, witness)


def test_an_answer_that_is_dropped_names_the_rule() -> None:
    """The recipe that shuts the LAN out of DOCKER-USER by interface alone shuts the containers in."""
    found = changes(article.ruleset(), edited(article.ruleset(), *EDITS[0][:2]), ("nft", "nft"))
    (outside,) = [change for change in found if change.probe == OUTSIDE]
    assert outside.new.by[-1] == "answer: filter -A DOCKER-USER -i ens33 -j DROP"


def test_errors_about_a_connection_are_asked_for_too() -> None:
    """A rule that lets answers pass, but not what is RELATED, hides from a container that a port is closed."""
    old, new = "--ctstate RELATED,ESTABLISHED", "--ctstate ESTABLISHED"
    found = {
        change.probe: change
        for change in changes(article.ruleset(), edited(article.ruleset(), old, new), ("nft", "nft"))
    }
    outside = found["web tcp 203.0.113.10:80"]
    assert outside.new.outcome == f"{outside.old.outcome}, errors are dropped"
    assert outside.new.by[-1] == "error: filter :FORWARD DROP"


def test_what_looks_as_if_it_belonged_to_a_connection_is_asked_where_rules_look_at_flags() -> None:
    old, new = (
        "-A DOCKER-USER -j RETURN",
        "-A DOCKER-USER -i ens33 -p tcp -m tcp ! --syn -m conntrack --ctstate NEW -j DROP",
    )
    found = [
        change
        for change in changes(article.ruleset(), edited(article.ruleset(), old, new), ("nft", "legacy"))
        if change.kind != MOVED
    ]
    assert {change.probe for change in found if change.kind == CLOSED} >= {"client tcp 192.168.66.100:80 stray"}
    assert all(change.probe.endswith(" stray") for change in found)


def test_rules_that_keep_count_are_asked_one_packet_at_a_time_and_named() -> None:
    limited = edited(
        article.ruleset(),
        "-A DOCKER-USER -j RETURN",
        "-A DOCKER-USER -p udp -m limit --limit 1/min --limit-burst 1 -j DROP",
    )
    probing = ask(article.HOST, [RulesetVariant(limited, "nft")], silent)
    assert probing.named.counting
    assert [one.why for one in not_asked(limited, probing.scopes[0])] == ["--limit 1/min, --limit-burst 1"]
    dropped = [behaviour for behaviour in probing.sides[0] if any("-m limit" in rule for rule in behaviour.by)]
    assert len(dropped) == 1


def test_over_ipv6_every_port_was_open_before_ip6tables_was_the_default() -> None:
    """Engine 26.1 leaves IPv6 to the user unless it is told otherwise; 28 closes what is not published."""
    host = hostfile.parse(
        "daemon: {ipv6: true, fixed-cidr-v6: '2001:db8:1::/64'}\n"
        "services: {web: {network_mode: bridge, ports: ['80:80']}}"
    )
    found = changes(engine("26.1").rules(host), engine("28.5").rules(host), ("nft", "nft"), host)
    closed = {change.probe for change in found if change.kind == CLOSED and "2001:" in change.probe}
    assert "client tcp [2001:db8:1::2]:79 handed to the host" in closed
    (own,) = [change for change in found if change.probe == "client tcp [2001:db8:66::100]:80"]
    assert (own.kind, own.old.outcome) == (TRANSLATED, "reaches host itself, answered by RST/ACK")
    assert own.new.outcome == "reaches web at [2001:db8:1::2]:80, answered from [2001:db8:66::100]:80"


def test_many_questions_are_shared_out_among_processes_and_answered_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = ask(article.HOST, [RulesetVariant(article.ruleset(), backend) for backend in ("nft", "legacy")], silent)
    monkeypatch.setattr(probing, "_MIN_SHARED_PROBES", 1)
    monkeypatch.setattr(probing, "_SHARED_BATCH", 40)
    shared = ask(article.HOST, [RulesetVariant(article.ruleset(), backend) for backend in ("nft", "legacy")], silent)
    assert [len(side) for side in shared.sides] == [len(alone.probes.asked)] * 2
    assert shared == alone
