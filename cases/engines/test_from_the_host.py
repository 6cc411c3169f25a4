"""What the host itself reaches of its own published ports, engine by engine; its own kernel asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import Testbed
from testbed.docker import hostfile
from testbed.traffic.layers import ICMP, IP, UDP, Raw

BedOf = Callable[[str], Testbed]
HOST, CLIENT, BRIDGE = "192.168.66.100", "192.168.66.1", "172.17.0.1"
WEB = "services: {web: {network_mode: bridge, ports: ['8080:80', '5353:53/udp']}}"
NO_PROXY = "daemon: {userland-proxy: false}\n"


def asked(bed: Testbed, address: str) -> list[tuple[str, str]]:
    """Whom the container sees asking, and for what, when the host asks for its port 8080 at an address of its own."""
    web = bed.endpoint("web")
    with bed.connect_from_kernel("host", (address, 8080)):
        return [(packet.source, packet.to) for packet in web.arrivals() if packet.flags == "S"]


def test_at_its_own_address_it_is_translated(bed_of: BedOf) -> None:
    """In nat OUTPUT; the container sees the host under the address that it asked for."""
    assert asked(bed_of(WEB), HOST) == [(HOST, "172.17.0.2:80")]


def test_without_the_userland_proxy_it_is_seen_under_the_address_of_the_bridge(bed_of: BedOf) -> None:
    assert asked(bed_of(NO_PROXY + WEB), HOST) == [(BRIDGE, "172.17.0.2:80")]


def test_on_its_loopback_rules_do_it_where_there_is_no_userland_proxy(bed_of: BedOf) -> None:
    assert asked(bed_of(NO_PROXY + WEB), "127.0.0.1") == [(BRIDGE, "172.17.0.2:80")]


def test_on_its_loopback_the_userland_proxy_does_it(bed_of: BedOf) -> None:
    """Rules leave 127.0.0.0/8 alone then: without a process that listens there, nobody does."""
    bed = bed_of(WEB)
    with bed.connect_from_kernel("host", ("127.0.0.1", 8080)) as attempt:
        assert attempt.outcome == "refused"
    with bed.userland_proxy(hostfile.parse(WEB)), bed.connect_from_kernel("host", ("127.0.0.1", 8080)) as attempt:
        assert attempt.outcome == "open"
        relayed = bed.endpoint("web").wait_for(lambda packet: packet.flags == "S", "the proxy's own SYN")
        assert (relayed.source, relayed.to) == (BRIDGE, "172.17.0.2:80")


@pytest.mark.parametrize("address", ["127.127.255.254", "127.128.0.1", "127.255.255.254"])
def test_rules_leave_every_address_of_its_loopback_alone(bed_of: BedOf, address: str) -> None:
    with bed_of(WEB).connect_from_kernel("host", (address, 8080)) as attempt:
        assert attempt.outcome == "refused"


def test_the_same_port_of_another_host_is_that_hosts(bed_of: BedOf) -> None:
    """Only what goes to an address of the host's own is held against the published ports."""
    bed = bed_of(WEB)
    internet, web = bed.endpoint("internet"), bed.endpoint("web")
    with bed.connect_from_kernel("host", ("203.0.113.10", 8080)):
        assert [packet.to for packet in internet.arrivals() if packet.flags == "S"] == ["203.0.113.10:8080"]
    assert web.arrivals() == ()


def test_a_port_unreachable_about_a_datagram_comes_back_as_if_from_the_host(bed_of: BedOf) -> None:
    """What the container's kernel would say where nobody listens: related, and translated like an answer."""
    bed = bed_of(WEB)
    datagram = IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=5353) / Raw(b"who")
    assert bed.send(datagram, "client").delivered_to == "web"
    quoted = bytes(IP(src=CLIENT, dst="172.17.0.2") / UDP(sport=4000, dport=53) / Raw(b"who"))
    error = IP(src="172.17.0.2", dst=CLIENT) / ICMP(type=3, code=3) / Raw(quoted)
    came_back = bed.send(error, "web")
    assert came_back.translated == (f"source 172.17.0.2 > {HOST}",)
