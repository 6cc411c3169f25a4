"""firewalld beside Docker, as both are installed: zone public allows ssh alone, and a published port is open.

firewalld's own forward chain is asked behind Docker's, and lets through whatever was translated (`ct status dnat`).
"""

from __future__ import annotations

import pytest
from asking import BedOf, client_asks, hooks, matched

from testbed.observe.journey import DELIVERED, DROPPED, LOCAL_INPUT

DNAT = 'ip nat -A DOCKER iifname != "docker0" tcp dport 80 dnat to 172.17.0.2:80'
ACCEPT = 'ip filter -A DOCKER iifname != "docker0" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 accept'


@pytest.fixture(params=["firewalld-docker-20.10.nft", "firewalld-docker-28.5.nft"])
def rules(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_published_port_is_open_though_the_zone_has_it_not(bed_of: BedOf, rules: str) -> None:
    journey = client_asks(bed_of(rules), 80)
    assert (journey.end.kind, journey.end.where) == (DELIVERED, "web")
    assert hooks(journey) == ["PREROUTING", "FORWARD", "POSTROUTING"]
    deciding = [rule for rule in matched(journey) if rule.endswith("accept") or "dnat to" in rule]
    assert deciding == [DNAT, ACCEPT, "inet firewalld -A filter_FORWARD ct status dnat accept"]


def test_the_zone_closes_every_other_port_of_the_host_but_ssh(bed_of: BedOf, rules: str) -> None:
    bed = bed_of(rules)
    closed, allowed = client_asks(bed, 8080), client_asks(bed, 22)
    assert closed.end.kind == DROPPED
    assert closed.end.by == "inet firewalld -A filter_IN_public reject with icmpx admin-prohibited"
    assert [answer.kind for answer in closed.answers] == ["icmp 3/13"]
    assert allowed.end.kind == LOCAL_INPUT
