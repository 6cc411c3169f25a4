"""Beds: they carry packets from the first one on, they are quiet, they are what their topology says."""

from __future__ import annotations

import pytest

from testbed import Testbed
from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.errors import MissingRequirement
from testbed.kernel.devices import write_sysctls
from testbed.kernel.namespace import Namespace
from testbed.kernel.packets import PacketSocket
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import IP, TCP

PUBLISHED = ("192.168.66.100", 80)


def test_the_first_packet_of_every_fresh_bed_arrives(make_bed: MakeBed) -> None:
    """A link that is not quite up would swallow it (linkwatch.py)."""
    for _ in range(15):
        bed = make_bed()
        assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"
        bed.close()


def test_a_bed_at_rest_is_silent(bed: Testbed) -> None:
    """No router solicitation, no listener report, no address detection: three seconds in which nobody says a word."""
    ends = [bed.endpoint(name) for name in ("client", "internet", "web")]
    before = bed.counters()
    assert not PacketSocket(bed.node("client"), "eth0").wait(3.0)
    assert [end.arrivals() for end in ends] == [(), (), ()]
    assert bed.counters() == before
    assert all(counters.packets == 0 for _, counters in before)


def test_two_beds_do_not_know_of_each_other(make_bed: MakeBed) -> None:
    first, second = make_bed(), make_bed()
    first.connect("client", PUBLISHED).handshake()
    assert first.counters().rule("filter", "-A FORWARD -j DOCKER-USER").packets == 3
    assert second.counters().rule("filter", "-A FORWARD -j DOCKER-USER").packets == 0
    assert second.connections() == []


def test_the_host_has_the_sysctls_that_a_real_engine_left(bed: Testbed) -> None:
    """As read on a host that engine 20.10.24 had set up; interfaces inherit what conf/default says."""
    per_device = {
        "accept_local": "0",
        "accept_redirects": "1",
        "arp_announce": "0",
        "arp_ignore": "0",
        "forwarding": "1",
        "proxy_arp": "0",
        "route_localnet": "0",
        "rp_filter": "0",
        "send_redirects": "1",
    }
    wanted = {
        f"net.ipv4.conf.{device}.{key}": value
        for device in ("default", "docker0", "ens33", "veth50b382d")
        for key, value in per_device.items()
    }
    wanted |= {
        "net.ipv4.conf.all.accept_redirects": "0",
        "net.ipv4.conf.all.rp_filter": "0",
        "net.ipv4.ip_forward": "1",
        "net.ipv4.ip_local_port_range": "32768\t60999",
        "net.ipv4.ip_unprivileged_port_start": "1024",
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-filter-vlan-tagged": "0",
        "net.netfilter.nf_conntrack_tcp_loose": "1",
    }
    found = {key: bed.host.run(read_sysctl, key) for key in wanted}
    assert found == wanted


def read_sysctl(key: str) -> str:
    with open("/proc/sys/" + key.replace(".", "/")) as opened:
        return opened.read().strip()


def test_a_sysctl_that_the_kernel_lacks_is_named() -> None:
    namespace = Namespace.create("fresh")
    with pytest.raises(MissingRequirement, match=r"no sysctl net\.ipv4\.no_such_thing"):
        namespace.run(write_sysctls, (("net.ipv4.no_such_thing", "1"),))
    namespace.close()


def test_the_hairpin_of_bridge_ports_follows_the_userland_proxy(make_bed: MakeBed) -> None:
    for host, state in ((article.HOST, "off"), (article.HOST_WITHOUT_PROXY, "on")):
        shown = (
            make_bed(host, article.rules_of(host))
            .host.command(["bridge", "-d", "link", "show", "dev", article.WEB.veth])
            .stdout
        )
        assert f"hairpin {state}" in shown


def test_a_host_with_two_networks_reaches_both_containers(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST_WITH_TWO_NETWORKS, article.rules_of(article.HOST_WITH_TWO_NETWORKS))
    assert bed.connect("client", PUBLISHED).syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    to_app = bed.connect("client", ("192.168.66.100", 8082)).syn
    assert to_app.translated == ("destination 192.168.66.100:8082 > 172.18.0.2:80",)


def test_the_gateway_is_a_router_of_its_own(bed: Testbed) -> None:
    """A packet from the internet to the host's published port has two routers on its way."""
    syn = bed.connect("internet", PUBLISHED).syn
    assert syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert syn.routers == 2


def test_a_host_of_sixty_containers_stands_up_and_each_is_reached(make_bed: MakeBed) -> None:
    """Hundreds of links are announced; none of the announcements may be lost (linkwatch.py)."""
    services = "\n".join(
        f"  c{number}: {{network_mode: bridge, ports: ['{8000 + number}:80']}}" for number in range(60)
    )
    host = hostfile.parse(f"services:\n{services}")
    bed = make_bed(host, rules=engine("28").rules(host))
    for number in range(60):
        syn = IP(src="192.168.66.1", dst="192.168.66.100") / TCP(sport=40000, dport=8000 + number)
        assert bed.send(syn, "client").delivered_to == f"c{number}"


def test_a_network_without_containers_keeps_nobody_waiting(make_bed: MakeBed) -> None:
    """A bridge without a port has no carrier and never comes up."""
    host = hostfile.parse(
        "networks: {empty: {}}\n"
        "services: {web: {network_mode: bridge, ports: ['80:80']}, none: {networks: [empty], scale: 0}}"
    )
    bed = make_bed(host, rules=engine("28").rules(host))
    assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"
