"""ufw beside Docker: it denies all that comes in but port 22, and a published port is open all the same.

A packet for a published port is translated before it is routed, so it is forwarded and INPUT, where ufw denies, is
never asked; in FORWARD Docker's rules stand before ufw's, whichever of both was started first.
"""

from __future__ import annotations

import pytest
from asking import BedOf, chains, client_asks, hooks, matched

from testbed.observe.journey import DELIVERED, DROPPED, LOCAL_INPUT, Journey

ACCEPT = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
DNAT = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
DENY = "-p tcp -m tcp --dport 80 -j DROP"  # what `ufw deny 80/tcp` and `ufw route deny ... port 80` write


@pytest.fixture(params=["ufw-docker-20.10.rules", "ufw-docker-28.5.rules"])
def rules(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def of_ufw(journey: Journey) -> list[str]:
    """The chains of ufw's that a packet was asked in."""
    return [chain for chain in chains(journey) if chain.startswith("ufw")]


def test_a_published_port_is_open_though_ufw_denies_it(bed_of: BedOf, rules: str) -> None:
    journey = client_asks(bed_of(rules), 80)
    assert (journey.end.kind, journey.end.where) == (DELIVERED, "web")
    assert hooks(journey) == ["PREROUTING", "FORWARD", "POSTROUTING"]
    assert of_ufw(journey) == []
    assert f"nat {DNAT}" in matched(journey)
    assert matched(journey)[-1] == f"filter {ACCEPT}"


def test_ufw_closes_every_other_port_of_the_host_but_the_one_that_it_allows(bed_of: BedOf, rules: str) -> None:
    bed = bed_of(rules)
    closed, allowed = client_asks(bed, 8080), client_asks(bed, 22)
    assert (closed.end.kind, closed.end.by) == (DROPPED, "filter :INPUT DROP")
    assert "ufw-user-input" in of_ufw(closed)
    assert allowed.end.kind == LOCAL_INPUT
    assert matched(allowed)[-1] == "filter -A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT"


@pytest.mark.parametrize("chain", ["ufw-user-input", "ufw-user-forward"])
def test_a_deny_of_ufws_for_the_published_port_is_never_asked(bed_of: BedOf, rules: str, chain: str) -> None:
    journey = client_asks(bed_of(rules, (chain, DENY)), 80)
    assert journey.end.kind == DELIVERED
    assert of_ufw(journey) == []


def test_the_same_rule_in_docker_user_closes_it(bed_of: BedOf, rules: str) -> None:
    journey = client_asks(bed_of(rules, ("DOCKER-USER", f"-i ens33 {DENY}")), 80)
    assert (journey.end.kind, journey.end.by) == (DROPPED, f"filter -A DOCKER-USER -i ens33 {DENY}")
