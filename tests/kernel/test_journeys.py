"""Journeys: the kernel's trace of real packets, put together, and held against counters and captures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import LINUX, Ruleset, Testbed
from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import engine
from testbed.errors import Disagreement, KernelRefused, NameTaken, TestbedError
from testbed.kernel.tracer import Tracer
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, LOST, Journey
from testbed.observe.packet_result import PacketResult
from testbed.pytest_plugin import MakeBed
from testbed.rules import rulefile
from testbed.traffic.layers import ICMP, IP, TCP, UDP

HOST, WEB, CLIENT = "192.168.66.100", "172.17.0.2", "192.168.66.1"
TRANSLATED = Path(__file__).parent.parent / "data" / "article-translated.nft"
TWO = (
    "services: {web: {network_mode: bridge, ports: ['80:80']}, app: {networks: [two], ports: ['8082:80']},"
    " other: {network_mode: bridge}}\nnetworks: {two: {}}"
)
Send = Callable[[Testbed], PacketResult]


def syn(origin: str, to: tuple[str, int], via: str | None = None, flags: str = "S", ttl: int = 64) -> Send:
    def send(bed: Testbed) -> PacketResult:
        source = bed.endpoint(origin).address_towards(to[0])
        packet = IP(src=source, dst=to[0], ttl=ttl) / TCP(sport=bed.free_port(), dport=to[1], flags=flags)
        return bed.send(packet, origin, via=via)

    return send


def journey_of(bed: Testbed, send: Send) -> Journey:
    with bed.tracing() as tracing:
        return tracing.journey(send(bed))


def host_of(text: str) -> DockerHost:
    return hostfile.parse(text)


# what becomes of a packet


def drops() -> list[tuple[str, str, Ruleset | str, Send, str]]:
    """Causes of a drop: the host, its rules (or engine), the packet, and the end of its journey."""
    alone = "services: {web: {network_mode: bridge, ports: ['80:80']}}"
    without_icc = (
        "daemon: {icc: false}\nservices: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
    )
    internal = (
        "services: {web: {network_mode: bridge, ports: ['80:80']}, db: {networks: [back]}}\n"
        "networks: {back: {internal: true}}"
    )
    own = article.ruleset()
    raw_drop = "raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"
    return [
        ("raw", alone, "28", syn("client", (WEB, 80), via=HOST), f"dropped at host: {raw_drop}"),
        (
            "isolation",
            TWO.replace("two: {}", "two: {driver_opts: {com.docker.network.bridge.name: br2}}"),
            "20.10",
            syn("web", ("172.18.0.2", 80)),
            "dropped at host: filter -A DOCKER-ISOLATION-STAGE-2 -o br2 -j DROP",
        ),
        ("policy", alone, own, syn("client", (WEB, 81), via=HOST), "dropped at host: filter :FORWARD DROP"),
        (
            "DOCKER-USER",
            alone,
            own.insert("filter", "DOCKER-USER", "-i ens33 -j DROP"),
            syn("client", (HOST, 80)),
            "dropped at host: filter -A DOCKER-USER -i ens33 -j DROP",
        ),
        (
            "icc=false",
            without_icc,
            "20.10",
            syn("web", ("172.17.0.3", 80)),
            "dropped at host: filter -A FORWARD -i docker0 -o docker0 -j DROP",
        ),
        (
            "internal network",
            internal.replace("internal: true", "internal: true, driver_opts: {com.docker.network.bridge.name: br2}"),
            "20.10",
            syn("client", ("172.18.0.2", 80), via=HOST),
            "dropped at host: filter -A DOCKER-ISOLATION-STAGE-1 ! -s 172.18.0.0/16 -o br2 -j DROP",
        ),
        (
            "wrong port",
            alone,
            own,
            syn("client", (HOST, 81)),
            "taken in by host: answered by RST/ACK from 192.168.66.100:81",
        ),
        (
            "INVALID",
            alone,
            own.insert("filter", "DOCKER-USER", "-m conntrack --ctstate INVALID -j DROP"),
            syn("client", (WEB, 80), via=HOST, flags="SF"),
            "dropped at host: filter -A DOCKER-USER -m conntrack --ctstate INVALID -j DROP",
        ),
        (
            "no route",
            alone,
            own,
            syn("client", ("198.51.100.7", 80)),
            "lost at gateway: there is no route to 198.51.100.7 and answered by icmp 3/0 from 192.168.66.254",
        ),
        (
            "TTL 1",
            alone,
            own,
            syn("client", (HOST, 80), ttl=1),
            "lost at host: its time to live ran out and answered by icmp 11/0 from 192.168.66.100",
        ),
        (
            "TTL 1 at the second router",
            alone,
            own,
            syn("web", ("203.0.113.10", 80), ttl=2),
            "lost at gateway: its time to live ran out and answered by icmp 11/0 from 192.168.66.254",
        ),
        (
            "REJECT",
            alone,
            own.insert("filter", "DOCKER-USER", "-i ens33 -j REJECT"),
            syn("client", (HOST, 80)),
            "dropped at host: filter -A DOCKER-USER -i ens33 -j REJECT --reject-with icmp-port-unreachable",
        ),
        (
            "no node there",
            alone,
            own.insert("filter", "DOCKER-USER", "-d 172.17.0.9 -j ACCEPT"),
            syn("client", ("172.17.0.9", 80), via=HOST),
            (
                "let through by host: filter -A DOCKER-USER -d 172.17.0.9/32 -j ACCEPT; "
                "no container with 172.17.0.9 in this bed (give --host)"
            ),
        ),
    ]


@pytest.mark.parametrize(("text", "rules", "send", "end"), [pytest.param(*rest, id=name) for name, *rest in drops()])
def test_a_journey_ends_with_the_true_cause(
    make_bed: MakeBed, text: str, rules: Ruleset | str, send: Send, end: str
) -> None:
    host = host_of(text)
    bed = make_bed(host, rules=engine(rules).rules(host) if isinstance(rules, str) else rules)
    journey = journey_of(bed, send)
    assert str(journey.end) == end
    assert journey.end.kind in (DROPPED, LOCAL_INPUT, LOST, LET_THROUGH)


def test_a_way_without_a_way_back_is_the_reverse_path_filters(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.host.command(["sysctl", "-qw", "net.ipv4.conf.ens33.rp_filter=1"])
    packet = IP(src="172.17.0.77", dst=HOST) / TCP(sport=1, dport=80)
    journey = journey_of(bed, lambda own: own.send(packet, "client"))
    assert str(journey.end) == "lost at host: the reverse path filter finds no way back to 172.17.0.77 by ens33"


def test_a_reset_by_a_reject_is_the_answer(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    rule = "-i ens33 -p tcp -j REJECT --reject-with tcp-reset"
    bed = make_bed(rules=testbed_rules.insert("filter", "DOCKER-USER", rule))
    journey = journey_of(bed, syn("client", (HOST, 80)))
    assert journey.end.kind == DROPPED
    assert [answer.kind for answer in journey.answers] == ["RST/ACK"]


# who sends


def test_what_the_hosts_own_kernel_sends_begins_at_output(bed: Testbed) -> None:
    with bed.tracing() as tracing, bed.connect_from_kernel("host", (WEB, 80)):
        (journey,) = tracing.journeys()
    assert (journey.origin, str(journey.end)) == ("host", "delivered to web")
    assert [hook.hook for _, hook in journey.hooks] == ["OUTPUT", "POSTROUTING"]
    assert journey.failing_clauses == {
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER": "--dst-type LOCAL",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE": "! -o docker0",
        "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE": "-s 172.17.0.2/32",
    }


def test_what_the_host_sends_to_itself_goes_out_and_comes_in_again(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        bed.connect_from_kernel("host", ("127.0.0.1", 80)).asking.close()
        asked, refused = tracing.journeys()
    for journey in (asked, refused):
        assert [hook.hook for _, hook in journey.hooks] == ["OUTPUT", "POSTROUTING", "PREROUTING", "INPUT"]
    assert (asked.sent.kind, refused.sent.kind) == ("SYN", "RST/ACK")


def test_a_packet_is_followed_from_node_to_node(bed: Testbed) -> None:
    """Out by the host, which masquerades, and on by the gateway; the answer comes back the same way."""
    with bed.tracing() as tracing:
        talk = bed.connect("web", ("203.0.113.10", 443), stack=LINUX)
        out, back, _ = (tracing.journey(packet) for packet in talk.handshake())
    assert [(p.node, p.routed) for p in out.passes] == [
        ("host", "forwarded by ens33"),
        ("gateway", "forwarded by eth1"),
    ]
    assert [(p.node, p.routed) for p in back.passes] == [
        ("gateway", "forwarded by eth0"),
        ("host", "forwarded by docker0"),
    ]
    assert len(out.translations) == len(back.translations) == 1
    assert out.translations[0].startswith("source 172.17.0.2:")


def test_a_frame_that_crosses_a_bridge_is_one_packet_all_the_way(make_bed: MakeBed) -> None:
    host = host_of(TWO)
    journey = journey_of(make_bed(host, article.rules_of(host)), syn("web", ("172.17.0.3", 80)))
    assert [(hook.hook, hook.entered, hook.left) for _, hook in journey.hooks] == [
        ("PREROUTING", "docker0", ""),
        ("FORWARD", "docker0", "docker0"),
        ("POSTROUTING", "", "docker0"),
    ]
    assert str(journey.end) == "delivered to other"


def test_where_bridges_ask_no_rules_a_frame_just_crosses(make_bed: MakeBed) -> None:
    host = host_of(TWO)
    bed = make_bed(host, article.rules_of(host))
    bed.host.command(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"])
    journey = journey_of(bed, syn("web", ("172.17.0.3", 80)))
    assert [(passed.node, passed.hooks) for passed in journey.passes] == [("host", ())]
    assert journey == "delivered to other"


def test_a_frame_that_a_bridge_sends_to_all_its_ports_is_asked_for_each_copy(make_bed: MakeBed) -> None:
    """Nobody has spoken yet, so the bridge knows no port; what the rules count for each copy is what is traced."""
    others = "".join(f", {name}: {{network_mode: bridge}}" for name in ("one", "two", "three"))
    host = host_of(f"services: {{web: {{network_mode: bridge, ports: ['80:80']}}{others}}}")
    journey = journey_of(make_bed(host, article.rules_of(host)), syn("one", ("172.17.0.4", 80)))
    assert str(journey.end) == "delivered to two"
    assert [hook.hook for _, hook in journey.hooks].count("FORWARD") == len(journey.passes) > 1


def test_two_cannot_trace_a_bed_at_once(bed: Testbed) -> None:
    with bed.tracing(), pytest.raises(NameTaken, match="docker-host-testbed is there"):
        bed.tracing().__enter__()


def test_an_error_about_a_packet_has_a_journey_of_its_own(bed: Testbed) -> None:
    """The gateway says that time ran out: related to the connection, and translated back to whom it concerns."""
    with bed.tracing() as tracing:
        tracing.journey(syn("web", ("203.0.113.10", 80), ttl=2)(bed))
        _, error = tracing.journeys()
    assert (error.sent.kind, error.origin, str(error.end)) == ("icmp 11/0", "gateway", "delivered to web")
    assert [hook.state for passed, hook in error.hooks if passed.node == "host"] == ["RELATED"] * 3
    assert error.translations == ("destination 192.168.66.100 > 172.17.0.2",)


def test_udp_and_echo_requests_have_journeys_too(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        datagram = bed.send(IP(src=WEB, dst="203.0.113.10") / UDP(sport=5, dport=53) / b"q", "web")
        echo = bed.send(IP(src=WEB, dst="203.0.113.10") / ICMP(id=7, seq=1), "web")
        journeys = [tracing.journey(result) for result in (datagram, echo)]
    assert [str(journey.end) for journey in journeys] == ["delivered to internet"] * 2
    assert all("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE" in journey for journey in journeys)


def test_an_ipv6_packet_passes_the_tables_of_ipv6(make_bed: MakeBed) -> None:
    host = host_of(
        "services: {web: {ports: ['80:80'], networks: [six]}}\n"
        "networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: 2001:db8:7::/64}]}}}"
    )
    bed = make_bed(host, rules=engine("28").rules(host))
    with bed.tracing() as tracing:
        journey = tracing.journey(bed.connect("client", ("2001:db8:66::100", 80)).syn)
    assert str(journey.end) == "delivered to web"
    assert {table for table, _ in journey.matched} == {"ip6 nat", "ip6 filter"}
    assert [change.split()[0] for change in journey.translations] == ["destination"]


# the same for all that load rules


def places(journey: Journey) -> list[tuple[str, str, int, bool]]:
    """The chain and the number of every rule asked, and whether it matched."""
    return [(chain.table.removeprefix("ip "), chain.chain, a.number, a.matched) for chain, a in journey.asked]


def test_the_same_rules_in_nftables_own_syntax_give_the_same_journeys(make_bed: MakeBed) -> None:
    """Rule for rule, matched or not, from the same chains, to the same end."""
    found: list[list[Journey]] = []
    for bed in (make_bed(), make_bed(rules=rulefile.read(TRANSLATED))):
        with bed.tracing() as tracing:
            talk = bed.connect("client", (HOST, 80))
            journeys = [tracing.journey(packet) for packet in talk.handshake()]
            journeys.append(tracing.journey(syn("client", (WEB, 81), via=HOST)(bed)))
            journeys.append(tracing.journey(syn("web", ("203.0.113.10", 80))(bed)))
        found.append(journeys)
    for one, other in zip(*found, strict=True):
        assert places(one) == places(other) != []
        assert (one.translations, one.end.kind, one.end.where) == (other.translations, other.end.kind, other.end.where)
        assert [h.skipped_nat_chains for _, h in one.hooks] == [
            tuple(name.removeprefix("ip ") for name in h.skipped_nat_chains) for _, h in other.hooks
        ]


# what tracing leaves alone


def test_tracing_touches_nothing_of_the_rules(bed: Testbed) -> None:
    host, program = bed.host, f"{bed.backend.program}-save"

    def saved() -> list[str]:
        printed = host.command([program]).stdout
        return [re.sub(r"\[\d+:\d+\]", "", line) for line in printed.splitlines() if not line.startswith("#")]

    def loggers() -> list[str]:
        return [host.command(["sysctl", "-n", f"net.netfilter.nf_log.{family}"]).stdout for family in (2, 10)]

    rules, logging = saved(), loggers()
    with bed.tracing() as tracing:
        tracing.journey(syn("client", (HOST, 80))(bed))
        assert saved() == rules != []
    assert saved() == rules
    assert loggers() == logging
    assert "docker-host-testbed" not in host.command(["nft", "list", "ruleset"]).stdout


def test_it_goes_with_the_socket_that_made_it_and_survives_a_flush(make_bed: MakeBed) -> None:
    bed = make_bed(rules=rulefile.read(TRANSLATED))
    tracer = Tracer(bed.host)
    bed.load(rulefile.read(TRANSLATED))  # begins with `flush ruleset`
    assert "docker-host-testbed" in bed.host.command(["nft", "list", "tables"]).stdout
    tracer.close()
    assert "docker-host-testbed" not in bed.host.command(["nft", "list", "tables"]).stdout


def test_a_native_bed_says_the_same_of_its_rules_while_it_is_traced(make_bed: MakeBed) -> None:
    bed = make_bed(rules=rulefile.read(TRANSLATED))
    before = bed.ruleset()
    with bed.tracing() as tracing:
        journey = tracing.journey(bed.connect("client", (HOST, 80)).syn)
        assert bed.ruleset() == before
    assert str(journey.end) == "delivered to web"


# what is lost, and what disagrees


def test_events_that_were_lost_are_an_error_and_no_journey(bed: Testbed) -> None:
    tracer = Tracer(bed.host, buffer=4096)
    for _ in range(50):
        syn("client", (HOST, 80))(bed)
    with pytest.raises(KernelRefused, match="lost trace messages of host"):
        tracer.events()
    tracer.close()


def test_of_ten_thousand_packets_none_is_lost(bed: Testbed) -> None:
    """All wait in the kernel until they are asked for; every one is there, and the counters agree."""
    packet = IP(src=CLIENT, dst=HOST) / UDP(sport=4000, dport=9) / b"question"
    with bed.tracing() as tracing:
        for _ in range(10_000):
            bed.endpoint("client").send(packet)
        journeys = tracing.journeys()
    asked = [journey for journey in journeys if journey.sent.protocol == "udp"]
    assert len(asked) == 10_000
    assert {journey.end.kind for journey in asked} == {LOCAL_INPUT}


def test_a_packet_that_was_counted_and_not_traced_is_a_disagreement(
    bed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing = bed.tracing()
    tracing.__enter__()
    for sorter in tracing._sorters:
        monkeypatch.setattr(sorter, "passages", list)
    syn("client", (HOST, 80))(bed)
    with pytest.raises(Disagreement, match=r"counted \[1:40\], but \[0:0\] was traced"):
        tracing.__exit__(None, None, None)


def test_rules_that_change_meanwhile_are_said_to_have_changed(bed: Testbed) -> None:
    def change_while_traced() -> None:
        with bed.tracing():
            insert = [bed.backend.program, "-I", "DOCKER-USER", "-p", "tcp", "-j", "ACCEPT"]
            bed.host.command(insert)
            syn("client", (HOST, 80))(bed)

    with pytest.raises(KernelRefused, match="the rules changed while packets were traced"):
        change_while_traced()


def test_a_packet_of_before_has_no_journey(bed: Testbed) -> None:
    early = syn("client", (HOST, 80))(bed)
    with bed.tracing() as tracing, pytest.raises(TestbedError, match="was not sent while it was traced"):
        tracing.journey(early)


def test_delivered_packets_are_what_was_captured(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        result = bed.connect("client", (HOST, 80)).syn
        journey = tracing.journey(result)
    assert journey.end.kind == DELIVERED
    assert journey.arrived == result.arrived
    assert journey.connection is not None
    assert journey.connection.translated
