"""A host with uplinks, policy routing, tunnels, guests, macvlan containers: devices and packets in real namespaces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.bed import Testbed
from testbed.docker import hostfile, network
from testbed.kernel.namespace import quarantine
from testbed.observe.journey import LOCAL_INPUT
from testbed.rules import save
from testbed.traffic.layers import IP, TCP, UDP, IPv6

FILE = """
host:
  uplinks:
    eth0: {addresses: [203.0.113.5/24, 203.0.113.6/24, '2001:db8:1::5/64'], gateway: [203.0.113.1, '2001:db8:1::1']}
    eth1: {addresses: 10.0.0.5/24, gateway: 10.0.0.1, mtu: 1400}
    br0: {kind: bridge, ports: [eth2], addresses: 10.0.1.5/24}
    eno3: {addresses: 192.0.2.77/32, gateway: 172.31.1.1}
  routes:
    - {to: default, via: 10.0.0.1, dev: eth1, table: 100}
    - {to: 10.66.0.0/16, kind: unreachable}
    - {to: 10.67.0.0/16, via: 10.0.0.1, metric: 7, src: 10.0.0.5}
  rules:
    - {priority: 1000, from: 10.0.0.5, table: 100}
    - {priority: 1001, mark: 0x1/0xff, iif: eth0, protocol: tcp, dport: 80-90, not: true, table: 200}
    - {priority: 1002, family: 6, to: '2001:db8:9::/48', action: prohibit}
  neighbours:
    - {address: 10.0.0.77, mac: '02:00:00:00:00:77', dev: eth1}
  tunnels:
    wg0: {addresses: 10.8.0.1/24, networks: [10.200.0.0/16]}
    ppp0: {addresses: 10.64.0.1/32, peer: 10.64.0.2}
  bridges:
    virbr0: {addresses: 192.168.122.1/24, guests: {vm1: 192.168.122.10}}
  macvlan: {nas: {addresses: 10.0.1.40/24, uplink: br0}}
  sysctls: {net.ipv4.conf.eth1.rp_filter: 2, net.ipv4.ip_local_port_range: 40000 50000}
services:
  web: {network_mode: bridge, ports: ['80:80']}
