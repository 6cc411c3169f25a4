"""Hosts of the size that people run: a range of 16,384 published ports, and more containers than a bed takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import engine
from testbed.errors import TopologyError
from testbed.rules.memory import keeps_state

FEW, MANY = 500, 2000
AT_MOST = 1.3  # times the growth in ports


def host(ports: int) -> DockerHost:
    return hostfile.parse(f"services: {{turn: {{ports: ['40000-{39999 + ports}:40000-{39999 + ports}/udp']}}}}")


def growth(work: Callable[[int], object]) -> float:
    """How the number of calls grows with the number of ports, of methods that compare two values too."""
    counted = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    found = []
    for ports in (FEW, MANY):
        counted = 0
        sys.setprofile(count)
        try:
            work(ports)
        finally:
            sys.setprofile(None)
        found.append(counted)
    return found[1] / found[0] / (MANY / FEW)


@pytest.mark.parametrize("version", ["20.10", "28", "29"])
def test_rules_of_many_ports_grow_linearly(version: str) -> None:
    assert growth(lambda ports: engine(version).rules(host(ports))) < AT_MOST


def test_state_of_many_rules_is_looked_for_in_linear_time() -> None:
    assert growth(lambda ports: keeps_state(engine("28").rules(host(ports)))) < AT_MOST


def test_services_that_are_left_out_are_told_in_linear_time() -> None:
    def read(services: int) -> object:
        return hostfile.parse(
            "\n".join(["services:", *(f"  s{number}: {{profiles: [p]}}" for number in range(services))])
        )

    assert growth(read) < AT_MOST


def test_more_containers_than_a_bed_takes_are_refused_and_their_rules_are_written() -> None:
    described = hostfile.parse("services: {a: {scale: 501}, b: {scale: 500}}")
    with pytest.raises(TopologyError, match="the host has 1001 containers, and a bed up to 1000") as refused:
        article.topology(described)
    assert "invoke rules" in refused.value.remedy
    assert engine("28").rules(described).number_of_rules > 1000
