"""What of a host's routing the analysis of packet sets does not follow is named, and routes by devices are followed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from testbed.analysis.places import Location, Origin, ReachTarget
from testbed.analysis.reachability import Ending, Reachability, ReachResult
from testbed.docker import hostfile, network
from testbed.rules import save

OPEN = save.parse("*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n")
HOST = "uplinks: {eth0: {addresses: 10.0.0.5/24, gateway: 10.0.0.1}}"
PEER = ip_network("10.64.0.2/32")


def reach(section: str) -> ReachResult:
    topology = network.topology(hostfile.parse(f"host: {{{section}}}\nservices: {{web: {{network_mode: bridge}}}}"))
    place = Location((PEER,), (6,), ((80, 80),))
    behind = ReachTarget("peer", (place,), (Location((PEER,), (6,), ((80, 80),), "ppp0"),))
    return Reachability(OPEN, topology).reach(Origin("lan", "eth0", (ip_network("10.0.0.2/32"),)), behind, 4)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("", ""),
        ("rules: [{priority: 9, from: 10.0.0.0/8, table: 100}]", "routing rules"),
        ("routes: [{to: 10.9.0.0/16, via: 10.0.0.1, table: 100}]", "routing rules"),
        ("routes: [{to: 10.9.0.0/16, via: 10.0.0.1, metric: 5}]", "routing rules"),
        ("routes: [{to: 10.9.0.0/16, kind: prohibit}]", "routing rules"),
        ("sysctls: {net.ipv4.conf.all.rp_filter: 1}", "net.ipv4.conf.all.rp_filter = 1"),
    ],
)
def test_routing_that_is_not_modelled_is_named(more: str, named: str) -> None:
    tunnel = "tunnels: {ppp0: {addresses: 10.64.0.1/32, peer: 10.64.0.2}}"
    found = reach(", ".join(part for part in (HOST, tunnel, more) if part))
    assert len(found.unjudged) == bool(named)
    assert all(named in sentence for sentence in found.unjudged)


def test_a_route_by_a_device_leads_there() -> None:
    found = reach(f"{HOST}, tunnels: {{ppp0: {{addresses: 10.64.0.1/32, peer: 10.64.0.2}}}}")
    assert [region.ending for region in found.regions] == [Ending.DELIVERED]
