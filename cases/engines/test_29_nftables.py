"""Engine 29 with nftables: what its own rules let through and drop, on the hosts of the other engines' cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from testbed import NftRuleset, Testbed
from testbed.docker import article, hostfile
from testbed.docker.engines import NATIVE
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.traffic.layers import ICMP, IP, SCTP, TCP, UDP, IPv6, Raw, SCTPChunkInit

HOST, CLIENT = "192.168.66.100", "192.168.66.1"
HOST6, CLIENT6, WEB6 = "2001:db8:66::100", "2001:db8:66::1", "2001:db8:1::2"
TABLE, TABLE6 = "ip docker-bridges", "ip6 docker-bridges"
WEB = "services: {web: {network_mode: bridge, ports: ['8080:80', '127.0.0.1:9000:90', '5353:53/udp']}}"
BRIDGES = """
networks:
  back: {driver_opts: {com.docker.network.bridge.name: back}}
  inside: {internal: true, driver_opts: {com.docker.network.bridge.name: inside}}
services:
  web: {network_mode: bridge, ports: ['8080:80']}
  app: {networks: [back], ports: ['8082:80']}
  db: {networks: [inside]}
"""
SIX = """
networks:
  six:
    enable_ipv6: true
    ipam: {config: [{subnet: '2001:db8:1::/64'}]}
    driver_opts: {com.docker.network.bridge.name: six}
  two:
    enable_ipv6: true
    ipam: {config: [{subnet: '2001:db8:2::/64'}]}
    driver_opts: {com.docker.network.bridge.name: two}
services: {web: {networks: [six], ports: ['8080:80', '5353:53/udp']}, app: {networks: [two]}}
"""
NO_PROXY = "daemon: {userland-proxy: false}\n"
PORTS = (
    "services: {web: {network_mode: bridge, ports: ['80:80', '81:81', '80:80/sctp']}, other: {network_mode: bridge}}"
)
DATAGRAM = UDP(sport=4000, dport=80) / Raw(b"who")
NativeBed = Callable[..., Testbed]


@pytest.fixture
def bed_of() -> Iterator[NativeBed]:
    """Makes a bed of a host's description; once, since iptables' two ways make no difference to nftables' rules."""
    with ExitStack() as ends:
        require("nftables")
        ends.enter_context(quarantine())

        def make(text: str, more: str = "") -> Testbed:
            host = hostfile.parse(text)
            written = NATIVE.rules(host)
            rules = NftRuleset(written.text + more, written.source)
            return ends.enter_context(Testbed(article.topology(host), rules))

        yield make


def test_a_published_port_is_reached_and_every_counter_says_so(bed_of: NativeBed) -> None:
    bed = bed_of(WEB)
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.connect("client", (HOST, 8080)).handshake()
    assert syn.translated == (f"destination {HOST}:8080 > 172.17.0.2:80",)
    assert syn_ack.translated == (f"source 172.17.0.2:80 > {HOST}:8080",)
    assert (
        counting.result
        == f"""
        *{TABLE}
        [1:52] -A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output
        [1:52] -A nat-prerouting-and-output iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80 comment "DNAT"
        [1:40] -A filter-forward-in__docker0 ct state established,related accept
        [1:52] -A filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 80 accept
        [1:52] -A filter-forward-out__docker0 ct state established,related accept
        """
    )


def test_a_published_udp_port_is_reached_and_its_answer_comes_back(bed_of: NativeBed) -> None:
    bed = bed_of(WEB)
    asked = bed.send(IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=5353) / Raw(b"who"), "client")
    assert asked.translated == (f"destination {HOST}:5353 > 172.17.0.2:53",)
    answer = IP(src="172.17.0.2", dst=CLIENT) / UDP(sport=53, dport=4000) / Raw(b"you")
    assert bed.send(answer, "web").translated == (f"source 172.17.0.2:53 > {HOST}:5353",)


def test_an_error_about_a_published_port_is_related_and_comes_back(bed_of: NativeBed) -> None:
    bed = bed_of(WEB)
    bed.connect("client", (HOST, 8080), port=40000).handshake()
    quoted = bytes(IP(src=HOST, dst=CLIENT) / TCP(sport=8080, dport=40000))[:28]
    error = IP(src=CLIENT, dst=HOST) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(quoted)
    assert bed.send(error, "client").translated == (f"destination {HOST} > 172.17.0.2",)


