"""Journeys through chains at a device's ingress and egress, before and behind IP."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import Testbed
from testbed.docker import article
from testbed.errors import KernelRefused
from testbed.observe.journey import DROPPED, Journey
from testbed.pytest_plugin import MakeBed
from testbed.rules import rulefile
from testbed.traffic.layers import IP, TCP

RULES = Path(__file__).parent.parent / "data" / "journeys"
HOST, WEB, CLIENT = "192.168.66.100", "172.17.0.2", "192.168.66.1"
INGRESS = [("ingress-netdev.nft", "netdev filter"), ("ingress-inet.nft", "inet filter")]


def syn(bed: Testbed, to: str, port: int) -> Journey:
    packet = IP(src=CLIENT, dst=to) / TCP(sport=bed.free_port(), dport=port, flags="S")
    with bed.tracing() as tracing:
        return tracing.journey(bed.send(packet, "client", via=HOST))


def hooks(journey: Journey) -> list[str]:
    return [hook.hook for _, hook in journey.hooks]


@pytest.mark.parametrize(("name", "table"), INGRESS)
def test_a_drop_at_ingress_is_the_end_at_the_host(make_bed: MakeBed, name: str, table: str) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / name))
    journey = syn(bed, HOST, 80)
    assert (journey.end.kind, journey.end.where) == (DROPPED, "host")
    assert journey.end.by == f"{table} -A ingress tcp dport 80 drop"
    assert hooks(journey) == ["INGRESS"]


@pytest.mark.parametrize(("name", "table"), INGRESS)
def test_what_ingress_lets_pass_goes_on_through_ip(make_bed: MakeBed, name: str, table: str) -> None:
    journey = syn(make_bed(article.HOST, rulefile.read(RULES / name)), HOST, 81)
    assert hooks(journey) == ["INGRESS", "PREROUTING", "INPUT"]
    assert journey.end.place == "taken in by host"
    assert [chain.table for _, hook in journey.hooks for chain in hook.chains] == [table]


def test_a_port_of_a_bridge_and_the_bridge_have_an_ingress_each(make_bed: MakeBed) -> None:
    text = (RULES / "ingress-netdev.nft").read_text().replace('"ens33"', "{ veth50b382d, docker0 }")
    bed = make_bed(article.HOST, rulefile.parse(text.replace("device {", "devices = {")))
    packet = IP(src=WEB, dst=CLIENT) / TCP(sport=bed.free_port(), dport=443, flags="S")
    with bed.tracing() as tracing:
        journey = tracing.journey(bed.send(packet, "web"))
    assert hooks(journey) == ["INGRESS", "PREROUTING", "INGRESS", "FORWARD", "POSTROUTING"]
    assert journey.end.place == "delivered to client"


def test_a_drop_at_egress_is_behind_postrouting(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "egress.nft"))
    dropped, delivered = syn(bed, WEB, 81), syn(bed, WEB, 80)
    assert dropped.end.by == "netdev filter -A egress tcp dport 81 drop"
    assert hooks(dropped) == ["PREROUTING", "FORWARD", "POSTROUTING", "EGRESS"]
    assert delivered.end.place == "delivered to web"


def test_a_chain_of_the_family_bridge_is_named_and_not_guessed(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "bridge.nft"))
    with pytest.raises(KernelRefused, match="chain output of table bridge filter: journeys through the family bridge"):
        syn(bed, WEB, 81)


def test_tracing_leaves_no_table_of_devices_behind(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "ingress-netdev.nft"))
    before = bed.ruleset()
    with bed.tracing():
        assert bed.ruleset() == before
    assert "docker-host-testbed" not in bed.host.command(["nft", "list", "ruleset"]).stdout
