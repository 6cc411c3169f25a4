"""The classic misses: rules that close nothing of what they name, by hand, and the corrected rules that are proved."""

from __future__ import annotations

import pytest

from testbed.docker import article
from testbed.docker.engines import chosen_for
from testbed.docker.host import DockerHost, PublishedPort
from testbed.exposure.made import ExposureStand
from testbed.exposure.misses import MissKind, misses
from testbed.rules.ruleset import Ruleset

HOST = article.publishing(PublishedPort(8080, 80))


def stand(chain: str, spec: str, host: DockerHost = HOST, last: bool = False) -> ExposureStand:
    rules = chosen_for(host, "20.10").rules(host)
    assert isinstance(rules, Ruleset)
    rules = rules.insert("filter", chain, spec)
    if last:
        rules = rules.insert("filter", chain, "-j RETURN")
    return ExposureStand(host, rules, "nft", article.topology(host))


@pytest.mark.parametrize(
    ("chain", "spec", "kind", "corrected"),
    [
        ("INPUT", "-p tcp -m tcp --dport 8080 -j DROP", MissKind.INPUT, "-i ens33 -p tcp -m tcp --dport 80 -j DROP"),
        (
            "DOCKER-USER",
            "-i ens33 -p tcp -m tcp --dport 8080 -j DROP",
            MissKind.HOST_PORT,
            "-i ens33 -p tcp -m tcp --dport 80 -j DROP",
        ),
        ("DOCKER-USER", "-i eth0 -j DROP", MissKind.NO_INTERFACE, "-i ens33 -j DROP"),
        (
            "DOCKER-USER",
            "-i docker0 -p tcp -m tcp --sport 80 -j DROP",
            MissKind.ANSWERS,
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
    ],
)
def test_a_rule_that_misses_is_named_with_one_that_closes(
    chain: str, spec: str, kind: MissKind, corrected: str
) -> None:
    (found,) = misses(stand(chain, spec))
    assert (found.kind, found.reference.text, found.corrected) == (kind, f"-A {chain} {spec}", corrected)


def test_a_rule_behind_a_return_belongs_before_it() -> None:
    spec = "-i ens33 -p tcp -m tcp --dport 80 -j DROP"
    (found,) = misses(stand("DOCKER-USER", spec, last=True))
    assert (found.kind, found.corrected) == (MissKind.BEHIND, spec)


@pytest.mark.parametrize(
    "spec", ["-i ens33 -p tcp -m tcp --dport 80 -j DROP", "-i ens33 -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j DROP"]
)
def test_a_rule_that_closes_misses_nothing(spec: str) -> None:
    assert misses(stand("DOCKER-USER", spec)) == ()