@pytest.mark.parametrize(
    ("to", "dropping"),
    [
        (("172.17.0.2", 80), 'ip daddr 172.17.0.2 iifname != "docker0" drop comment "DROP DIRECT ACCESS"'),
        (("172.17.0.2", 81), 'ip daddr 172.17.0.2 iifname != "docker0" drop comment "DROP DIRECT ACCESS"'),
        (("127.0.0.1", 9000), 'iifname != "lo" ip daddr 127.0.0.1 tcp dport 9000 drop comment "DROP REMOTE LOOPBACK"'),
    ],
    ids=["published", "unpublished", "loopback"],
)
def test_what_is_not_published_to_a_neighbour_is_dropped_at_once(
    bed_of: NativeBed, to: tuple[str, int], dropping: str
) -> None:
    bed = bed_of(WEB)
    with bed.counting() as counting:
        assert not bed.connect("client", to, via=HOST).syn.delivered
    assert str(counting.result.moved) == f"*{TABLE}\n[1:52] -A raw-PREROUTING {dropping}"


def test_a_container_reaches_the_internet_under_the_hosts_address(bed_of: NativeBed) -> None:
    bed = bed_of(BRIDGES)
    syn, *_ = bed.connect("web", ("203.0.113.10", 443)).handshake()
    assert syn.translated == (f"source 172.17.0.2:40000 > {HOST}:40000",)
    with bed.counting() as counting:
        assert not bed.connect("db", ("203.0.113.10", 443), via="172.19.0.1").syn.delivered
    dropping = '-A filter-forward-out__inside oifname != "inside" drop comment "INTERNAL NETWORK EGRESS"'
    assert str(counting.result.rule(TABLE, dropping)) == "[1:52]"


def test_bridges_are_kept_apart_by_the_guard_of_each_container(bed_of: NativeBed) -> None:
    bed = bed_of(BRIDGES)
    with bed.counting() as counting:
        assert not bed.connect("app", ("172.17.0.2", 80)).syn.delivered
    dropping = '-A raw-PREROUTING ip daddr 172.17.0.2 iifname != "docker0" drop comment "DROP DIRECT ACCESS"'
    assert str(counting.result.rule(TABLE, dropping)) == "[1:52]"


def test_without_the_proxy_a_container_reaches_anothers_port_at_the_hosts_address(bed_of: NativeBed) -> None:
    """Since no isolation chain stands between two bridges; it leaves its own under the address of the other bridge."""
    syn, *_ = bed_of(NO_PROXY + BRIDGES).connect("app", (HOST, 8080)).handshake()
    assert syn.translated == (
        "source 172.18.0.2:40000 > 172.17.0.1:40000",
        f"destination {HOST}:8080 > 172.17.0.2:80",
    )


def test_a_users_own_table_before_it_forbids(bed_of: NativeBed) -> None:
    """There is no DOCKER-USER; a base chain of a lower priority comes first, and its drop is final."""
    own = "table ip mine {\n chain forward {\n  type filter hook forward priority -10;\n"
    bed = bed_of(WEB, own + '  iifname "ens33" tcp dport 80 counter drop\n }\n}\n')
    with bed.counting() as counting:
        assert not bed.connect("client", (HOST, 8080)).syn.delivered
    assert str(counting.result.rule("ip mine", '-A forward iifname "ens33" tcp dport 80 drop')) == "[1:52]"


def test_traffic_that_is_not_dockers_passes(bed_of: NativeBed) -> None:
    """With nftables the engine sets no policy: what iptables' FORWARD drops is forwarded here."""
    assert bed_of(WEB).connect("client", ("203.0.113.10", 80), via=HOST).syn.delivered_to == "internet"


def test_in_ipv6_a_published_port_is_reached_and_every_counter_says_so(bed_of: NativeBed) -> None:
    bed = bed_of(SIX)
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.connect("client", (HOST6, 8080)).handshake()
    assert syn.translated == (f"destination [{HOST6}]:8080 > [{WEB6}]:80",)
    assert syn_ack.translated == (f"source [{WEB6}]:80 > [{HOST6}]:8080",)
    translation = f'ip6 saddr != fe80::/10 tcp dport 8080 dnat to [{WEB6}]:80 comment "DNAT"'
    assert (
        counting.result
        == f"""
        *{TABLE6}
        [1:72] -A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output
        [1:72] -A nat-prerouting-and-output iifname != "six" {translation}
        [1:60] -A filter-forward-in__six ct state established,related accept
        [1:72] -A filter-forward-in__six ip6 daddr {WEB6} tcp dport 80 accept
        [1:72] -A filter-forward-out__six ct state established,related accept
        """
    )


def test_in_ipv6_a_published_udp_port_is_reached_and_its_answer_comes_back(bed_of: NativeBed) -> None:
    bed = bed_of(SIX)
    asked = bed.send(IPv6(src=CLIENT6, dst=HOST6) / UDP(sport=4000, dport=5353) / Raw(b"who"), "client")
    assert asked.translated == (f"destination [{HOST6}]:5353 > [{WEB6}]:53",)
    answer = IPv6(src=WEB6, dst=CLIENT6) / UDP(sport=53, dport=4000) / Raw(b"you")
    assert bed.send(answer, "web").translated == (f"source [{WEB6}]:53 > [{HOST6}]:5353",)


