"""What is reasoned about clauses, held against what the kernel counts: rules that only count, packets of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pytest

from testbed import LINUX, Testbed
from testbed.docker import article
from testbed.pytest_plugin import MakeBed
from testbed.rules.clauses import clauses
from testbed.rules.facts import Facts
from testbed.rules.matching import first_failing
from testbed.rules.reading import CounterReading
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPerror, Raw, UDPerror
from testbed.traffic.packet import Crossing, Packet

HOST, CLIENT, WEB, INTERNET = "192.168.66.100", "192.168.66.1", "172.17.0.2", "203.0.113.10"
TYPES = {HOST: "LOCAL", CLIENT: "UNICAST", WEB: "UNICAST", INTERNET: "UNICAST"}
MARK = 0x12
UNTRACKED_PORT = 40002
OF_A_CONNECTION = [
    *("--ctstatus", "--ctdir", "--ctproto"),
    *("--ctorigsrc", "--ctorigdst", "--ctorigsrcport", "--ctorigdstport"),
]

# each is loaded as it stands and with a ! before its last condition
EITHER_WAY = [
    *(f"-s {network}" for network in ("192.168.66.0/24", "172.17.0.2", "203.0.0.0/8", "0.0.0.2/0.0.0.255")),
    *(f"-d {network}" for network in ("192.168.66.1", "172.17.0.0/16", "203.0.113.10", "0.0.0.1/0.0.0.253")),
    *(f"{way} {name}" for way in ("-i", "-o") for name in ("ens33", "docker0", "docker+", "ens3", "lo")),
    *(f"-p {protocol}" for protocol in ("tcp", "udp", "icmp", "6", "132")),
    "-f",
    *(f"-p tcp -m tcp {port}" for port in ("--dport 80", "--dport 79:80", "--dport 81:", "--sport 80", "--sport :80")),
    *(f"-p udp -m udp {port}" for port in ("--dport 53", "--sport 53", "--dport 50:5353")),
    *(f"-p tcp -m tcp {flags}" for flags in ("--syn", "--tcp-flags SYN,ACK ACK", "--tcp-flags ALL SYN,ACK")),
    *(f"-p tcp -m tcp {flags}" for flags in ("--tcp-flags FIN,PSH FIN,PSH", "--tcp-flags ALL NONE")),
    *(f"-p icmp -m icmp --icmp-type {kind}" for kind in ("8", "0", "3/3", "3/4", "echo-request", "3")),
    *(f"-p tcp -m multiport {ports}" for ports in ("--dports 22,80", "--sports 79:81,443", "--ports 80")),
    "-p udp -m multiport --ports 53,5353",
    *(f"-m conntrack --ctstate {state}" for state in ("NEW", "RELATED,ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")),
    *(f"-m conntrack --ctstate {state}" for state in ("DNAT", "SNAT", "NEW,DNAT", "INVALID,SNAT")),
    *(f"-m state --state {state}" for state in ("NEW", "ESTABLISHED", "RELATED,INVALID")),
    *(f"-m conntrack --ctstatus {status}" for status in ("SEEN_REPLY", "ASSURED", "CONFIRMED", "EXPECTED,ASSURED")),
    *(f"-m conntrack {way}" for way in ("--ctorigsrc 192.168.66.0/24", "--ctorigdst 192.168.66.100")),
    *(f"-m conntrack {way}" for way in ("--ctorigsrcport 5353", "--ctorigdstport 80", "--ctorigdstport 50:60")),
    *(f"-m conntrack --ctproto {protocol}" for protocol in ("6", "17", "1")),
    *(f"-m addrtype --dst-type {kind}" for kind in ("LOCAL", "UNICAST", "LOCAL,UNICAST", "MULTICAST")),
    *(f"-m addrtype --src-type {kind}" for kind in ("LOCAL", "UNICAST,BROADCAST")),
    *(f"-m mark --mark {mark}" for mark in ("0x12", "0x2/0xf", "0", "0x1/0x1")),
    *(f"-m ttl --ttl-eq {ttl}" for ttl in ("62", "63", "127")),
    *(f"-m length --length {length}" for length in ("52", "0:51", "60:65535", "28:40")),
    *(
        f"-m iprange {addresses}"
        for addresses in ("--src-range 172.17.0.2-172.17.0.9", "--dst-range 10.0.0.0-192.0.0.0")
    ),
]
ONE_WAY = [
    "",
    "-i +",
    "-p all",
    "-p tcp -m tcp",
    "-p icmp -m icmp --icmp-type any",
    "-m conntrack --ctdir ORIGINAL",
    "-m conntrack --ctdir REPLY",
    "-m conntrack --ctstate INVALID --ctdir ORIGINAL",
    "-m ttl --ttl-lt 63",
    "-m ttl --ttl-gt 62",
    "-i ens33 -o docker0 -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW",
    "-i docker0 ! -o docker0 -m conntrack --ctstate ESTABLISHED",
]


def negated(spec: str) -> str:
    """The rule with a ! before its last option."""
    place = max(spec.rfind(" -"), -1) + 1
    return f"{spec[:place]}! {spec[place:]}"


RULES = [*ONE_WAY, *EITHER_WAY, *map(negated, EITHER_WAY)]


@dataclass(frozen=True)
class Connection:
    """What is known of a connection when one of its packets is forwarded."""

    state: str
    direction: str | None = None
    status: str = ""
    original: tuple[str, int | None, str, int | None] | None = None


def facts(packet: Packet, connection: Connection) -> Facts:
    """Of a packet as it is when it is forwarded."""
    inward = packet.destination == WEB
    has_ports = packet.protocol in ("tcp", "udp")
    return Facts(
        packet.source,
        packet.destination,
        packet.protocol,
        packet.source_port if has_ports else None,
        packet.destination_port if has_ports else None,
        packet.flags if packet.protocol == "tcp" else None,
        packet.icmp,
        entered="ens33" if inward else "docker0",
        left="docker0" if inward else "ens33",
        state=connection.state,
        status=frozenset(connection.status.split()),
        mark=MARK if inward else 0,
        ttl=packet.ttl,
        length=packet.length,
        original=connection.original,
        direction=connection.direction,
        local_types=TYPES,
    )


def as_forwarded(crossing: Crossing) -> Packet:
    """Destination NAT and the time to live come before the rules that are asked here, source NAT comes behind them."""
    assert crossing.arrived is not None, crossing
    inward = crossing.arrived.destination == WEB
    return crossing.arrived if inward else replace(crossing.sent, ttl=crossing.sent.ttl - 1)


@pytest.fixture
def bed(make_bed: MakeBed) -> Testbed:
    rules = article.ruleset().insert("mangle", "PREROUTING", f"-i ens33 -j MARK --set-xmark {MARK:#x}/0xffffffff")
    rules = rules.insert("raw", "PREROUTING", f"-p tcp -m tcp --sport {UNTRACKED_PORT} -j CT --notrack")
    for spec in reversed(RULES):
        rules = rules.insert("filter", "DOCKER-USER", spec)
    return make_bed(rules=rules)


def disagreements(counted: CounterReading, packet: Facts) -> tuple[list[str], set[str]]:
    """Rules that counted otherwise than is reasoned, in our words or in the kernel's; options that cannot be told."""
    lines = [(line.text, counters) for line, counters in counted if line.text.startswith("-A DOCKER-USER")]
    assert len(lines) == len(RULES) + 1  # and the article's own RETURN
    wrong, untold = [], set()
    for spec, (text, counters) in zip(RULES, lines, strict=False):
        for words in (spec, text.removeprefix("-A DOCKER-USER").strip()):
            verdict = first_failing(clauses(words), packet)
            if verdict.matches is None:
                untold |= {clause.option for clause in verdict.unknown}
            elif verdict.matches is not (counters.packets == 1):
                wrong.append(f"{words}: counted {counters}, but {verdict}")
    return wrong, untold


