"""Networks that a compose file describes, as the kernel has them: MTUs, stations of the LAN, gateways of IPv6."""

from __future__ import annotations

import json
from typing import Any

from testbed.docker import hostfile
from testbed.docker.engines import engine
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import IP, UDP, Raw

OPTION = "com.docker.network.driver.mtu"


def described(**document: Any) -> hostfile.DockerHost:
    return hostfile.parse(json.dumps(document))


def test_a_packet_longer_than_a_networks_mtu_does_not_reach_its_container(make_bed: MakeBed) -> None:
    host = described(
        networks={"small": {"driver_opts": {OPTION: "1400"}}},
        services={"web": {"networks": ["small"], "ports": ["53:53/udp"]}},
    )
    bed = make_bed(host, rules=engine("28").rules(host))

    def sent(length: int) -> bool:
        packet = (
            IP(src="192.168.66.1", dst="192.168.66.100", flags="DF") / UDP(sport=5000, dport=53) / Raw(b"x" * length)
        )
        return bed.send(packet, "client").delivered_to == "web"

    assert sent(1400 - 28)
    assert not sent(1400 - 27)
    (error,) = [one for one in bed.received_by("client") if one.protocol == "icmp"]
    assert error.icmp == (3, 4), "fragmentation needed"


def test_a_station_of_the_lan_reaches_others_and_not_the_host(make_bed: MakeBed) -> None:
    lan = {"driver": "macvlan", "ipam": {"config": [{"subnet": "192.168.66.0/24"}]}}
    host = described(
        networks={"lan": lan}, services={"dns": {"networks": {"lan": {"ipv4_address": "192.168.66.53"}}}, "web": {}}
    )
    bed = make_bed(host, rules=engine("28").rules(host))
    assert bed.connect("client", ("192.168.66.53", 53)).syn.delivered_to == "dns"
    assert bed.counters().rule("filter", "-A FORWARD -j DOCKER-USER").packets == 0
    with bed.connect_from_kernel("host", ("192.168.66.53", 53)) as attempt:
        assert attempt.outcome == "no answer"
    assert [one for one in bed.received_by("dns") if one.source == "192.168.66.100"] == []