@pytest.mark.parametrize(("origin", "via", "port"), [("client", HOST6, 80), ("client", HOST6, 81), ("app", None, 80)])
def test_in_ipv6_a_containers_own_address_is_for_its_own_network_alone(
    bed_of: NativeBed, origin: str, via: str | None, port: int
) -> None:
    bed = bed_of(SIX)
    with bed.counting() as counting:
        assert not bed.connect(origin, (WEB6, port), via=via).syn.delivered
    dropping = f'ip6 daddr {WEB6} iifname != "six" drop comment "DROP DIRECT ACCESS"'
    assert str(counting.result.moved) == f"*{TABLE6}\n[1:72] -A raw-PREROUTING {dropping}"


def test_in_ipv6_a_container_reaches_the_internet_under_the_hosts_address(bed_of: NativeBed) -> None:
    syn, syn_ack, _ = bed_of(SIX).connect("web", ("2001:db8:113::10", 443)).handshake()
    assert syn.translated == (f"source [{WEB6}]:40000 > [{HOST6}]:40000",)
    assert syn_ack.translated == (f"destination [{HOST6}]:40000 > [{WEB6}]:40000",)


def test_without_ip6tables_every_port_is_open_at_the_containers_own_ipv6_address(bed_of: NativeBed) -> None:
    """The daemon's option means nftables' table too."""
    assert (
        bed_of("daemon: {ip6tables: false}\n" + SIX).connect("client", (WEB6, 81), via=HOST6).syn.delivered_to == "web"
    )


def test_each_published_port_is_its_own_rule_and_what_is_none_is_not_let_in(bed_of: NativeBed) -> None:
    bed = bed_of(PORTS)
    begins = SCTP(sport=4000, dport=80, tag=0) / SCTPChunkInit(init_tag=1, n_out_streams=1, n_in_streams=1)
    with bed.counting() as counting:
        assert bed.connect("client", (HOST, 80)).syn.delivered_to == "web"
        assert bed.connect("client", (HOST, 81)).syn.delivered_to == "web"
        assert bed.send(IP(src=CLIENT, dst=HOST) / begins, "client").delivered_to == "web"
        assert not bed.send(IP(src=CLIENT, dst=HOST) / DATAGRAM, "client").delivered
        assert not bed.connect("client", ("172.17.0.99", 80), via=HOST).syn.delivered
    assert (
        counting.result
        == f"""
        *{TABLE}
        [4:187] -A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output
        [1:52] -A nat-prerouting-and-output iifname != "docker0" sctp dport 80 dnat to 172.17.0.2:80 comment "DNAT"
        [1:52] -A nat-prerouting-and-output iifname != "docker0" tcp dport 80 dnat to 172.17.0.2:80 comment "DNAT"
        [1:52] -A nat-prerouting-and-output iifname != "docker0" tcp dport 81 dnat to 172.17.0.2:81 comment "DNAT"
        [1:52] -A filter-forward-in__docker0 ip daddr 172.17.0.2 sctp dport 80 accept
        [1:52] -A filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 80 accept
        [1:52] -A filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 81 accept
        [1:52] -A filter-forward-in__docker0 drop comment "UNPUBLISHED PORT DROP"
        """
    )


def test_what_a_container_sends_on_its_bridge_keeps_its_source(bed_of: NativeBed) -> None:
    """To a neighbour, to itself through the host; and what bears an address of no container leaves untranslated."""
    bed = bed_of(PORTS)
    with bed.counting() as counting:
        assert bed.connect("other", ("172.17.0.2", 80)).syn.translated == ()
        assert bed.connect("web", ("172.17.0.2", 80), via="172.17.0.1").syn.translated == ()
        assert not bed.connect("web", (HOST, 80)).syn.delivered  # that is the host's own: not from docker0
        stranger = bed.send(IP(src="192.0.2.9", dst="203.0.113.10") / DATAGRAM, "web")
    assert stranger.delivered_to == "internet"
    assert stranger.translated == ()
    assert (
        counting.result
        == f"""
        *{TABLE}
        [1:52] -A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output
        [2:104] -A filter-forward-in__docker0 iifname "docker0" accept comment "ICC"
        [1:31] -A filter-forward-out__docker0 accept comment "OUTGOING"
        """
    )


def test_of_the_hosts_own_calls_only_those_of_its_address_are_looked_at(bed_of: NativeBed) -> None:
    bed = bed_of(PORTS)
    with bed.counting() as counting:
        for address in (HOST, "127.0.0.1", CLIENT):
            bed.send_from_kernel("host", "udp", (address, 80))
    assert (
        counting.result
        == f"""
        *{TABLE}
        [1:36] -A nat-OUTPUT ip daddr != 127.0.0.0/8 fib daddr type local jump nat-prerouting-and-output
        """
    )
