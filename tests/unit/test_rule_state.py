"""Which rules keep state: only those that are known to keep none are taken for stateless."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.behaviour.mutants import Mutant, mutants
from testbed.behaviour.mutants.edits import Rewritten
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.rules import save
from testbed.rules.memory import keeps_state
from testbed.rules.ruleset import Ruleset


def with_rule(spec: str) -> Ruleset:
    return save.parse(f"*filter\n:FORWARD DROP [0:0]\n:MINE - [0:0]\n-A FORWARD {spec}\nCOMMIT\n")


@pytest.mark.parametrize(
    "spec",
    [
        "-m recent --set --name KNOCK -j DROP",
        "-m limit -j ACCEPT",
        "-m limit --limit 1/sec -j ACCEPT",
        "-m hashlimit --hashlimit-upto 1/sec --hashlimit-name x -j ACCEPT",
        "-m quota --quota 100 -j ACCEPT",
        "-m statistic --mode nth --every 2 --packet 0 -j ACCEPT",
        "-m statistic --mode random --probability 0.5 -j ACCEPT",
        "-m connlimit --connlimit-above 1 -j DROP",
        "-m connbytes --connbytes 1: --connbytes-dir both --connbytes-mode packets -j DROP",
        "-m conntrack --ctexpire 1:10 -j DROP",
        "-m set --match-set mine src --packets-gt 3 -j DROP",
        "-m nosuch --option 1 -j ACCEPT",
        "-m time --timestart 10:00 -j ACCEPT",
        "-j SET --add-set mine src",
        "-j CT --helper ftp",
        "-j SYNPROXY",
        "-j NOSUCH",
        "-p tcp -m tcp --dport 80 -m recent --rcheck --name KNOCK -j ACCEPT",
    ],
)
def test_rule_that_remembers_keeps_state(spec: str) -> None:
    assert keeps_state(with_rule(spec))


@pytest.mark.parametrize(
    "spec",
    [
        "-j MINE",
        "-g MINE",
        "-p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -m comment --comment recent -j ACCEPT",
        "-m set --match-set mine dst -j DROP",
        "-j CT --notrack",
        "-m mark --mark 0x1 -j MARK --set-xmark 0x2/0xffffffff",
    ],
)
def test_rule_that_only_looks_at_the_packet_keeps_no_state(spec: str) -> None:
    assert not keeps_state(with_rule(spec))


@pytest.mark.parametrize("rules", [article.ruleset(), *(engine(e).rules(article.HOST) for e in ("26.1", "28", "29"))])
def test_rules_of_docker_keep_no_state(rules: Ruleset) -> None:
    assert not keeps_state(rules)


def test_set_whose_elements_expire_keeps_state() -> None:
    rules = with_rule("-m set --match-set mine dst -j DROP")
    assert not keeps_state(replace(rules, sets="create mine hash:ip family inet\n"))
    assert keeps_state(replace(rules, sets="create mine hash:ip family inet timeout 600\n"))


@pytest.mark.parametrize(
    "match",
    [
        "-m recent --rcheck --seconds 60 --name KNOCK --mask 255.255.255.255 --rsource",
        "-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-name x",
        "-m statistic --mode nth --every 2 --packet 0",
        "-m connbytes --connbytes 1: --connbytes-dir both --connbytes-mode packets",
    ],
)
def test_match_loses_a_required_option_only_as_a_whole(match: str) -> None:
    made = {spec for mutant in mutants(with_rule(f"-p tcp {match} -j ACCEPT")) for spec in mutant_specs(mutant)}
    required = [word for word in match.split() if word in ("--rcheck", "--hashlimit-upto", "--mode", "--connbytes")]
    assert "-p tcp -j ACCEPT" in made
    assert all(word in spec for word in required for spec in made if match.split()[1] in spec)


def mutant_specs(mutant: Mutant) -> tuple[str, ...]:
    """The rules that a mutant writes."""
    return mutant.edit.specs if isinstance(mutant.edit, Rewritten) else ()
