"""What is reasoned about clauses, held against what the kernel counts: rules that only count, packets of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pytest

from testbed import LINUX, NftRuleset, Testbed
from testbed.connection import TcpConnection
from testbed.docker import article
from testbed.kernel.namespace import quarantine
from testbed.observe.packet_result import PacketResult
from testbed.pytest_plugin import MakeBed
from testbed.rules import nft_clauses
from testbed.rules.clauses import Clause, clauses
from testbed.rules.matching import first_failing
from testbed.rules.packet_context import PacketContext
from testbed.rules.reading import CounterReading
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPerror, Raw, UDPerror
from testbed.traffic.packet import Packet

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


Read = Callable[[str], tuple[Clause, ...]]
Check = Callable[..., None]


@dataclass(frozen=True)
class Connection:
    """What is known of a connection when one of its packets is forwarded."""

    state: str
    direction: str | None = None
    status: str = ""
    original: tuple[str, int | None, str, int | None] | None = None


def facts(packet: Packet, connection: Connection) -> PacketContext:
    """Of a packet as it is when it is forwarded."""
    inward = packet.destination == WEB
    has_ports = packet.protocol in ("tcp", "udp")
    return PacketContext(
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


def as_forwarded(result: PacketResult) -> Packet:
    """Destination NAT and the time to live come before the rules that are asked here, source NAT comes behind them."""
    assert result.arrived is not None, result
    inward = result.arrived.destination == WEB
    return result.arrived if inward else replace(result.sent, ttl=result.sent.ttl - 1)


@pytest.fixture
def bed(make_bed: MakeBed) -> Testbed:
    rules = article.ruleset().insert("mangle", "PREROUTING", f"-i ens33 -j MARK --set-xmark {MARK:#x}/0xffffffff")
    rules = rules.insert("raw", "PREROUTING", f"-p tcp -m tcp --sport {UNTRACKED_PORT} -j CT --notrack")
    for spec in reversed(RULES):
        rules = rules.insert("filter", "DOCKER-USER", spec)
    return make_bed(rules=rules)


def disagreements(
    counted: CounterReading, chain: str, rules: list[str], read: Read, packet: PacketContext
) -> tuple[list[str], set[str]]:
    """Rules that counted otherwise than is reasoned, in our words or in the kernel's; options that cannot be told."""
    begin = f"-A {chain}"
    lines = [(line.text.removeprefix(begin).strip(), n) for line, n in counted if line.text.startswith(begin)]
    assert len(lines) == len(rules) + 1  # and the chain's own last rule
    wrong, untold = [], set()
    for spec, (text, counters) in zip(rules, lines, strict=False):
        for words in (spec, text):
            verdict = first_failing(read(words), packet)
            if verdict.matches is None:
                untold |= {clause.option for clause in verdict.unknown}
            elif verdict.matches is not (counters.packets == 1):
                wrong.append(f"{words}: counted {counters}, but {verdict}")
    return wrong, untold


def converse(bed: Testbed, check: Check) -> None:
    """Packets of ten kinds, each of them checked; `untold` are iptables' options that nothing can be said about."""
    opened: list[TcpConnection] = []

    def connect() -> PacketResult:
        opened.append(bed.connect("client", (HOST, 80), stack=LINUX, port=40000))
        return opened[0].syn

    web = (CLIENT, 40000, HOST, 80)
    check(connect, Connection("NEW", "ORIGINAL", "DNAT", web))
    (talk,) = opened
    check(talk.syn_ack, Connection("ESTABLISHED", "REPLY", "DNAT CONFIRMED SEEN_REPLY", web))
    established = Connection("ESTABLISHED", "ORIGINAL", "DNAT CONFIRMED SEEN_REPLY ASSURED", web)
    check(talk.ack, established)
    last = IP(src=CLIENT, dst=HOST, ttl=128) / TCP(sport=40000, dport=80, flags="FPA") / Raw(b"bye")
    check(lambda: bed.send(last, "client"), established)

    asked = (WEB, 5353, INTERNET, 53)
    ask = IP(src=WEB, dst=INTERNET) / UDP(sport=5353, dport=53) / Raw(b"who")
    check(lambda: bed.send(ask, "web"), Connection("NEW", "ORIGINAL", "", asked))
    answer = IP(src=INTERNET, dst=HOST) / UDP(sport=53, dport=5353) / Raw(b"you")
    known = "SNAT CONFIRMED SEEN_REPLY"
    check(lambda: bed.send(answer, "internet"), Connection("ESTABLISHED", "REPLY", known, asked))
    quoted = IPerror(src=HOST, dst=INTERNET) / UDPerror(sport=5353, dport=53)
    refused = IP(src=INTERNET, dst=HOST) / ICMP(type=3, code=3) / quoted
    related = Connection("RELATED", "REPLY", known, asked)
    check(lambda: bed.send(refused, "internet"), related, ["--ctproto"])

    ping = IP(src=WEB, dst=INTERNET) / ICMP(type=8, id=7, seq=1)
    pinged = Connection("NEW", "ORIGINAL", "", (WEB, None, INTERNET, None))
    check(lambda: bed.send(ping, "web"), pinged, ["--ctorigsrcport", "--ctorigdstport"])

    stray = IP(src=CLIENT, dst=WEB) / TCP(sport=40001, dport=80, flags="R")
    check(lambda: bed.send(stray, "client", via=HOST), Connection("INVALID"), OF_A_CONNECTION)
    untracked = IP(src=CLIENT, dst=WEB) / TCP(sport=UNTRACKED_PORT, dport=80, flags="S")
    check(lambda: bed.send(untracked, "client", via=HOST), Connection("UNTRACKED"), OF_A_CONNECTION)


