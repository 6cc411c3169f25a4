"""What a container on an internal network gets when it asks outside: by the engines that give it a default route."""

from __future__ import annotations

import pytest

from testbed import Testbed
from testbed.docker import hostfile
from testbed.docker.engines import engine
from testbed.pytest_plugin import MakeBed

INSIDE = """
networks:
  back: {internal: true, driver_opts: {com.docker.network.bridge.name: back}, ipam: {config: [{subnet: 10.6.0.0/24}]}}
services: {inside: {networks: [back]}}
"""
INTERNET, HOST = "203.0.113.10", "192.168.66.100"
OUTWARD = "-A DOCKER-ISOLATION-STAGE-1 ! -d 10.6.0.0/24 -i back -j DROP"


def bed_of(make_bed: MakeBed, version: str) -> Testbed:
    host = hostfile.parse(INSIDE)
    return make_bed(engine(version).built(host), rules=engine(version).rules(host))


@pytest.mark.parametrize("version", ["20.10", "24"])
def test_until_24_the_rules_drop_what_it_sends_to_the_internet(make_bed: MakeBed, version: str) -> None:
    bed = bed_of(make_bed, version)
    with bed.counting() as counting:
        asked = bed.connect("inside", (INTERNET, 80)).syn
    assert not asked.delivered
    assert counting.result.rule("filter", OUTWARD).packets == 1


@pytest.mark.parametrize("version", ["20.10", "24"])
def test_until_24_it_reaches_the_hosts_own_address(make_bed: MakeBed, version: str) -> None:
    bed = bed_of(make_bed, version)
    with bed.counting() as counting:
        bed.connect("inside", (HOST, 22))
    assert counting.result.rule("filter", ":INPUT ACCEPT").packets == 1
