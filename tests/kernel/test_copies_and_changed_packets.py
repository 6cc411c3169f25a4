"""Journeys where rules send copies of packets (TEE, `dup to`) or change what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import LINUX, Testbed
from testbed.docker import article
from testbed.observe.journey import DELIVERED, LOST, Journey
from testbed.pytest_plugin import MakeBed
from testbed.report import journey as report
from testbed.rules import rulefile
from testbed.traffic.layers import IP, TCP

RULES = Path(__file__).parent.parent / "data" / "journeys"
HOST, WEB, CLIENT, INTERNET = "192.168.66.100", "172.17.0.2", "192.168.66.1", "203.0.113.10"
DOCKER = (RULES / "docker.rules").read_text()
MANGLE = """*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
{}
COMMIT
"""


def bed_of(make_bed: MakeBed, text: str) -> Testbed:
    return make_bed(article.HOST, rulefile.parse(text, "the rules"))


def syn(bed: Testbed, origin: str, source: str, to: tuple[str, int], flags: str = "S") -> Journey:
    packet = IP(src=source, dst=to[0]) / TCP(sport=bed.free_port(), dport=to[1], flags=flags)
    with bed.tracing() as tracing:
        return tracing.journey(bed.send(packet, origin))


def hooks(journey: Journey) -> list[tuple[str, str]]:
    return [(passed.node, hook.hook) for passed, hook in journey.hooks]


FORWARDED = [("host", "PREROUTING"), ("host", "FORWARD"), ("host", "POSTROUTING")]
COPIED = [("host", "OUTPUT"), ("host", "POSTROUTING"), ("gateway", "PREROUTING")]


@pytest.mark.parametrize("table", ["filter", "mangle"])
def test_a_tee_leaves_the_packet_its_journey_and_shows_the_copy(make_bed: MakeBed, table: str) -> None:
    tee = "-A FORWARD -j TEE --gateway 192.168.66.254"
    text = (RULES / "tee.rules").read_text() if table == "filter" else MANGLE.format(tee) + DOCKER
    journey = syn(bed_of(make_bed, text), "client", CLIENT, (HOST, 80))
    assert journey.end.place == "delivered to web"
    assert hooks(journey) == FORWARDED
    (copy,) = journey.copies
    assert hooks(copy) == COPIED
    assert (copy.end.kind, copy.end.where) == (LOST, "gateway")
    assert copy.is_copy
    printed = [str(line) for line in report.lines(journey)]
    assert any(line.startswith("copy") and "-j TEE --gateway 192.168.66.254" in line for line in printed)
    assert printed[-1].startswith("→ delivered to web")


def test_a_copy_to_an_end_beside_the_router_is_not_taken_for_the_packet(make_bed: MakeBed) -> None:
    text = (RULES / "tee.rules").read_text().replace("192.168.66.254", CLIENT)
    journey = syn(bed_of(make_bed, text), "web", WEB, (INTERNET, 443))
    assert journey.end.place == "delivered to internet"
    assert [node.node for node in journey.passes] == ["host", "gateway"]
    (copy,) = journey.copies
    assert (copy.end.kind, copy.end.where) == (DELIVERED, "client")
    assert [node.node for node in copy.passes] == ["host"]


def test_a_copy_by_the_way_of_the_packet_itself(make_bed: MakeBed) -> None:
    journey = syn(bed_of(make_bed, (RULES / "tee.rules").read_text()), "web", WEB, (INTERNET, 443))
    assert journey.end.place == "delivered to internet"
    (copy,) = journey.copies
    assert [node.node for node in copy.passes] == ["host", "gateway"]
    assert [node.node for node in journey.passes] == ["host", "gateway"]


def test_a_whole_connection_with_copies_agrees_with_the_counters(make_bed: MakeBed) -> None:
    bed = bed_of(make_bed, (RULES / "tee.rules").read_text())
    with bed.tracing() as tracing:
        results = bed.connect("client", (HOST, 80), stack=LINUX).handshake()
        journeys = [tracing.journey(result) for result in results]
    assert [journey.end.where for journey in journeys] == ["web", "client", "web"]
    assert [len(journey.copies) for journey in journeys] == [1, 1, 1]


def test_dup_of_nftables_is_a_copy_too(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "dup.nft"))
    packet = IP(src=CLIENT, dst=WEB) / TCP(sport=bed.free_port(), dport=80, flags="S")
    with bed.tracing() as tracing:
        journey = tracing.journey(bed.send(packet, "client", via=HOST))
    assert journey.end.place == "delivered to web"
    assert hooks(journey) == FORWARDED
    assert [hooks(copy) for copy in journey.copies] == [COPIED]


CHANGING = {
    "ttl-raised": "-A FORWARD -j TTL --ttl-set 200",
    "ttl-lowered": "-A PREROUTING -j TTL --ttl-set 5",
    "dscp": "-A FORWARD -j DSCP --set-dscp 0x2e",
    "mss": "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300",
    "checksum": "-A FORWARD -p tcp -j CHECKSUM --checksum-fill",
    "options": "-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options 8",
    "ecn": "-A FORWARD -p tcp -j ECN --ecn-tcp-remove",
    "mark": "-A PREROUTING -j MARK --set-xmark 0x7/0xffffffff",
}


@pytest.mark.parametrize("rule", CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("flags", ["S", "SEC"])
def test_a_target_that_changes_a_packet_breaks_no_journey(make_bed: MakeBed, rule: str, flags: str) -> None:
    journey = syn(bed_of(make_bed, MANGLE.format(rule) + DOCKER), "web", WEB, (INTERNET, 443), flags)
    assert journey.end.place == "delivered to internet"
    assert rule in journey
    assert [node.node for node in journey.passes] == ["host", "gateway"]


def test_a_packet_lengthened_by_tcpmss_and_dropped_behind_it_agrees_with_the_counters(make_bed: MakeBed) -> None:
    rule = CHANGING["mss"]
    text = DOCKER.replace("-A FORWARD -j DOCKER-USER", f"{rule}\n-A FORWARD -j DOCKER-USER")
    journey = syn(bed_of(make_bed, text), "internet", INTERNET, (HOST, 80))
    assert journey.end.place == "delivered to web"
    bed = bed_of(make_bed, text.replace("-A FORWARD -d 172", "-A FORWARD ! -d 172"))
    assert syn(bed, "internet", INTERNET, (HOST, 80)).end.by == "filter :FORWARD DROP"
