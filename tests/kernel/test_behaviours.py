"""Behaviours asked of the kernel, and what differs between rule sets: nothing missed, nothing made up."""

from __future__ import annotations

import pytest
from edits import changes, edited, kinds_and_witness, named

from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.regress.difference import ANSWERED, CLOSED, MOVED, OPENED, TRANSLATED


def test_a_rule_set_behaves_like_itself_on_both_ways_of_iptables() -> None:
    assert changes(article.ruleset(), article.ruleset(), ("nft", "legacy")) == []


def test_engine_28_closes_what_its_release_notes_say_and_nothing_else() -> None:
    """A container's own address is closed to neighbours; what is dropped or passes otherwise, does by other rules."""
    found = changes(engine("26.1").rules(article.HOST), engine("28.5").rules(article.HOST), ("nft", "nft"))
    different = [(change.kind, change.probe) for change in found if change.kind != MOVED]
    assert different == [(CLOSED, "client tcp 172.17.0.2:80 handed to the host")]


def test_a_port_published_on_loopback_is_closed_to_neighbours_since_28() -> None:
    host = hostfile.parse("services: {web: {ports: ['127.0.0.1:8081:80']}}")
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