"""
INTERFACES = ("eth0", "eth1", "br0", "eno3", "wg0", "ppp0", "virbr0", "docker0")
COUNTED = (*(f"-A INPUT -i {name}" for name in INTERFACES), *(f"-A FORWARD -i {name}" for name in INTERFACES))
RULES = save.parse(
    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n"
    + "".join(f"{rule}\n" for rule in (*COUNTED, "-A OUTPUT -o wg0", "-A OUTPUT -o ppp0", "-A OUTPUT -o eth1"))
    + "COMMIT\n"
)
HOST = hostfile.parse(FILE)


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with quarantine(), Testbed(network.topology(HOST), RULES) as bed:
        yield bed


def moved_by(bed: Testbed, act: Callable[[], object]) -> dict[str, int]:
    """What each rule counts of an action."""
    before = bed.counters()
    act()
    moved = (bed.counters() - before).moved
    return {str(line.text): counts.packets for line, counts in moved if not line.is_policy}


def shown(bed: Testbed, *command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bed.host.command(["ip", "-j", *command]).stdout)
    return found


def test_routes_of_all_tables_and_rules_of_routing_are_as_described(bed: Testbed) -> None:
    assert [(route["dst"], route["dev"]) for route in shown(bed, "route", "show", "table", "100")] == [
        ("default", "eth1")
    ]
    main = {route["dst"]: route for route in shown(bed, "route")}
    assert (main["10.66.0.0/16"]["type"], main["10.67.0.0/16"]["metric"]) == ("unreachable", 7)
    assert main["10.67.0.0/16"]["prefsrc"] == "10.0.0.5"
    assert main["10.200.0.0/16"]["dev"] == "wg0"
    own = {rule["priority"]: rule for rule in shown(bed, "rule")}
    assert (own[1000]["src"], own[1000]["table"]) == ("10.0.0.5", "100")
    assert (own[1001]["fwmark"], own[1001]["fwmask"], own[1001]["iif"], own[1001]["not"]) == (
        "0x1",
        "0xff",
        "eth0",
        None,
    )
    assert (own[1001]["ipproto"], own[1001]["dport_start"], own[1001]["dport_end"]) == ("tcp", 80, 90)
    assert {rule["priority"]: rule.get("action") for rule in shown(bed, "-6", "rule")}[1002] == "prohibit"


def test_devices_neighbours_and_sysctls_are_as_described(bed: Testbed) -> None:
    links = {link["ifname"]: link for link in shown(bed, "link")}
    assert {*INTERFACES, "eth2"} <= links.keys()
    assert links["eth1"]["mtu"] == 1400
    assert links["eth2"]["master"] == "br0"
    beside = {entry["dst"]: entry for entry in shown(bed, "neigh", "show", "dev", "eth1")}
    assert (beside["10.0.0.77"]["lladdr"], beside["10.0.0.77"]["state"]) == ("02:00:00:00:00:77", ["PERMANENT"])
    assert bed.host.command(["cat", "/proc/sys/net/ipv4/conf/eth1/rp_filter"]).stdout.strip() == "2"


@pytest.mark.parametrize(
    ("origin", "to", "counted"),
    [
        ("client", "203.0.113.5", "-A INPUT -i eth0"),
        ("client", "203.0.113.6", "-A INPUT -i eth0"),
        ("internet", "203.0.113.5", "-A INPUT -i eth0"),
        ("client-eth1", "10.0.0.5", "-A INPUT -i eth1"),
        ("internet", "10.0.0.5", "-A INPUT -i eth1"),
        ("client-br0", "10.0.1.5", "-A INPUT -i br0"),
        ("client-eno3", "192.0.2.77", "-A INPUT -i eno3"),
        ("internet", "192.0.2.77", "-A INPUT -i eno3"),
        ("peer-wg0", "10.8.0.1", "-A INPUT -i wg0"),
        ("peer-ppp0", "10.64.0.1", "-A INPUT -i ppp0"),
        ("vm1", "192.168.122.1", "-A INPUT -i virbr0"),
        ("client-eth1", "192.168.122.10", "-A FORWARD -i eth1"),
        ("peer-wg0", "172.17.0.2", "-A FORWARD -i wg0"),
        ("web", "10.200.3.4", "-A FORWARD -i docker0"),
    ],
)
def test_a_packet_comes_in_by_the_interface_that_leads_to_its_sender(
    bed: Testbed, origin: str, to: str, counted: str
) -> None:
    source = bed.endpoint(origin).address_towards(to)
    via = "10.0.0.5" if to == "192.168.122.10" else None
    packet = IP(src=source, dst=to) / UDP(sport=4000, dport=9) / b"x"
    moved = moved_by(bed, lambda: bed.send(packet, origin, via=via))
    assert [rule for rule in moved if rule in COUNTED] == [counted]


@pytest.mark.parametrize(
    ("to", "device", "at"),
    [("10.8.0.2", "wg0", "peer-wg0"), ("10.200.3.4", "wg0", "peer-wg0"), ("10.64.0.2", "ppp0", "peer-ppp0")],
)
def test_the_hosts_own_packets_leave_by_a_tunnel_for_its_peer(bed: Testbed, to: str, device: str, at: str) -> None:
    moved = moved_by(bed, lambda: bed.send_from_kernel("host", "udp", (to, 9)))
    assert moved[f"-A OUTPUT -o {device}"] == 1
    assert bed.received_by(at)[-1].destination == to


def test_a_macvlan_container_reaches_its_segment_and_not_the_host(bed: Testbed) -> None:
    for to in ("10.0.1.1", "203.0.113.5"):
        sent = bed.send(IP(src="10.0.1.40", dst=to) / UDP(sport=4000, dport=9) / b"x", "nas")
        assert sent.delivered_to == ("client-br0" if to == "10.0.1.1" else None)
    assert bed.connect_from_kernel("host", ("10.0.1.40", 80)).outcome != "accepted"
    assert [packet for packet in bed.received_by("nas") if packet.source == "10.0.1.5"] == []


LISTENING = hostfile.parse(
    "host: {uplinks: {eth0: {addresses: [10.0.0.5/24, 10.0.0.6/24, '2001:db8:1::5/64'], gateway: 10.0.0.1}},"
    " listeners: [22, '10.0.0.6:23', 53/udp, '127.0.0.1:631']}\n"
    "services: {web: {network_mode: bridge, ports: ['80:80']}}\n"
)
OPEN = save.parse("*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n")


@pytest.fixture(scope="module")
def listening() -> Iterator[Testbed]:
    with quarantine(), Testbed(network.topology(LISTENING), OPEN) as bed:
        yield bed


@pytest.mark.parametrize(
    ("to", "port", "flags"),
    [
        ("10.0.0.5", 22, "SA"),
        ("10.0.0.6", 22, "SA"),
        ("2001:db8:1::5", 22, "SA"),
        ("10.0.0.6", 23, "SA"),
        ("10.0.0.5", 23, "RA"),
        ("10.0.0.5", 631, "RA"),
    ],
)
def test_a_listener_of_the_host_completes_handshakes_at_its_address(
    listening: Testbed, to: str, port: int, flags: str
) -> None:
    family = IPv6 if ":" in to else IP
    source = listening.endpoint("client").address_towards(to)
    sport = listening.free_port()
    listening.send(family(src=source, dst=to) / TCP(sport=sport, dport=port, flags="S"), "client")
    answers = [packet for packet in listening.received_by("client") if packet.destination_port == sport]
    assert [(packet.source, packet.flags) for packet in answers] == [(to, flags)]


@pytest.mark.parametrize(("to", "port", "answered"), [("10.0.0.6", 53, "udp"), ("10.0.0.6", 54, "icmp")])
def test_a_datagram_is_answered_from_the_address_that_was_asked(
    listening: Testbed, to: str, port: int, answered: str
) -> None:
    before = len(listening.received_by("internet"))
    source = listening.endpoint("internet").address_towards(to)
    listening.send(IP(src=source, dst=to) / UDP(sport=4000, dport=port) / b"question", "internet")
    (answer,) = listening.received_by("internet")[before:]
    assert (answer.source, answer.protocol) == (to, answered)


def test_answers_of_listeners_are_counted_and_traced(listening: Testbed) -> None:
    source = listening.endpoint("client").address_towards("10.0.0.5")
    with listening.tracing() as tracing:
        asked = IP(src=source, dst="10.0.0.5") / UDP(sport=4001, dport=53) / b"question"
        journey = tracing.journey(listening.send(asked, "client"))
    assert journey.end.kind == LOCAL_INPUT
    assert "answered by" in journey.end.why
