"""A container on two networks, engine by engine: by which of them its ports are published, whom it can reach."""

from __future__ import annotations

from collections.abc import Callable

from testbed import Testbed

BedOf = Callable[[str], Testbed]
HOST = "192.168.66.100"
# `both` is asked for on zz first; engines publish by the network whose name comes first.
TWO = """
networks:
  aa: {driver_opts: {com.docker.network.bridge.name: aa}}
  zz: {driver_opts: {com.docker.network.bridge.name: zz}}
  inside: {internal: true, driver_opts: {com.docker.network.bridge.name: inside}}
services:
  both: {networks: [zz, aa], ports: ['8080:80']}
  only: {networks: [inside, zz], ports: ['8081:80']}
  left: {networks: [aa]}
  right: {networks: [zz]}
  db: {networks: [inside], ports: ['5432:5432']}
"""


def test_ports_are_published_by_the_network_whose_name_comes_first(bed_of: BedOf) -> None:
    syn, syn_ack, _ = bed_of(TWO).connect("client", (HOST, 8080)).handshake()
    assert syn.translated == (f"destination {HOST}:8080 > 172.18.0.2:80",)
    assert syn_ack.translated == (f"source 172.18.0.2:80 > {HOST}:8080",)


def test_an_internal_network_publishes_nothing(bed_of: BedOf) -> None:
    """Of `only` the other network does; of `db`, which has no other, nothing is published."""
    bed = bed_of(TWO)
    assert bed.connect("client", (HOST, 8081)).syn.translated == (f"destination {HOST}:8081 > 172.19.0.3:80",)
    with bed.counting() as counting:
        assert not bed.connect("client", (HOST, 5432)).syn.delivered
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[1:52]"


def test_it_reaches_its_neighbours_on_both(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    for neighbour, address, own in (("left", "172.18.0.3", "172.18.0.2"), ("right", "172.19.0.4", "172.19.0.2")):
        syn, *_ = bed.connect("both", (address, 22)).handshake()
        assert syn.delivered_to == neighbour
        assert (syn.sent.source, syn.translated, syn.routers) == (own, (), 0)


def test_neighbours_of_its_two_networks_stay_apart(bed_of: BedOf) -> None:
    bed = bed_of(TWO)
    with bed.counting() as counting:
        assert not bed.connect("left", ("172.19.0.4", 22)).syn.delivered
    dropping = [line for line, _ in counting.result.moved if line.text.endswith("-j DROP")]
    assert [str(line) for line in dropping] in (
        ["filter -A DOCKER-ISOLATION-STAGE-2 -o zz -j DROP"],
        ["raw -A PREROUTING -d 172.19.0.4/32 ! -i zz -j DROP"],
    )


def test_it_goes_out_by_the_network_that_publishes(bed_of: BedOf) -> None:
    syn, *_ = bed_of(TWO).connect("both", ("203.0.113.10", 443)).handshake()
    assert syn.translated == (f"source 172.18.0.2:40000 > {HOST}:40000",)