def test_every_rule_counts_what_is_reasoned(bed: Testbed) -> None:
    def check(send: Callable[[], Crossing], connection: Connection, untold: Iterable[str] = ()) -> None:
        with bed.counting() as counting:
            crossing = send()
        packet = as_forwarded(crossing)
        wrong, unknown = disagreements(counting.result, facts(packet, connection))
        assert not wrong, "\n".join([str(packet), *wrong])
        assert unknown == set(untold), packet

    talk = bed.tcp("client", "web", (HOST, 80), stack=LINUX, port=40000)
    web = (CLIENT, 40000, HOST, 80)
    check(talk.syn, Connection("NEW", "ORIGINAL", "DNAT", web))
    check(talk.syn_ack, Connection("ESTABLISHED", "REPLY", "DNAT CONFIRMED SEEN_REPLY", web))
    established = Connection("ESTABLISHED", "ORIGINAL", "DNAT CONFIRMED SEEN_REPLY ASSURED", web)
    check(talk.ack, established)
    last = IP(src=CLIENT, dst=HOST, ttl=128) / TCP(sport=40000, dport=80, flags="FPA") / Raw(b"bye")
    check(lambda: bed.send("client", last, to="web"), established)

    asked = (WEB, 5353, INTERNET, 53)
    ask = IP(src=WEB, dst=INTERNET) / UDP(sport=5353, dport=53) / Raw(b"who")
    check(lambda: bed.send("web", ask, to="internet"), Connection("NEW", "ORIGINAL", "", asked))
    answer = IP(src=INTERNET, dst=HOST) / UDP(sport=53, dport=5353) / Raw(b"you")
    known = "SNAT CONFIRMED SEEN_REPLY"
    check(lambda: bed.send("internet", answer, to="web"), Connection("ESTABLISHED", "REPLY", known, asked))
    quoted = IPerror(src=HOST, dst=INTERNET) / UDPerror(sport=5353, dport=53)
    refused = IP(src=INTERNET, dst=HOST) / ICMP(type=3, code=3) / quoted
    related = Connection("RELATED", "REPLY", known, asked)
    check(lambda: bed.send("internet", refused, to="web"), related, ["--ctproto"])

    ping = IP(src=WEB, dst=INTERNET) / ICMP(type=8, id=7, seq=1)
    pinged = Connection("NEW", "ORIGINAL", "", (WEB, None, INTERNET, None))
    check(lambda: bed.send("web", ping, to="internet"), pinged, ["--ctorigsrcport", "--ctorigdstport"])

    stray = IP(src=CLIENT, dst=WEB) / TCP(sport=40001, dport=80, flags="R")
    check(lambda: bed.send("client", stray, to="web", via=HOST), Connection("INVALID"), OF_A_CONNECTION)
    untracked = IP(src=CLIENT, dst=WEB) / TCP(sport=UNTRACKED_PORT, dport=80, flags="S")
    check(lambda: bed.send("client", untracked, to="web", via=HOST), Connection("UNTRACKED"), OF_A_CONNECTION)