def test_every_rule_counts_what_is_reasoned(bed: Testbed) -> None:
    def check(send: Callable[[], PacketResult], connection: Connection, untold: Iterable[str] = ()) -> None:
        with bed.counting() as counting:
            packet = as_forwarded(send())
        known = facts(packet, connection)
        wrong, unknown = disagreements(counting.result, "DOCKER-USER", RULES, clauses, known)
        assert not wrong, "\n".join([str(packet), *wrong])
        assert unknown == set(untold), packet

    converse(bed, check)


NFT_EITHER_WAY = [
    *(f"ip saddr {{}}{network}" for network in ("192.168.66.0/24", "172.17.0.2", "192.168.66.1-192.168.66.9")),
    *(f"ip daddr {{}}{network}" for network in ("172.17.0.0/16", "{{ 192.168.66.1, 203.0.113.10 }}", "172.17.0.2")),
    *(f'{way} {{}}"{name}"' for way in ("iifname", "oifname") for name in ("ens33", "docker0", "docker*", "lo")),
    *(f"meta l4proto {{}}{name}" for name in ("tcp", "udp", "icmp", "{{ tcp, udp }}")),
    *(f"ip protocol {{}}{name}" for name in ("tcp", "icmp", "{{ icmp, udp }}")),
    *(f"tcp dport {{}}{port}" for port in ("80", "79-80", "{{ 22, 80 }}", "81-65535")),
    *(f"tcp sport {{}}{port}" for port in ("80", "{{ 22, 79-81 }}")),
    *(f"udp {way} {{}}53" for way in ("sport", "dport")),
    *(f"tcp flags & (fin | syn | rst | ack) {sign} syn" for sign in ("==", "!=")),
    *(f"icmp type {{}}{kind}" for kind in ("echo-request", "{{ echo-reply, destination-unreachable }}")),
    *(f"ct state {{}}{state}" for state in ("new", "established", "{{ new, invalid }}", "untracked")),
    *(f"ct direction {{}}{way}" for way in ("original", "reply")),
    *(f"ct original ip daddr {{}}{address}" for address in ("192.168.66.100", "172.17.0.0/16")),
    "meta l4proto tcp ct original proto-dst {}80",
    *(f"fib {way} type {{}}{kind}" for way in ("saddr", "daddr") for kind in ("local", "unicast")),
    *(f"meta mark {{}}{mark}" for mark in ("0x12", "0")),
    *(f"ip ttl {{}}{ttl}" for ttl in ("62", "63", "60-62")),
    *(f"{length} {{}}{size}" for length in ("ip length", "meta length") for size in ("52", "28-40")),
]
NFT_ONE_WAY = [
    "",
    "ct state established,related",
    "tcp flags syn",
    "tcp flags syn,ack",
    "tcp flags ack",
    "ct status dnat",
    "ct status snat",
    "ct status assured",
    "meta mark & 0x0000000f == 0x00000002",
    "meta mark & 0x00000001 != 0x00000001",
    "meta l4proto { tcp, udp } th dport { 53, 80 }",
    'iifname "ens33" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 ct state new',
]
NFT_RULES = [*NFT_ONE_WAY, *(rule.format(sign) for rule in NFT_EITHER_WAY for sign in ("", "!= "))]
NFT_TEXT = """
table ip asked {
    chain untracked { type filter hook prerouting priority -300; tcp sport %s notrack; }
    chain marked { type filter hook prerouting priority -150; iifname "ens33" meta mark set %s; }
    chain published {
        type nat hook prerouting priority -100;
        iifname "ens33" ip daddr 192.168.66.100 tcp dport 80 dnat to 172.17.0.2:80
    }
    chain outward { type nat hook postrouting priority 100; oifname "ens33" ip saddr 172.17.0.0/16 masquerade; }
    chain rules {
        type filter hook forward priority 0;
        %s
        counter accept
    }
}
"""


@pytest.fixture
def nft_bed() -> Iterator[Testbed]:
    text = NFT_TEXT % (UNTRACKED_PORT, MARK, "\n        ".join(f"{rule} counter" for rule in NFT_RULES))
    with quarantine(), Testbed(article.topology(), NftRuleset(text)) as bed:
        yield bed


def test_every_rule_of_nftables_counts_what_is_reasoned(nft_bed: Testbed) -> None:
    def check(send: Callable[[], PacketResult], connection: Connection, _untold: Iterable[str] = ()) -> None:
        with nft_bed.counting() as counting:
            packet = as_forwarded(send())
        known = facts(packet, connection)
        wrong, unknown = disagreements(counting.result, "rules", NFT_RULES, nft_clauses.clauses, known)
        assert not wrong, "\n".join([str(packet), *wrong])
        assert not unknown, packet

    converse(nft_bed, check)
